"""Roots change while a site is away for months or years; whatever a box has seen, it climbs every step or stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import BundleError, TrustError
from bundles.trust.quorum import Quorum
from bundles.trust.stock import CryptoSigner, EnvelopeType, TrustedMetadataSet
from tests.bundles.test_custodians import newcomer
from tests.support.bundles import ABox, BundleForge, refused, resign, tuf_files, with_tuf

NEW = ("emil", "faye", "gus", "hana", "ivo", "june")


def rotated(forge: BundleForge) -> dict[int, list[CryptoSigner]]:
    """Replace one custodian after the other until nobody of the first root is left; return who signs each root."""
    signers = {1: forge.signers()}
    leaving = ["ada", "ben", "cleo", *NEW]
    for number, name in enumerate(NEW):
        forge.clock.pass_(days=20)
        made = newcomer(forge, name)
        stay = [p for p in forge.repository.custodians() if p.custodian != leaving[number]]
        forge.repository.replace_custodians([*stay, made], forge.clock.now)
        signers[number + 2] = forge.signers()
        forge.repository.sign(forge.signers())
        assert forge.repository.publish()
        del forge.people[leaving[number]]
    return signers


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def a_box(forge: BundleForge) -> ABox:
    return forge.box()


def test_from_root_1_to_root_7(forge: BundleForge) -> None:
    """None of the custodians whom the box knows is left; every step was signed by those before and those after."""
    box = a_box(forge)
    rotated(forge)
    bundle = forge.build()
    box.install(bundle)
    assert json.loads((box.root / "trust" / "root.json").read_bytes())["signed"]["version"] == 7
    assert {f"{n}.root.json" for n in range(2, 8)} <= {p.name for p in (box.root / "trust" / "metadata").iterdir()}


def test_roots_in_between_that_ran_out(forge: BundleForge) -> None:
    """Only the last root must hold today (TUF 5.3.10): what ended while the site was away is climbed all the same."""
    box = a_box(forge)
    signers = rotated(forge)

    def end(files: dict[str, bytes]) -> None:
        for version in range(2, 7):
            resign(files, f"{version}.root", brief, [*signers[version - 1], *signers[version]])

    def brief(signed: Any) -> None:
        signed.expires = signed.expires.replace(year=2026, month=12, day=31)
        signed.unrecognized_fields["issued"] = "2026-12-01T08:00:00Z"

    bundle = with_tuf(forge.build(), end)
    assert all(b"2026-12-31" in tuf_files(bundle)[f"{version}.root.json"] for version in range(2, 7))
    forge.clock.pass_(days=40)
    box.install(bundle)


def test_the_last_root_ran_out(forge: BundleForge) -> None:
    """A quorum that nobody renewed gives no orders any more."""
    box = a_box(forge)
    signers = rotated(forge)

    def end(files: dict[str, bytes]) -> None:
        def brief(signed: Any) -> None:
            signed.expires = signed.expires.replace(year=2026, month=12, day=31)
            signed.unrecognized_fields["issued"] = "2026-12-01T08:00:00Z"

        resign(files, "7.root", brief, [*signers[6], *signers[7]])

    bundle = with_tuf(forge.build(), end)
    forge.clock.pass_(days=40)
    refused(box, bundle, "EXPIRED", TrustError)


@pytest.mark.parametrize("gone", [2, 4, 7])
def test_a_root_is_missing_on_the_stick(forge: BundleForge, gone: int) -> None:
    """The carrier leaves a step out, so that a box stays with custodians who were revoked: nothing is installed."""
    box = a_box(forge)
    rotated(forge)
    bundle = forge.build()
    before = box.snapshot()

    def leave_out(files: dict[str, bytes]) -> None:
        del files[f"{gone}.root.json"]

    with pytest.raises(BundleError) as caught:
        box.install(with_tuf(bundle, leave_out))
    assert caught.value.code == ("ROOT-MISSING" if gone == 7 else "METADATA")
    assert box.snapshot() == before


def test_revoked_custodians_sign_on(forge: BundleForge) -> None:
    """Those who left keep their keys and sign a next root of their own on top of root 1: the box is past that."""
    box = a_box(forge)
    signers = rotated(forge)
    bundle = forge.build()
    box.install(bundle)

    def fork(files: dict[str, bytes]) -> None:
        def next_(signed: Any) -> None:
            signed.version = 8

        files["8.root.json"] = tuf_files(bundle)["1.root.json"]
        resign(files, "8.root", next_, signers[1])

    refused(box, with_tuf(bundle, fork), "METADATA", TrustError)


def test_a_bundle_is_built_while_a_rotation_waits(forge: BundleForge) -> None:
    """The models were signed by ada and cleo; cleo leaves; before that is published a plan is built: both go out."""
    box = forge.box()
    box.install(forge.build(signers=forge.signers(["ada", "cleo", "dora"])))
    forge.clock.pass_(days=1)
    stay = [person for person in forge.custodians if person.custodian != "cleo"]
    forge.repository.replace_custodians(stay, forge.clock.now)
    both = forge.signers(["ada", "ben", "cleo", "dora"])
    bundle = forge.build(forge.cargo(table={"stages": []}), signers=both)
    assert json.loads(tuf_files(bundle)["models.json"])["signed"]["version"] == 2
    box.install(bundle)


@pytest.mark.parametrize("broken", ["ed25519", "ml-dsa"])
def test_a_root_that_half_of_the_old_quorum_signs(forge: BundleForge, tmp_path: Path, broken: str) -> None:
    """One family is broken for all, ada's other key is stolen: four signatures, as many as the old root's threshold.

    With them thieves sign a next root of their own people, whose own quorum is met; stock TUF would follow it.
    """
    box = a_box(forge)
    thieves = BundleForge(tmp_path / "thieves", people={"mal": "release", "max": "release", "mia": "compliance"})
    theirs = tuf_files(thieves.build())["1.root.json"]
    stolen = [s for s in forge.signers() if s.public_key.unrecognized_fields["family"] == broken]
    hands = {s.public_key.keyid: s for s in [*stolen, *forge.signers(["ada"]), *thieves.signers()]}

    def take_over(files: dict[str, bytes]) -> None:
        files["2.root.json"] = theirs
        resign(files, "2.root", lambda signed: setattr(signed, "version", 2), hands.values())

    bent = with_tuf(forge.build(), take_over)
    first, second = (tuf_files(bent)[f"{version}.root.json"] for version in (1, 2))
    assert TrustedMetadataSet(first, EnvelopeType.METADATA).update_root(second).version == 2
    assert "1 of 2" in str(refused(box, bent, "QUORUM", TrustError))


def test_a_quorum_that_grows_is_asked_of_the_next_root(forge: BundleForge) -> None:
    """From two to three people per family: the root that says so needs three of its own and two of the old."""
    box = a_box(forge)
    forge.clock.pass_(days=1)
    forge.repository.replace_custodians(forge.custodians, forge.clock.now, quorum=Quorum(custodians=3))
    forge.repository.sign(forge.signers(["ada", "ben"]))
    assert not forge.repository.publish()
    forge.repository.sign(forge.signers(["cleo"]))
    assert forge.repository.publish()
    two = [*forge.signers(["ada", "ben"]), *forge.signers(["dora"])]
    assert "2 of 3" in str(forge.try_build(signers=two)[1].lacking)
    box.install(forge.build())
