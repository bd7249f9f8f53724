"""First trust: a seed, a card that travelled separately, a request that travels home, a fingerprint read aloud."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from bundles.admission import admit, admitted
from bundles.document import canonical
from bundles.enrolment import check_request
from bundles.errors import BundleError, GateError, MediumError, TrustError
from bundles.layout import Box
from tests.support.bundles import ABox, BundleForge, FakeClock, Published, flip


def test_a_box_makes_four_separate_keys_that_only_root_reads(box: ABox) -> None:
    identity = Box(box.root).identity
    publics = set()
    for use in ("passport", "tls", "log", "receipt"):
        file = identity / f"{use}.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = load_pem_private_key(file.read_bytes(), None)
        assert use == "tls" or isinstance(key, Ed25519PrivateKey)
        publics.add(file.read_bytes())
    assert len(publics) == 4
    assert stat.S_IMODE(identity.stat().st_mode) == 0o700


def test_a_seed_other_than_the_card_says(published: Published, tmp_path: Path) -> None:
    """A whole seed of the attacker's, consistent in itself: only the card tells it apart."""
    evil = BundleForge(tmp_path / "evil")
    seed, _ = evil.seed()
    box = ABox(tmp_path / "box", FakeClock())
    with pytest.raises(TrustError, match="CARD"):
        box.enrol(seed, published.card)
    assert not list(box.root.rglob("*.key"))


@pytest.mark.parametrize("name", ["root.json", "site.json"])
def test_a_flipped_bit_on_the_seed(published: Published, tmp_path: Path, name: str) -> None:
    seed, card = published.forge.seed()
    flip(seed / name)
    with pytest.raises(TrustError, match="SEED"):
        ABox(tmp_path / "box", FakeClock()).enrol(seed, card)


def test_an_extra_file_on_the_seed(published: Published, tmp_path: Path) -> None:
    seed, card = published.forge.seed()
    (seed / "setup.sh").write_text("rm -rf /")
    with pytest.raises(MediumError, match=r"setup\.sh"):
        ABox(tmp_path / "box", FakeClock()).enrol(seed, card)


def test_a_box_is_enrolled_once(published: Published, box: ABox) -> None:
    """Whoever could enrol a box again would give it another root of trust."""
    before = box.snapshot()
    seed, card = published.forge.seed()
    with pytest.raises(GateError, match="ENROLLED"):
        box.enrol(seed, card)
    assert box.snapshot() == before


def test_a_request_is_admitted_with_its_fingerprint_and_reaches_the_plan(tmp_path: Path) -> None:
    forge = BundleForge(tmp_path)
    box = forge.box()
    assert box.enrolled is not None
    file = Box(box.root).request
    admit(forge.repository, file, [box.enrolled.fingerprint.upper()])
    keys = tuple(key for request in admitted(forge.repository) for key in request.keys)
    box.install(forge.build(forge.cargo(keys=keys)))
    from bundles.release import open_release

    carried = open_release(box.root).site_plan["keys"]
    assert {key["use"] for key in carried} == {"passport", "tls", "log", "receipt"}
    passport = next(key for key in carried if key["use"] == "passport")
    own = load_pem_private_key((Box(box.root).identity / "passport.key").read_bytes(), None)
    assert load_pem_public_key(passport["publicKey"].encode()) == own.public_key()
    assert set(passport) == {"site", "use", "keyid", "publicKey", "from", "until"}


def test_a_request_nobody_confirmed(published: Published, box: ABox) -> None:
    with pytest.raises(TrustError, match="FINGERPRINT"):
        admit(published.forge.repository, Box(box.root).request, ["0" * 64])
    assert not admitted(published.forge.repository)


def test_a_request_whose_key_was_exchanged(published: Published, box: ABox, tmp_path: Path) -> None:
    """The carrier puts a key of his own in the request; he cannot sign for the box."""
    seed, card = published.forge.seed()
    other = ABox(tmp_path / "other", FakeClock()).enrol(seed, card)
    assert box.enrolled is not None
    assert other.enrolled is not None
    mine, his = box.enrolled.request, other.enrolled.request
    with pytest.raises(TrustError, match="signature"):
        check_request(mine.model_copy(update={"keys": (his.keys[0], *mine.keys[1:])}))


@pytest.mark.parametrize("junk", [b"{}", b"", b'{"kind":"EnrolmentRequest"}'])
def test_a_request_that_is_none(published: Published, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "request.json").write_bytes(junk)
    with pytest.raises(BundleError):
        admit(published.forge.repository, tmp_path / "request.json", [])


def test_a_cut_enrolment_may_be_run_again(published: Published, box: ABox) -> None:
    """The enrolment record is written last: without it the box is nobody and can be enrolled."""
    Box(box.root).enrolment.unlink()
    box.enrol(published.seed, published.card)
    assert canonical(box.enrolled.record) if box.enrolled else False
