"""Profile `cnsa2`: ML-DSA-87 counts and nothing less, SHA-384 stands beside SHA-256 wherever bytes are signed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from bundles import store
from bundles.errors import InputError, TrustError
from bundles.layout import Box
from bundles.medium import Medium
from bundles.trust.custody import load_signers, make_keys
from bundles.trust.quorum import Quorum
from bundles.trust.repository import Repository
from bundles.trust.stock import TargetFile
from tests.bundles.test_delta import MODEL, tensors, tuned, write_onnx
from tests.support.bundles import PASSPHRASE, PEOPLE, START, BundleForge, blobs, refused, resign, tuf_files, with_tuf

CNSA2 = Quorum(profile="cnsa2")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path, quorum=CNSA2)


def test_a_box_of_cnsa2_installs(forge: BundleForge) -> None:
    """Every target and every blob is signed by both hashes, every role by ML-DSA-87 beside Ed25519."""
    box = forge.box()
    bundle = forge.build()
    with Medium(bundle) as medium:
        verified = forge_verify(forge, medium)
        assert set(verified.blobs) <= set(verified.sha384)
        verified.check_blobs()
    outcome = box.install(bundle)
    for file in outcome.record.files.values():
        data = Box(box.root).blob(file.digest).read_bytes()
        assert hashlib.sha384(data).hexdigest() == verified.sha384[file.digest]
    assert box.enrolled is not None
    assert box.enrolled.record.quorum == CNSA2


def forge_verify(forge: BundleForge, medium: Medium) -> Any:
    from bundles.verification import Trust, verify

    return verify(medium, Trust(forge.repository.roots()[0].read_bytes(), "production", forge.clock.now))


def test_keys_of_the_lesser_profile_sign_in_vain(forge: BundleForge, tmp_path: Path) -> None:
    """Two custodians add ML-DSA-65 keys of theirs to targets' delegation and sign models with them: not counted."""
    bundle, box = forge.build(), forge.box()
    lesser = {name: tmp_path / "lesser" / name for name in ("ada", "ben")}
    made = {name: make_keys(folder, name, "release", PASSPHRASE) for name, folder in lesser.items()}

    def bend(files: dict[str, bytes]) -> None:
        def admit(signed: Any) -> None:
            for key in (key for person in made.values() for key in person.tuf_keys()):
                signed.add_key(key, "models")

        resign(files, "targets", admit, forge.signers())
        resign(files, "models", lambda signed: None, [s for f in lesser.values() for s in load_signers(f, PASSPHRASE)])

    assert "ml-dsa" in str(refused(box, with_tuf(bundle, bend), "QUORUM", TrustError))


def test_a_target_without_its_sha384(forge: BundleForge) -> None:
    """Custodians of the profile sign a target by SHA-256 alone, as an older tool writes it."""

    def strip(files: dict[str, bytes]) -> None:
        def change(signed: Any) -> None:
            for target in signed.targets.values():
                target.hashes.pop("sha384")

        resign(files, "models", change, forge.signers())

    refused(forge.box(), with_tuf(forge.build(), strip), "TARGET", TrustError)


def test_a_target_whose_sha256_was_made_to_collide(forge: BundleForge) -> None:
    """SHA-256 agrees and SHA-384 does not, as after a collision: the manifest is not even parsed."""

    def collide(files: dict[str, bytes]) -> None:
        def change(signed: Any) -> None:
            for path, target in signed.targets.items():
                other = {**target.hashes, "sha384": hashlib.sha384(b"the other message").hexdigest()}
                signed.targets[path] = TargetFile(target.length, other, path)

        resign(files, "models", change, forge.signers())

    said = str(refused(forge.box(), with_tuf(forge.build(), collide), "BLOB", TrustError))
    assert hashlib.sha384(b"the other message").hexdigest() in said


def test_a_blob_whose_sha256_was_made_to_collide(tmp_path: Path) -> None:
    """The store takes a blob in one pass under both hashes, or keeps nothing."""
    box, data = Box(tmp_path), b"weights"
    name, other = "sha256:" + hashlib.sha256(data).hexdigest(), hashlib.sha384(b"the other message").hexdigest()
    source = tmp_path / "blob"
    source.write_bytes(data)
    with source.open("rb") as file, pytest.raises(TrustError, match="BLOB"):
        store.Store(box).put(name, len(data), file, sha384=other)
    assert not [path for path in box.store.rglob("*") if path.is_file()]
    with source.open("rb") as file:
        store.Store(box).put(name, len(data), file, sha384=hashlib.sha384(data).hexdigest())
    with pytest.raises(store.StateError):
        store.Store(box).rehash(name, other)


def test_keys_of_one_profile_make_no_repository_of_the_other(tmp_path: Path) -> None:
    made = [make_keys(tmp_path / name, name, duty, PASSPHRASE) for name, duty in PEOPLE.items()]
    with pytest.raises(InputError, match="cnsa2"):
        Repository.create(tmp_path / "trust", made, issued=START, quorum=CNSA2)
    assert not (tmp_path / "trust").exists()


def test_the_profile_changes_by_a_root_that_the_old_rule_signs(tmp_path: Path) -> None:
    """A box enrolled under `standard` follows to `cnsa2` once the old custodians' keys signed that root, not before."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    box.install(forge.build())
    old = forge.signers()
    forge.people = dict(PEOPLE)
    stronger = [
        make_keys(tmp_path / "keys87" / name, name, duty, PASSPHRASE, profile="cnsa2") for name, duty in PEOPLE.items()
    ]
    new = [s for name in PEOPLE for s in load_signers(tmp_path / "keys87" / name, PASSPHRASE)]
    forge.clock.pass_(days=1)
    forge.repository.replace_custodians(stronger, forge.clock.now, quorum=CNSA2)
    forge.repository.sign(new)
    assert not forge.repository.publish()
    assert any("0 of 2" in line for line in forge.repository.lacking("root"))
    forge.repository.sign(old)
    assert forge.repository.publish()
    bundle = forge.build(forge.cargo(table={}), signers=new)
    assert set(tuf_files(bundle)) >= {"1.root.json", "2.root.json"}
    box.install(bundle)


def test_a_root_of_an_unknown_profile(forge: BundleForge) -> None:
    """A profile this verifier does not know is no reason to fall back to one it does."""

    def invent(files: dict[str, bytes]) -> None:
        def change(signed: Any) -> None:
            signed.version = 2
            signed.unrecognized_fields["quorum"]["profile"] = "cnsa9"

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", change, forge.signers())

    refused(forge.box(), with_tuf(forge.build(), invent), "QUORUM-RULE", TrustError)


def test_a_model_made_from_a_delta(forge: BundleForge, tmp_path: Path) -> None:
    """What a box makes from its base is held to the SHA-384 of the result, like what it copies."""
    box, files = forge.box(), dict(forge.cargo().files)
    first = forge.build(forge.cargo(files=files | {MODEL: write_onnx(tmp_path / "first" / "m.onnx", tensors(1))}))
    forge.clock.pass_(days=1)
    result = write_onnx(tmp_path / "second" / "m.onnx", tuned(tensors(1)))
    second = forge.build(forge.cargo(files=files | {MODEL: result}, base=first))
    box.install(first)
    assert hashlib.sha256(result.read_bytes()).hexdigest() not in {path.name for path in blobs(second)}
    kept = box.install(second).record.files[MODEL]
    assert Box(box.root).blob(kept.digest).read_bytes() == result.read_bytes()
    store.Store(Box(box.root)).rehash(kept.digest, hashlib.sha384(result.read_bytes()).hexdigest())
