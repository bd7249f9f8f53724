"""What stock python-tuf reads, and what it wrongly accepts: each test shows both, stock accepts and we refuse.

The stock side is the real `tuf.ngclient.Updater` over the same files, from a folder instead of the network. It is not
wrong by its own specification: a threshold is all that TUF can say, and these are what a threshold cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, TargetFile, Updater, UpdaterConfig

from bundles.errors import StateError
from bundles.layout import Box
from bundles.trust.custody import load_signers, make_keys
from bundles.trust.keys import key_id
from bundles.trust.stock import CryptoSigner, SSlibKey
from tests.support.bundles import (
    PASSPHRASE,
    PEOPLE,
    SITE,
    ABox,
    BundleForge,
    Published,
    keep_signatures,
    refused,
    resign,
    tuf_files,
    with_tuf,
)

Bend = Callable[[dict[str, bytes]], None]
PLAN = f"site-plans-{SITE}"
# Signatures of ML-DSA are large: python-tuf's default cap of 16 KiB for a timestamp is too small for six people.
SIZES = UpdaterConfig(timestamp_max_length=64 * 1024)


class FromTheStick(FetcherInterface):
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Any:
        name = url.rsplit("/", 1)[1]
        if name not in self.files:
            raise DownloadHTTPError(name, 404)
        return iter([self.files[name]])


def stock_finds(files: dict[str, bytes], folder: Path, path: str = f"site-plans/{SITE}/plan.json") -> TargetFile:
    """Follow root, timestamp, snapshot, targets and the delegation to `path` as stock python-tuf does, or raise."""
    folder.mkdir(exist_ok=True)
    first = files["1.root.json"]
    updater = Updater(str(folder), "https://stick.invalid/", fetcher=FromTheStick(files), bootstrap=first, config=SIZES)
    found = updater.get_targetinfo(path)
    assert found is not None
    return found


def a_model(files: dict[str, bytes], folder: Path) -> TargetFile:
    return stock_finds(files, folder, "models/minilm.w8.json")


def of_family(signers: list[CryptoSigner], family: str) -> list[CryptoSigner]:
    return [signer for signer in signers if signer.public_key.unrecognized_fields["family"] == family]


def test_stock_reads_what_we_publish(bundle: Path, tmp_path: Path) -> None:
    files = tuf_files(bundle)
    assert stock_finds(files, tmp_path / "stock").length > 0
    assert a_model(files, tmp_path / "stock").hashes


def test_stock_refuses_what_nobody_signed(bundle: Path, tmp_path: Path) -> None:
    """The stock side of these tests can fail: a role without signatures does not pass it."""
    files = tuf_files(bundle)
    keep_signatures(files, PLAN, set())
    with pytest.raises(RepositoryError):
        stock_finds(files, tmp_path / "stock")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", PLAN])
@pytest.mark.parametrize("family", ["ed25519", "ml-dsa"])
def test_a_whole_family_stripped(tmp_path: Path, role: str, family: str) -> None:
    """Six release custodians: the other family alone has as many keys as the threshold asks for.

    So whoever breaks one family needs nobody's help with stock TUF; with us the roles stay unsigned.
    """
    people = dict.fromkeys(("ada", "ben", "cleo", "emil", "faye", "gus"), "release") | {"dora": "compliance"}
    forge = BundleForge(tmp_path, people=people)
    bundle = forge.build()
    kept = {s.public_key.keyid for s in forge.signers() if s.public_key.unrecognized_fields["family"] != family}
    bent = with_tuf(bundle, lambda files: keep_signatures(files, role, kept))
    stock_finds(tuf_files(bent), tmp_path / "stock")
    a_model(tuf_files(bent), tmp_path / "stock")
    assert family in str(refused(forge.box(), bent, "QUORUM"))


def test_three_of_one_family_and_one_of_the_other(
    published: Published, box: ABox, bundle: Path, tmp_path: Path
) -> None:
    """4 of 6 is met; one ML-DSA key, one person's, is all that stands if Ed25519 falls."""
    release = published.forge.signers(["ada", "ben", "cleo"])
    kept = {s.public_key.keyid for s in [*of_family(release, "ed25519"), of_family(release, "ml-dsa")[0]]}
    bent = with_tuf(bundle, lambda files: keep_signatures(files, "targets", kept))
    stock_finds(tuf_files(bent), tmp_path / "stock")
    assert "1 of 2" in str(refused(box, bent, "QUORUM"))


def test_a_site_plan_without_compliance(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """Three release custodians sign six times: the threshold of six is met, the other duty was never asked."""
    kept = {s.public_key.keyid for s in published.forge.signers(["ada", "ben", "cleo"])}
    bent = with_tuf(bundle, lambda files: keep_signatures(files, PLAN, kept))
    stock_finds(tuf_files(bent), tmp_path / "stock")
    assert "compliance" in str(refused(box, bent, "QUORUM"))


def delegated(published: Published, keys: list[SSlibKey], signers: list[CryptoSigner]) -> Bend:
    """Return a change: targets admits `keys` to models, honestly signed; models is signed by `signers`."""

    def admit(signed: Any) -> None:
        for key in keys:
            signed.add_key(key, "models")

    def bend(files: dict[str, bytes]) -> None:
        resign(files, "targets", admit, published.forge.signers())
        resign(files, "models", lambda signed: None, signers)

    return bend


def test_one_custodian_with_two_pairs_of_keys(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """Ada signs four times; stock TUF counts keys, we count people."""
    second = make_keys(tmp_path / "second", "ada", "release", PASSPHRASE)
    signers = [*published.forge.signers(["ada"]), *load_signers(tmp_path / "second", PASSPHRASE)]
    bent = with_tuf(bundle, delegated(published, second.tuf_keys(), signers))
    a_model(tuf_files(bent), tmp_path / "stock")
    assert "1 of 2 custodians (ada)" in str(refused(box, bent, "QUORUM"))


def test_one_key_under_two_ids(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """The same Ed25519 key in capitals has another id: with it ada's one key signs for two."""
    ada = of_family(published.forge.signers(["ada"]), "ed25519")[0]
    keyval = {"public": ada.public_key.keyval["public"].upper()}
    fields = {"custodian": "eve", "duty": "release", "family": "ed25519"}
    twin = SSlibKey(key_id("ed25519", "ed25519", keyval), "ed25519", "ed25519", keyval, fields)
    other = CryptoSigner(ada._private_key, twin)
    signers = [ada, other, *of_family(published.forge.signers(["ada", "ben"]), "ml-dsa")]
    bent = with_tuf(bundle, delegated(published, [twin], signers))
    a_model(tuf_files(bent), tmp_path / "stock")
    refused(box, bent, "KEY-TWICE")


def test_a_root_that_asks_for_less(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """The next root, signed by everybody, asks for one signature from now on; then one person signs the models."""

    def weaken(files: dict[str, bytes]) -> None:
        def lower(signed: Any) -> None:
            signed.version = 2
            for role in signed.roles.values():
                role.threshold = 1

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", lower, published.forge.signers())
        keep_signatures(files, "targets", {published.forge.signers(["ada"])[0].public_key.keyid})

    bent = with_tuf(bundle, weaken)
    stock_finds(tuf_files(bent), tmp_path / "stock")
    refused(box, bent, "THRESHOLD")


def test_a_role_without_a_signed_time(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """TUF signs when a role ends, never when it began; a box with a dead clock learns nothing from it."""

    def timeless(files: dict[str, bytes]) -> None:
        resign(files, "snapshot", lambda signed: signed.unrecognized_fields.pop("issued"), published.forge.signers())

    bent = with_tuf(bundle, timeless)
    stock_finds(tuf_files(bent), tmp_path / "stock")
    refused(box, bent, "ISSUED")


def test_emptied_files_after_a_power_cut(tmp_path: Path) -> None:
    """A cut left python-tuf's `timestamp.json` and `snapshot.json`, never fsynced, empty: last month comes back.

    Our state has two fsynced copies: one emptied, the older bundle is a rollback; both emptied, nothing is taken.
    """
    forge = BundleForge(tmp_path, people=dict(PEOPLE))
    old = forge.build()
    forge.clock.pass_(days=30)
    new = forge.build(forge.cargo(table={"stages": ["quote"]}))
    stock = tmp_path / "stock"
    recent = stock_finds(tuf_files(new), stock)
    with pytest.raises(RepositoryError):
        stock_finds(tuf_files(old), stock)
    for name in ("timestamp.json", "snapshot.json"):
        (stock / name).write_bytes(b"")
    assert stock_finds(tuf_files(old), stock) != recent

    box = forge.box()
    box.install(new)
    copies = sorted(Box(box.root).trust.glob("state-*.json"))
    copies[0].write_bytes(b"")
    refused(box, old, "ROLLBACK")
    for copy in copies:
        copy.write_bytes(b"")
    with pytest.raises(StateError, match="STATE-LOST"):
        box.install(old)
