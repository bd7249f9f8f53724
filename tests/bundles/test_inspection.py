"""What a bundle shows before anybody installs it: contents, who signed, how long it holds, what it would change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bundles.difference import difference, known_at
from bundles.errors import BundleError, InputError, TrustError
from bundles.inspection import bill_in, look, verified_files, verified_roles
from bundles.medium import Medium
from bundles.packing import pack
from bundles.verification import Trust, VerifiedBundle, verify
from tests.bundles.test_commands import hybrid
from tests.support.bundles import BundleForge, Published, copy_of, flip, keep_signatures, put, with_tuf


def verified(forge: BundleForge, medium: Medium) -> VerifiedBundle:
    return verify(medium, Trust(forge.repository.roots()[0].read_bytes(), "production", forge.clock.now))


def test_who_signed_and_how_long_it_holds(published: Published) -> None:
    """Each role names its custodians with both families, and the days until it runs out."""
    now = published.forge.clock.now
    with Medium(published.bundle) as medium:
        roles = {role.role: role for role in verified_roles(verified(published.forge, medium), now)}
    wanted = {"root", "timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"}
    assert set(roles) == wanted
    people = {(one.custodian, one.family) for one in roles["models"].signatures if one.valid}
    assert people == {(who, family) for who in ("ada", "ben", "cleo") for family in ("ed25519", "ml-dsa")}
    duties = {one.duty for one in roles["site-plans-clinic-jura"].signatures}
    assert duties == {"release", "compliance"}
    assert (roles["root"].days_left, roles["targets"].days_left) == (5 * 365, 400)


def test_without_trust_the_same_is_shown_as_hearsay(published: Published) -> None:
    seen, now = look(published.bundle), published.forge.clock.now
    with Medium(published.bundle) as medium:
        bundle = verified(published.forge, medium)
        assert seen.files == verified_files(bundle)
        assert seen.roles(now) == verified_roles(bundle, now)


def test_a_stripped_or_bent_signature_is_shown(published: Published) -> None:
    """A signature that does not hold is listed, and said not to hold; nothing is raised by looking."""

    def bend(files: dict[str, bytes]) -> None:
        document = json.loads(files["models.json"])
        first = document["signatures"][0]
        first["sig"] = "00" + first["sig"][2:]
        files["models.json"] = json.dumps(document).encode()
        keep_signatures(files, "runtime", {json.loads(files["runtime.json"])["signatures"][0]["keyid"]})

    seen = look(with_tuf(published.bundle, bend))
    roles = {role.role: role for role in seen.roles(published.forge.clock.now)}
    assert [one.valid for one in roles["models"].signatures].count(False) == 1
    assert len(roles["runtime"].signatures) == 1


@pytest.mark.parametrize("junk", [b"{}", b'{"signed":{},"signatures":[]}', b'{"signed":1,"signed":2}', b"\xff"])
def test_an_envelope_that_is_none(published: Published, junk: bytes) -> None:
    def bend(files: dict[str, bytes]) -> None:
        files["models.json"] = junk

    with pytest.raises(BundleError):
        look(with_tuf(published.bundle, bend)).roles(published.forge.clock.now)


def test_the_bill_is_opened_after_it_was_compared(published: Published, bundle: Path) -> None:
    with Medium(bundle) as medium:
        found = verified(published.forge, medium)
        assert bill_in(found).models == ("minilm/w8",)
        assert bill_in(found).libraries == ("sovereign-hybrid 0.1.0",)
        flip(bundle / "blobs/sha256" / found.manifest.bill.digest[7:])
        with pytest.raises(TrustError, match="other bytes"):
            bill_in(found)


def test_what_it_would_change_at_a_site(tmp_path: Path) -> None:
    """Against a box, its release record, or its last bundle: the same answer, and nothing is installed."""
    forge = BundleForge(tmp_path)
    box, first = forge.box(), forge.build()
    box.install(first)
    files = dict(forge.cargo().files)
    (changed := tmp_path / "policy.yaml").write_text("kind: Policy\nversion: 2\n")
    (new := tmp_path / "cough.md").write_text("# Cough\n")
    files |= {"policy/policy.yaml": changed, "knowledge/care-protocols/cough.md": new}
    del files["knowledge/care-protocols/fever.md"]
    forge.clock.pass_(days=1)
    second, before = forge.build(forge.cargo(files=files)), box.snapshot()
    record = box.root / "releases/1/release.json"
    pack(first, tmp_path / "first.tar")
    found = [
        difference(look(second).files, known_at(place), {}) for place in (box.root, record, tmp_path / "first.tar")
    ]
    for one in found:
        assert (one.new, one.removed) == (
            ("knowledge/care-protocols/cough.md",),
            ("knowledge/care-protocols/fever.md",),
        )
        assert one.changed == ("policy/policy.yaml",)
        assert len(one.unchanged) == 3
        assert one.bytes_to_copy == changed.stat().st_size + new.stat().st_size
    with Medium(second) as medium:
        bundle = verified(forge, medium)
        documents = {
            name: size for name, size in bundle.blobs.items() if name not in dict(verified_files(bundle).values())
        }
    promised = difference(verified_files(bundle), known_at(box.root), documents).bytes_to_copy
    assert box.snapshot() == before
    assert box.install(second).record.written == promised


def test_against_a_box_without_a_release(tmp_path: Path, published: Published) -> None:
    box = published.box(tmp_path / "box")
    found = difference(look(published.bundle).files, known_at(box.root), {})
    assert (found.unchanged, found.removed) == ((), ())
    with pytest.raises(InputError, match="no box"):
        known_at(tmp_path / "nothing")


@pytest.mark.slow
def test_the_command_says_what_is_verified_and_what_is_not(published: Published, tmp_path: Path) -> None:
    trust = published.forge.folder / "trust"
    hearsay = hybrid("bundle", "inspect", published.bundle)
    assert (hearsay["verified"], hearsay["bill"], hearsay["difference"]) == (False, None, None)
    shown = hybrid("bundle", "inspect", published.bundle, "--trust", trust, "--against", published.bundle)
    assert shown["verified"] is True
    assert shown["files"] == hearsay["files"]
    assert shown["bill"]["models"] == ["minilm/w8"]
    assert all(one["holds"] for role in shown["roles"] for one in role["signatures"])
    bent = copy_of(published.bundle, tmp_path / "bent")
    put(bent, b"smuggled")
    assert "MEDIUM-EXTRA" in hybrid("bundle", "inspect", bent, "--trust", trust, code=3)
    shutil.rmtree(bent)
