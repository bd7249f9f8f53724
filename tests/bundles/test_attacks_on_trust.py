"""Custodians, mirrors and thieves of keys attack: every test names what they did; nothing on the box may change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.document import digest
from bundles.errors import GateError, MediumError, TrustError
from bundles.install import keep_time
from bundles.trust.custody import load_signers, make_keys
from bundles.trust.keys import key_id
from bundles.trust.quorum import Quorum, missing
from bundles.trust.stock import CryptoSigner, SSlibKey
from tests.support.bundles import (
    PASSPHRASE,
    ABox,
    BundleForge,
    Published,
    keep_signatures,
    refused,
    resign,
    tuf_files,
    with_tuf,
)

ROLES = ["timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"]


def bent_models(
    published: Published, change: Callable[[Any], None], signers: list[CryptoSigner]
) -> Callable[[dict[str, bytes]], None]:
    """Return a change of the TUF files: targets delegates models otherwise (honestly signed), models by `signers`."""

    def bend(files: dict[str, bytes]) -> None:
        resign(files, "targets", change, published.forge.signers())
        resign(files, "models", lambda signed: None, signers)

    return bend


@pytest.mark.parametrize("role", ROLES)
def test_unsigned(box: ABox, bundle: Path, role: str) -> None:
    """A role without any signature."""
    refused(box, with_tuf(bundle, lambda files: keep_signatures(files, role, set())), "METADATA", TrustError)


@pytest.mark.parametrize("family", ["ed25519", "ml-dsa"])
@pytest.mark.parametrize("role", ROLES)
def test_one_family_stripped(published: Published, box: ABox, bundle: Path, role: str, family: str) -> None:
    """One key family is broken and its signatures are worth nothing: what is left does not meet the quorum."""
    kept = {
        s.public_key.keyid for s in published.forge.signers() if s.public_key.unrecognized_fields["family"] != family
    }
    bent = with_tuf(bundle, lambda files: keep_signatures(files, role, kept))
    before = box.snapshot()
    with pytest.raises(TrustError):
        box.install(bent)
    assert box.snapshot() == before


@pytest.mark.parametrize("role", ROLES)
def test_a_plain_threshold_would_have_accepted(published: Published, box: ABox, bundle: Path, role: str) -> None:
    """Three Ed25519 and one ML-DSA signature pass stock TUF's 4 of 6; they do not pass the quorum."""
    forge = published.forge
    by_family = {
        family: [s.public_key.keyid for s in forge.signers() if s.public_key.unrecognized_fields["family"] == family]
        for family in ("ed25519", "ml-dsa")
    }
    kept = {*by_family["ed25519"], by_family["ml-dsa"][0], *(by_family["ml-dsa"][-1:] if "site" in role else [])}
    bent = with_tuf(bundle, lambda files: keep_signatures(files, role, kept))
    before = box.snapshot()
    with pytest.raises(TrustError):
        box.install(bent)
    assert box.snapshot() == before


def test_release_custodians_alone_sign_a_site_plan(published: Published, box: ABox, bundle: Path) -> None:
    """Every release custodian signed, compliance did not: stock TUF counts six signatures, the quorum does not."""
    kept = {s.public_key.keyid for s in published.forge.signers(["ada", "ben", "cleo"])}
    bent = with_tuf(bundle, lambda files: keep_signatures(files, ROLES[-1], kept))
    assert "compliance" in str(refused(box, bent, "QUORUM", TrustError))


def test_one_custodian_with_two_keys(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """Ada makes a second pair and signs twice: four signatures, two families, one person."""
    second = make_keys(tmp_path / "second", "ada", "release", PASSPHRASE)
    signers = [*published.forge.signers(["ada"]), *load_signers(tmp_path / "second", PASSPHRASE)]

    def delegate(signed: Any) -> None:
        for key in second.tuf_keys():
            signed.add_key(key, "models")

    refused(box, with_tuf(bundle, bent_models(published, delegate, signers)), "QUORUM", TrustError)


def test_one_key_under_two_ids(published: Published, box: ABox, bundle: Path) -> None:
    """The same Ed25519 key, spelt in capitals and given to somebody invented: python-tuf accepts both ids."""
    ada = next(s for s in published.forge.signers(["ada"]) if s.public_key.keytype == "ed25519")
    keyval = {"public": ada.public_key.keyval["public"].upper()}
    fields = {"custodian": "eve", "duty": "release", "family": "ed25519"}
    twin = SSlibKey(key_id("ed25519", "ed25519", keyval), "ed25519", "ed25519", keyval, fields)
    bent = bent_models(published, lambda signed: signed.add_key(twin, "models"), published.forge.signers())
    refused(box, with_tuf(bundle, bent), "KEY-TWICE", TrustError)


def test_a_key_id_that_is_not_the_keys_digest(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    made = make_keys(tmp_path / "eve", "eve", "release", PASSPHRASE)
    key = made.tuf_keys()[0]
    key.keyid = "0" * 64
    bent = bent_models(published, lambda signed: signed.add_key(key, "models"), published.forge.signers())
    refused(box, with_tuf(bundle, bent), "KEY-ID", TrustError)


def test_a_family_other_than_the_keytype_implies(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """An Ed25519 key declared as ML-DSA would let one broken family count as two."""
    made = make_keys(tmp_path / "eve", "eve", "release", PASSPHRASE)
    key = next(k for k in made.tuf_keys() if k.keytype == "ed25519")
    key.unrecognized_fields["family"] = "ml-dsa"
    bent = bent_models(published, lambda signed: signed.add_key(key, "models"), published.forge.signers())
    refused(box, with_tuf(bundle, bent), "KEY-FAMILY", TrustError)


def test_expired(published: Published, bundle: Path, tmp_path: Path) -> None:
    """A bundle from long ago, on a box that knows it is late."""
    box = published.box(tmp_path / "late")
    for _ in range(14):
        box.clock.pass_(days=30)
        keep_time(box.standing())
    refused(box, bundle, "EXPIRED", TrustError)


def test_last_months_bundle(tmp_path: Path) -> None:
    """A genuine, unexpired bundle, replaced since by a newer one: installing it again would be a rollback."""
    forge = BundleForge(tmp_path)
    old = forge.build()
    forge.clock.pass_(days=30)
    new = forge.build(forge.cargo(table={"stages": ["quote"]}))
    box = forge.box()
    box.install(new)
    refused(box, old, "ROLLBACK", TrustError)


def test_a_foreign_site(published: Published, bundle: Path, tmp_path: Path) -> None:
    """A genuine bundle for another site's box."""
    seed, card = published.forge.seed("clinic-basel", jurisdiction="CH-BS")
    box = ABox(tmp_path / "basel", published.forge.clock).enrol(seed, card)
    said = refused(box, bundle, "GATE", GateError)
    assert "clinic-jura" in str(said)
    assert "jurisdiction" in str(said)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("arch", "aarch64", "arch"),
        ("cpu_features", (), "avx2"),
        ("glibc", "2.17", "glibc"),
        ("python", "cp310", "python"),
    ],
)
def test_a_machine_it_was_not_built_for(tmp_path: Path, field: str, value: Any, says: str) -> None:
    """The gate compares with the enrolment record, not with what a stick says about the box."""
    forge = BundleForge(tmp_path)
    name = "numpy-2.4.6-cp311-cp311-manylinux_2_34_x86_64.whl"
    wheel = forge.cargo().wheels[0]
    native = wheel.with_name(name)
    native.write_bytes(wheel.read_bytes())
    bundle = forge.build(forge.cargo(cpu_features=("avx2",), wheels=(native,)))
    seed, card = forge.seed()
    box = ABox(tmp_path / "box", forge.clock)
    box.machine = replace(box.machine, **{field: value})
    assert says in str(refused(box.enrol(seed, card), bundle, "GATE", GateError))


def test_a_demo_root_on_a_production_box(tmp_path: Path) -> None:
    """Demo keys are made in public; a seed with them is refused unless the box says that it is a demo."""
    forge = BundleForge(tmp_path, demo=True)
    seed, card = forge.seed()
    box = ABox(tmp_path / "box", forge.clock)
    with pytest.raises(TrustError, match="ENVIRONMENT"):
        box.enrol(seed, card)
    assert not (box.root / "identity" / "enrolment.json").exists()
    box.enrol(seed, card, demo=True).install(forge.build())


def test_a_demo_root_whose_mark_was_removed(tmp_path: Path) -> None:
    """The mark stands at every key too, and key ids do not cover it, but the root's signatures do."""
    forge = BundleForge(tmp_path, demo=True)
    root = json.loads(forge.repository.roots()[-1].read_bytes())
    root["signed"]["environment"] = "production"
    forge.repository.roots()[-1].write_text(json.dumps(root))
    seed, card = forge.seed(environment="production")
    with pytest.raises(TrustError):
        ABox(tmp_path / "box", forge.clock).enrol(seed, card)


def test_mix_of_two_releases(tmp_path: Path) -> None:
    """Genuine metadata of today with last month's site plan role, each validly signed."""
    forge = BundleForge(tmp_path)
    old = forge.build()
    forge.clock.pass_(days=30)
    new = forge.build(forge.cargo(table={"stages": ["quote"]}))

    def mix(files: dict[str, bytes]) -> None:
        files[f"{ROLES[-1]}.json"] = tuf_files(old)[f"{ROLES[-1]}.json"]

    refused(forge.box(), with_tuf(new, mix), "METADATA", TrustError)


def test_two_contents_of_one_version(published: Published, box: ABox, bundle: Path) -> None:
    """Headquarters' keys sign another timestamp under a version this box has seen: one of the two is a lie."""
    box.install(bundle)

    def again(files: dict[str, bytes]) -> None:
        def later(signed: Any) -> None:
            signed.unrecognized_fields["issued"] = "2026-12-01T09:00:00Z"

        resign(files, "timestamp", later, published.forge.signers())

    refused(box, with_tuf(bundle, again), "MIX", TrustError)


def test_a_role_without_a_signed_time(published: Published, box: ABox, bundle: Path) -> None:
    def timeless(files: dict[str, bytes]) -> None:
        resign(files, "snapshot", lambda signed: signed.unrecognized_fields.pop("issued"), published.forge.signers())

    refused(box, with_tuf(bundle, timeless), "ISSUED", TrustError)


def test_a_target_outside_its_delegation(published: Published, box: ABox, bundle: Path) -> None:
    """The models' custodians sign a site plan, or a path with another level."""
    from bundles.trust.stock import TargetFile

    def reach(files: dict[str, bytes]) -> None:
        extra = TargetFile(1, {"sha256": "0" * 64}, "models/deep/x.json")
        resign(files, "models", lambda s: s.targets.update({"models/deep/x.json": extra}), published.forge.signers())

    refused(box, with_tuf(bundle, reach), "TARGET-PATH", TrustError)


def test_an_unsigned_field_beside_the_signed(box: ABox, bundle: Path) -> None:
    """python-tuf keeps unknown fields of an envelope; nobody signed them."""

    def decorate(files: dict[str, bytes]) -> None:
        files["targets.json"] = b'{"note":"trust me",' + files["targets.json"][1:]

    refused(box, with_tuf(bundle, decorate), "ENVELOPE", MediumError)


def test_duplicate_keys_in_metadata(box: ABox, bundle: Path) -> None:
    """A parser that keeps the last key verifies one document, a parser that keeps the first reads another."""

    def twice(files: dict[str, bytes]) -> None:
        files["targets.json"] = files["targets.json"].replace(b'"version":1', b'"version":9,"version":1')

    refused(box, with_tuf(bundle, twice), "DOCUMENT", MediumError)


def test_a_revoked_blob(tmp_path: Path) -> None:
    """A model revoked by an installed plan does not come back in a newer bundle."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    box.install(forge.build())
    model = digest(forge.cargo().files["models/minilm/w8/model.onnx"].read_bytes())
    refused(box, forge.build(forge.cargo(revoked=(model,))), "REVOKED", TrustError)


def test_residency_at_the_door(box: ABox, bundle: Path) -> None:
    """What `hybrid` passes in refuses the plan; the bundle is genuine and stays out."""
    before = box.snapshot()
    with pytest.raises(GateError, match="health data may not stand here"):
        box.install(bundle, residency=lambda table, enrolment: ["health data may not stand here"])
    assert box.snapshot() == before


SCHEMES = Quorum().schemes
PEOPLE = {"ada": "release", "ben": "release", "cleo": "release", "dora": "compliance", "emil": "compliance"}


@settings(max_examples=150, deadline=None)
@given(st.sets(st.tuples(st.sampled_from(sorted(PEOPLE)), st.sampled_from(["ed25519", "ml-dsa"]), st.integers(0, 1))))
def test_the_quorum_counts_people_per_family(signers: set[tuple[str, str, int]]) -> None:
    """Law: met exactly when each family has two release custodians, and for site plans one of compliance."""
    from bundles.trust.keys import CustodianKey

    keys = [
        CustodianKey(f"{p}{f}{n}", p, PEOPLE[p], f, SCHEMES[f], "production", f"{p}{f}{n}".encode())
        for p, f, n in signers
    ]
    for role, compliance in (("models", 0), ("site-plans-x", 1)):
        enough = all(
            len({p for p, f, _ in signers if f == family and PEOPLE[p] == duty}) >= count
            for family in ("ed25519", "ml-dsa")
            for duty, count in (("release", 2), ("compliance", compliance))
        )
        assert (not missing(role, keys, Quorum())) == enough


def test_a_root_nobody_verified_is_put_in_the_place_of_the_one_in_force(
    published: Published, box: ABox, bundle: Path, tmp_path: Path
) -> None:
    """The carrier swaps the root that the box has already climbed past for one of the carrier's own quorum.

    Everything else on the stick is honest and signed; the box's root of trust stays, and so does all else.
    """
    thief = BundleForge(tmp_path / "thief")
    own = (thief.repository.folder / "metadata" / "1.root.json").read_bytes()
    refused(box, with_tuf(bundle, lambda files: files.update({"1.root.json": own})), "MIX", TrustError)


@pytest.mark.parametrize(
    "name", ["../../escaped/x.root.json", "x.root.json", "01.root.json", "9.root.json", "a/b.json"]
)
def test_a_file_that_no_role_names_stands_among_the_metadata(box: ABox, bundle: Path, name: str) -> None:
    """The carrier adds a TUF file under a name that leads out of the box's folder, or that no root leads to."""
    refused(box, with_tuf(bundle, lambda files: files.update({name: b"{}"})), "TUF-FILES", MediumError)
    assert not list(box.root.parent.rglob("*x.root.json"))


def test_a_root_that_the_box_has_outgrown_is_not_taken_from_a_stick(tmp_path: Path) -> None:
    """After a rotation the carrier swaps the root before it, which nobody reads any more: the box keeps its own."""
    forge, thief = BundleForge(tmp_path / "forge"), BundleForge(tmp_path / "thief")
    box = forge.box()
    box.install(forge.build())
    forge.repository.replace_custodians(forge.custodians, forge.clock.now)
    rotated = forge.build()
    box.install(rotated)
    old = box.root / "trust" / "metadata" / "1.root.json"
    before, own = old.read_bytes(), (thief.repository.folder / "metadata" / "1.root.json").read_bytes()
    box.install(with_tuf(rotated, lambda files: files.update({"1.root.json": own})))
    assert old.read_bytes() == before
    assert (box.root / "trust" / "root.json").read_bytes() == tuf_files(rotated)["2.root.json"]
