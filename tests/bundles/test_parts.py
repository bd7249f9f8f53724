"""The small parts: strict documents, wheels, runtime, bill, medium, gate, each with one deviation."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import oci
from bundles.bill import bill_of
from bundles.document import canonical, parse
from bundles.errors import InputError, MediumError, TrustError
from bundles.layout import Box, logical_path
from bundles.runtime import unpack
from bundles.wheels import collect, needs_of, read_lock
from tests.support.bundles import BundleForge, Published, a_wheel, take

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=5), child, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_what_is_written_is_read_again(value: dict[str, object]) -> None:
    """Law: canonical bytes parse to the same value, and any prefix of them does not parse."""
    data = canonical(value)
    assert parse(data, what="x") == value
    with pytest.raises(MediumError):
        parse(data[:-1], what="x")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "duplicate key 'a'"),
        (b'{"a":{"b":1,"b":2}}', "duplicate key 'b'"),
        (b'{"a":1.0}', "no integer"),
        (b'{"a":NaN}', "no integer"),
        (b'{"a":1e3}', "no integer"),
        (b'{"a":"\xff"}', "utf-8"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper"),
        (b'{"a":' + b"[" * 100_000, "nested"),
        (b"[]", "not a JSON object"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond"),
    ],
)
def test_a_document_with_two_meanings_or_none(data: bytes, why: str) -> None:
    with pytest.raises(MediumError, match=why):
        parse(data, what="x")


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "a/../b", ".hidden", "a\\b", "a:b", "a/b.", "e\u0301", "", "a\nb", "x" * 401]
)
def test_a_file_path_that_could_mean_two_things(path: str) -> None:
    with pytest.raises(MediumError, match="PATH"):
        logical_path("models/minilm.w8.json", path)


@pytest.mark.parametrize("entry", ["evil.pth", "../../outside.py", "/etc/passwd", "pkg\\..\\x.py"])
def test_a_wheel_that_reaches_out(tmp_path: Path, entry: str) -> None:
    """A path hook, or a path outside: the runtime does not appear at all."""
    wheel = a_wheel(tmp_path, {entry: "import os"})
    box = Box(tmp_path / "box")
    with pytest.raises(TrustError, match="WHEEL"):
        unpack(box, {wheel.name: wheel}, "sha256:" + "1" * 64, cap=10**6)
    assert not list((tmp_path / "box").rglob("*.py"))


def test_a_link_in_a_wheel(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, {})
    with zipfile.ZipFile(wheel, "a") as archive:
        link = zipfile.ZipInfo("pkg/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/shadow")
    with pytest.raises(TrustError, match="WHEEL"):
        unpack(Box(tmp_path / "box"), {wheel.name: wheel}, "sha256:" + "1" * 64, cap=10**6)


def test_scripts_of_a_wheel_stay_behind(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, {"x-1.data/scripts/run": "#!/bin/sh", "x-1.data/purelib/kept.py": "A = 1"})
    box = Box(tmp_path / "box")
    unpack(box, {wheel.name: wheel}, "sha256:" + "1" * 64, cap=10**6)
    names = {path.name for path in box.runtimes.rglob("*")}
    assert "kept.py" in names
    assert "run" not in names


def test_the_lock_decides_which_wheels_travel(tmp_path: Path) -> None:
    """A wheel whose bytes the lock does not name, and a pin without its wheel."""
    wheel = a_wheel(tmp_path, {}, "thing", "1.0")
    lock = tmp_path / "edge.txt"
    lock.write_text("thing==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(TrustError, match="WHEEL"):
        collect(tmp_path, lock)
    wheel.unlink()
    with pytest.raises(InputError, match="holds 0 wheels of thing"):
        collect(tmp_path, lock)


def test_a_pin_without_a_hash(tmp_path: Path) -> None:
    lock = tmp_path / "edge.txt"
    lock.write_text("thing==1.0\n")
    with pytest.raises(InputError, match="has no hash"):
        read_lock(lock)


def test_what_wheels_ask_of_a_machine() -> None:
    names = [
        "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "idna-3.20-py3-none-any.whl",
        "cryptography-50.0.2-cp311-abi3-manylinux_2_34_x86_64.whl", "protobuf-7-cp310-abi3-manylinux2014_x86_64.whl",
    ]  # fmt: skip
    assert needs_of([Path(name) for name in names]) == ("2.34", "cp311")
    assert needs_of([Path(names[1])]) == (None, None)


def test_the_bill_names_every_file_once(published: Published) -> None:
    """CycloneDX 1.6: the required fields, unique references, a hash for every file, the same bytes again."""
    verified = published.verify(published.bundle)
    bill = json.loads(take(published.bundle, verified.manifest.bill.digest))
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert bill["serialNumber"].startswith("urn:uuid:")
    parts = [part for c in bill["components"] for part in (c, *c.get("components", ()))]
    refs = [part["bom-ref"] for part in parts]
    assert len(refs) == len(set(refs))
    hashes = {h["content"] for part in parts for h in part.get("hashes", ())}
    assert hashes == {blob.digest[7:] for blob in verified.files.values()}
    assert {c["type"] for c in bill["components"]} == {"machine-learning-model", "library", "data", "file"}
    assert bill_of("clinic-jura", verified.manifest.issued, verified.files) == take(
        published.bundle, verified.manifest.bill.digest
    )


def test_the_layout_is_one_that_oci_tools_know(published: Published) -> None:
    """Every manifest of the index is an OCI image manifest whose blobs are there in their lengths and digests."""
    index = json.loads((published.bundle / "index.json").read_bytes())
    types = set()
    for entry in index["manifests"]:
        manifest = json.loads(take(published.bundle, entry["digest"]))
        assert manifest["schemaVersion"] == 2
        assert manifest["mediaType"] == oci.MANIFEST
        types.add(manifest["artifactType"])
        for blob in (manifest["config"], *manifest["layers"]):
            assert len(take(published.bundle, blob["digest"])) == blob["size"]
    assert types == {oci.TUF, oci.BUNDLE, oci.RUNTIME, oci.SITEPLAN, oci.MODEL}


def test_no_medium_of_ours_holds_what_fat32_cannot(published: Published) -> None:
    for path in published.bundle.rglob("*"):
        assert not path.is_symlink()
        assert path.name == path.name.lower()
        assert path.is_dir() or not path.stat().st_mode & 0o111


def test_only_verification_makes_a_verified_bundle(published: Published) -> None:
    from dataclasses import replace

    verified = published.verify(published.bundle)
    with pytest.raises(TypeError, match="verify alone"):
        replace(verified, proof=object())


def test_a_forge_without_a_runtime(tmp_path: Path) -> None:
    """An update may leave the runtime as it is."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    outcome = box.install(forge.build(forge.cargo(wheels=())))
    assert outcome.record.runtime is None
