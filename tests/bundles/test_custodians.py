"""Custodians come, go and sign on machines of their own; the old quorum decides about the new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles.document import canonical, read
from bundles.errors import BundleError, InputError, TrustError
from bundles.trust.custody import Custodian, load_signers, make_keys
from bundles.trust.repository import Repository
from bundles.trust.signing import Signatures, SigningRequest, answer, request_of
from tests.support.bundles import PASSPHRASE, START, ABox, BundleForge, refused, resign, tuf_files, with_tuf


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def newcomer(forge: BundleForge, name: str, duty: str = "release", **knobs: Any) -> Custodian:
    made = make_keys(forge.folder / "keys" / name, name, duty, PASSPHRASE, **knobs)
    forge.people[name] = duty
    return made


def test_custodians_sign_on_several_machines_in_turn(forge: BundleForge) -> None:
    """A request travels, signatures come back, and the same build then completes."""
    out, built = forge.try_build(signers=[])
    assert set(built.lacking) == {"timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"}
    assert not out.exists()
    request = read(SigningRequest, canonical(request_of(forge.repository)), what="request")
    for name, duty in forge.people.items():
        made = answer(request, load_signers(forge.folder / "keys" / name, PASSPHRASE), name)
        back = read(Signatures, canonical(made), what="signatures")
        forge.repository.add_signatures((item.role, item.keyid, item.sig) for item in back.signatures)
        assert duty == "release" or {item.role for item in back.signatures} == {"site-plans-clinic-jura"}
    out, again = forge.try_build(signers=[])
    assert (again.digest, again.lacking) == (built.digest, {})
    forge.box().install(out)


def test_two_of_three_custodians_suffice(forge: BundleForge) -> None:
    forge.box().install(forge.build(signers=forge.signers(["ada", "cleo", "dora"])))


def test_a_signature_for_another_draft_is_refused(forge: BundleForge) -> None:
    forge.try_build(signers=[])
    stale = request_of(forge.repository)
    forge.try_build(forge.cargo(table={}), signers=[])
    made = answer(stale, forge.signers(["ada"]), "ada")
    with pytest.raises(TrustError, match="SIGNATURE"):
        forge.repository.add_signatures((item.role, item.keyid, item.sig) for item in made.signatures)


def test_a_rotation_reaches_a_box_that_slept_through_it(forge: BundleForge) -> None:
    """Two rotations later the box walks from root 1 to root 3, each step under the old quorum and the new."""
    box = forge.box()
    box.install(forge.build())
    for name in ("finn", "gale"):
        forge.clock.pass_(days=10)
        made = newcomer(forge, name)
        forge.repository.replace_custodians([*forge.repository.custodians(), made], forge.clock.now)
        forge.repository.sign(forge.signers())
        assert forge.repository.publish()
    forge.clock.pass_(days=10)
    box.install(forge.build(forge.cargo(table={})))
    root = json.loads((box.root / "trust" / "root.json").read_bytes())
    assert root["signed"]["version"] == 3


def test_a_new_root_without_the_old_quorum(forge: BundleForge) -> None:
    """The newcomers sign themselves in: their own quorum is met, the old one is not."""
    bundle = forge.build()
    thieves = [newcomer(forge, name, duty) for name, duty in
               {"mal": "release", "max": "release", "mia": "release", "moe": "compliance"}.items()]  # fmt: skip
    signers = forge.signers(["mal", "max", "mia"])

    def take_over(files: dict[str, bytes]) -> None:
        def own(signed: Any) -> None:
            signed.version = 2
            signed.keys = {key.keyid: key for made in thieves[:3] for key in made.tuf_keys()}
            for role in signed.roles.values():
                role.keyids = list(signed.keys)

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", own, signers)

    refused(forge.box(), with_tuf(bundle, take_over), "METADATA", TrustError)


def test_a_root_that_lowers_the_quorum(forge: BundleForge) -> None:
    """The quorum has least values that no root, signed by whomever, may go below."""
    bundle = forge.build()

    def weaken(files: dict[str, bytes]) -> None:
        def lower(signed: Any) -> None:
            signed.version = 2
            signed.unrecognized_fields["quorum"]["custodians"] = 1

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", lower, forge.signers())

    refused(forge.box(), with_tuf(bundle, weaken), "QUORUM-RULE", TrustError)


def test_a_revoked_custodians_signature_counts_no_more(forge: BundleForge) -> None:
    forge.build()
    forge.clock.pass_(days=1)
    staying = [p for p in forge.repository.custodians() if p.custodian != "cleo"]
    forge.repository.replace_custodians(staying, forge.clock.now)
    forge.repository.sign(forge.signers(["ada", "cleo", "dora"]))
    assert not forge.repository.publish()
    assert any("1 of 2" in line for line in forge.repository.lacking("models"))
    forge.repository.sign(forge.signers(["ben"]))
    assert forge.repository.publish()
    forge.box().install(forge.build(signers=forge.signers(["ada", "ben", "dora"])))


def test_two_sites_from_one_repository(forge: BundleForge) -> None:
    """Building for one site leaves the other's signed plan as it is; each bundle carries one site's only."""
    forge.build()
    other = forge.cargo(site="clinic-basel", jurisdiction="CH-BS")
    bundle = forge.build(other)
    files = tuf_files(bundle)
    assert "site-plans-clinic-basel.json" in files
    assert "site-plans-clinic-jura.json" not in files
    seed, card = forge.seed("clinic-basel", jurisdiction="CH-BS")
    ABox(forge.folder / "basel", forge.clock).enrol(seed, card).install(bundle)
    forge.clock.pass_(days=1)
    forge.box().install(forge.build(forge.cargo(table={})))


def test_too_few_custodians_make_no_repository(tmp_path: Path) -> None:
    lonely = [make_keys(tmp_path / n, n, d, PASSPHRASE) for n, d in (("ada", "release"), ("dora", "compliance"))]
    with pytest.raises(InputError, match="fewer than 2"):
        Repository.create(tmp_path / "trust", lonely, issued=START)
    assert not (tmp_path / "trust").exists()


def test_demo_keys_make_no_production_repository(tmp_path: Path) -> None:
    people = [make_keys(tmp_path / n, n, d, PASSPHRASE, demo=True)
              for n, d in (("ada", "release"), ("ben", "release"), ("dora", "compliance"))]  # fmt: skip
    with pytest.raises(BundleError, match="ENVIRONMENT"):
        Repository.create(tmp_path / "trust", people, issued=START)


def test_keys_are_encrypted_and_a_wrong_passphrase_says_so(forge: BundleForge) -> None:
    folder = forge.folder / "keys" / "ada"
    assert all(b"ENCRYPTED" in file.read_bytes() for file in folder.glob("*.pem"))
    with pytest.raises(InputError, match="PASSPHRASE"):
        load_signers(folder, b"wrong")
