"""Attackers who hold keys, or a whole headquarters of their own: each test names what they hold and what they do.

What must stay unchanged is the same in all of them: state, root, releases, identity, and what serves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import MediumError, TrustError
from bundles.trust.stock import CryptoSigner, TargetFile
from tests.support.bundles import ABox, BundleForge, Published, refused, resign, tuf_files, with_tuf

ROLES = ["timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"]
FAR = 2**31 - 1


def keys_of(published: Published, *, family: str = "", person: str = "") -> list[CryptoSigner]:
    """Return what the attacker stole: every key of a family, or every key of a person."""
    signers = published.forge.signers([person] if person else None)
    return [s for s in signers if not family or s.public_key.unrecognized_fields["family"] == family]


def another_model(files: dict[str, bytes], signers: Iterable[CryptoSigner]) -> None:
    """Sign a model of the attacker's own into everything that leads to it."""
    hands = list(signers)

    def swap(signed: Any) -> None:
        path = next(iter(signed.targets))
        signed.targets[path] = TargetFile(7, {"sha256": "6" * 64}, path)
        signed.version += 1

    resign(files, "models", swap, hands)
    for role in ("targets", "snapshot", "timestamp"):
        resign(files, role, lambda signed: setattr(signed, "version", signed.version + 1), hands)


STOLEN: dict[str, dict[str, str]] = {
    "every Ed25519 key": {"family": "ed25519"},
    "every ML-DSA key": {"family": "ml-dsa"},
    "all keys of ada": {"person": "ada"},
    "all keys of dora": {"person": "dora"},
}


@pytest.mark.parametrize("stolen", STOLEN)
def test_arbitrary_software_with_stolen_keys(published: Published, box: ABox, bundle: Path, stolen: str) -> None:
    """Arbitrary software, key compromise of one family, of one person: another model is signed with what was stolen."""
    hands = keys_of(published, **STOLEN[stolen])
    bent = with_tuf(bundle, lambda files: another_model(files, hands))
    before = box.snapshot()
    with pytest.raises(TrustError) as caught:
        box.install(bent)
    assert caught.value.code in ("METADATA", "QUORUM")
    assert box.snapshot() == before


@pytest.mark.parametrize("stolen", STOLEN)
@pytest.mark.parametrize("role", ROLES)
def test_what_was_stolen_is_added_to_what_is_honest(
    published: Published, box: ABox, bundle: Path, stolen: str, role: str
) -> None:
    """One role only is signed anew, with stolen keys; the honest signatures stay beside it and cover it no more."""
    hands = keys_of(published, **STOLEN[stolen])

    def bend(files: dict[str, bytes]) -> None:
        from bundles.trust.stock import Metadata

        honest = Metadata.from_bytes(files[f"{role}.json"]).signatures
        resign(files, role, lambda signed: signed.unrecognized_fields.update(note="mine"), hands)
        found: Metadata[Any] = Metadata.from_bytes(files[f"{role}.json"])
        found.signatures.update({k: v for k, v in honest.items() if k not in found.signatures})
        files[f"{role}.json"] = found.to_bytes()

    before = box.snapshot()
    with pytest.raises(TrustError) as caught:
        box.install(with_tuf(bundle, bend))
    assert caught.value.code in ("METADATA", "QUORUM")
    assert box.snapshot() == before


def test_arbitrary_software_of_another_headquarters(box: ABox, tmp_path: Path) -> None:
    """Arbitrary installation: a complete, well-signed bundle for this very site, of a foreign headquarters."""
    thief = BundleForge(tmp_path / "thief")
    refused(box, thief.build(), "MIX", TrustError)


def test_arbitrary_software_under_our_root(published: Published, box: ABox, tmp_path: Path) -> None:
    """The same, with our own root put in the place of the thief's: nothing below it was signed by those it names."""
    thief = BundleForge(tmp_path / "thief").build()
    ours = tuf_files(published.bundle)["1.root.json"]
    refused(box, with_tuf(thief, lambda files: files.update({"1.root.json": ours})), "METADATA", TrustError)


@pytest.mark.parametrize("stolen", STOLEN)
def test_fast_forward(published: Published, box: ABox, bundle: Path, stolen: str) -> None:
    """Fast-forward: versions far ahead would lock the box against every honest bundle. It takes them afterwards."""
    hands = keys_of(published, **STOLEN[stolen])

    def forward(files: dict[str, bytes]) -> None:
        for role in ("snapshot", "timestamp"):
            resign(files, role, lambda signed: setattr(signed, "version", FAR), hands)

    before = box.snapshot()
    with pytest.raises(TrustError):
        box.install(with_tuf(bundle, forward))
    assert box.snapshot() == before
    box.install(bundle)


def test_freeze(tmp_path: Path) -> None:
    """Freeze: the mirror goes on showing what was honest a year ago; the timestamp has run out, nothing else has."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    old = forge.build()

    def brief(files: dict[str, bytes]) -> None:
        def soon(signed: Any) -> None:
            signed.expires = signed.expires.replace(year=2026, month=12, day=20)

        resign(files, "timestamp", soon, forge.signers())

    frozen = with_tuf(old, brief)
    forge.clock.pass_(days=30)
    refused(box, frozen, "EXPIRED", TrustError)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", "site-plans-clinic-jura"])
def test_the_same_version_re_issued(published: Published, box: ABox, bundle: Path, role: str) -> None:
    """Same version re-issued: the whole quorum signs other content under a version that this box has installed."""
    box.install(bundle)

    def again(files: dict[str, bytes]) -> None:
        resign(files, role, lambda s: s.unrecognized_fields.update(issued="2026-12-01T08:00:01Z"),
               published.forge.signers())  # fmt: skip

    refused(box, with_tuf(bundle, again), "MIX", TrustError)


def test_the_same_bundle_number_re_issued(tmp_path: Path) -> None:
    """Headquarters loses its folder and builds number 1 anew, with the same keys and other content."""
    forge = BundleForge(tmp_path)
    first = forge.build()
    box = forge.box()
    box.install(first)
    for name in ("timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"):
        (forge.repository.folder / "metadata" / f"{name}.json").unlink()
    (forge.repository.folder / "builds" / "clinic-jura.json").unlink()
    second = forge.build(forge.cargo(table={"stages": ["other"]}))
    refused(box, second, "MIX", TrustError)


def test_mix_and_match_of_two_sites(tmp_path: Path) -> None:
    """Mix and match: genuine metadata of this site's bundle, the genuine plan role of the sister site in its place."""
    forge = BundleForge(tmp_path)
    bundle = forge.build()
    box = forge.box()
    sister = tuf_files(forge.build(forge.cargo(site="clinic-doubs")))["site-plans-clinic-doubs.json"]

    def swap(files: dict[str, bytes]) -> None:
        files["site-plans-clinic-jura.json"] = sister

    before = box.snapshot()
    with pytest.raises((TrustError, MediumError)):
        box.install(with_tuf(bundle, swap))
    assert box.snapshot() == before


@pytest.mark.parametrize("person", ["ada", "ben", "cleo"])
@pytest.mark.parametrize("family", ["ed25519", "ml-dsa"])
def test_one_family_and_one_person_together(
    published: Published, box: ABox, bundle: Path, family: str, person: str
) -> None:
    """The worst below a quorum: one family is broken for everybody, and one person's other key is stolen too."""
    hands = {s.public_key.keyid: s for s in [*keys_of(published, family=family), *keys_of(published, person=person)]}
    bent = with_tuf(bundle, lambda files: another_model(files, hands.values()))
    assert "1 of 2" in str(refused(box, bent, "QUORUM", TrustError))
