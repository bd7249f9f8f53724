"""The carrier of the stick attacks: every test names what he did; nothing on the box may change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bundles.document import digest
from bundles.errors import MediumError, TrustError
from tests.support.bundles import ABox, Published, blobs, copy_of, flip, put, refused


def test_a_flipped_bit_in_any_blob(published: Published, box: ABox, tmp_path: Path) -> None:
    """One bit of one blob is other than signed, for every blob there is: nothing is installed, nothing stays."""
    for number, blob in enumerate(blobs(published.bundle)):
        stick = copy_of(published.bundle, tmp_path / f"stick-{number}")
        flip(stick / "blobs" / "sha256" / blob.name, bit=number % 8)
        before = box.snapshot()
        with pytest.raises((TrustError, MediumError)):
            box.install(stick)
        assert box.snapshot() == before
        assert not list(box.root.rglob("*.part"))
        assert all(digest(kept.read_bytes())[7:] == kept.name for kept in (box.root / "store").rglob("*/*/*"))


def test_a_flipped_bit_beside_the_blobs(published: Published, box: ABox, bundle: Path) -> None:
    """The index only says where to look: a bit of it either breaks the bundle or decides nothing."""
    honest = (bundle / "index.json").read_bytes()
    wanted, outcomes = published.verify(bundle).digest, set()
    for place in range(0, len(honest), 41):
        bent = bytearray(honest)
        bent[place] ^= 1 << (place % 8)
        (bundle / "index.json").write_bytes(bent)
        try:
            assert published.verify(bundle).digest == wanted
            outcomes.add("decided nothing")
        except (MediumError, TrustError):
            outcomes.add("refused")
    assert "refused" in outcomes


def test_another_version_of_the_layout(box: ABox, bundle: Path) -> None:
    (bundle / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    refused(box, bundle, "LAYOUT", MediumError)


@pytest.mark.parametrize("where", ["autorun.inf", "blobs/readme.txt", "blobs/sha256/notes"])
def test_an_extra_file(box: ABox, bundle: Path, where: str) -> None:
    """A file that no bundle has lies beside the others, perhaps to be run by somebody later."""
    (bundle / where).write_text("run me")
    refused(box, bundle, "MEDIUM-EXTRA", MediumError)


def test_an_extra_blob(box: ABox, bundle: Path) -> None:
    """A well-named blob that nothing signed names."""
    put(bundle, b"smuggled")
    refused(box, bundle, "MEDIUM-EXTRA", MediumError)


def test_an_extra_entry_in_the_index(box: ABox, bundle: Path) -> None:
    """The index names a manifest of the attacker's; tags decide nothing, strangers are refused."""
    import json

    name = put(bundle, b'{"hello":1}')
    index = json.loads((bundle / "index.json").read_bytes())
    index["manifests"].append({**index["manifests"][-1], "digest": name, "size": 11})
    (bundle / "index.json").write_text(json.dumps(index))
    refused(box, bundle, "INDEX", MediumError)


def test_a_missing_blob(box: ABox, bundle: Path) -> None:
    largest = max(blobs(bundle), key=lambda path: path.stat().st_size)
    largest.unlink()
    refused(box, bundle, "MEDIUM-MISSING", MediumError)


def test_a_truncated_blob(box: ABox, bundle: Path) -> None:
    largest = max(blobs(bundle), key=lambda path: path.stat().st_size)
    os.truncate(largest, 100)
    refused(box, bundle, "MEDIUM-SIZE", MediumError)


def test_a_symlink_in_place_of_a_blob(box: ABox, bundle: Path, tmp_path: Path) -> None:
    """A blob is a link to a file of the box, to have it copied or its digest compared."""
    victim = max(blobs(bundle), key=lambda path: path.stat().st_size)
    (tmp_path / "secret").write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(tmp_path / "secret")
    refused(box, bundle, "MEDIUM-SYMLINK", MediumError)


def test_a_symlink_in_place_of_a_folder(box: ABox, bundle: Path, tmp_path: Path) -> None:
    (bundle / "blobs").rename(tmp_path / "elsewhere")
    (bundle / "blobs").symlink_to(tmp_path / "elsewhere")
    refused(box, bundle, "MEDIUM-SYMLINK", MediumError)


def test_a_pipe_in_place_of_a_blob(box: ABox, bundle: Path) -> None:
    """A pipe would hang a reader for ever."""
    victim = blobs(bundle)[0]
    victim.unlink()
    os.mkfifo(victim)
    refused(box, bundle, "MEDIUM-DEVICE", MediumError)


def test_names_that_differ_only_in_case(box: ABox, bundle: Path) -> None:
    """On a stick with FAT the second name would replace the first."""
    victim = next(path for path in blobs(bundle) if path.name.upper() != path.name)
    victim.with_name(victim.name.upper()).write_bytes(b"x")
    refused(box, bundle, "MEDIUM-CASE", MediumError)


def test_an_index_of_a_hundred_thousand_keys(box: ABox, bundle: Path) -> None:
    """The carrier writes an index whose last key stands twice, so that looking for it would take the box hours."""
    keys = ",".join(f'"{number:x}":0' for number in range(100_000))
    (bundle / "index.json").write_text("{" + keys + ',"1869f":0}')
    began = time.process_time()
    assert "duplicate key '1869f'" in str(refused(box, bundle, "DOCUMENT", MediumError))
    assert time.process_time() - began < 5


def test_duplicate_keys_in_the_index(box: ABox, bundle: Path) -> None:
    """Two parsers would read two different indexes."""
    text = (bundle / "index.json").read_text()
    (bundle / "index.json").write_text('{"manifests":[],' + text[1:])
    assert "duplicate key" in str(refused(box, bundle, "DOCUMENT", MediumError))


@pytest.mark.parametrize("junk", [b"", b"[]", b"{" * 100_000, b'{"schemaVersion": 2.0}', b"\xff\xfe{}", b"null"])
def test_a_document_without_a_meaning(box: ABox, bundle: Path, junk: bytes) -> None:
    (bundle / "index.json").write_bytes(junk)
    refused(box, bundle, "DOCUMENT", MediumError)


def test_an_index_larger_than_any_index(box: ABox, bundle: Path) -> None:
    (bundle / "index.json").write_bytes(b" " * 5_000_000)
    refused(box, bundle, "MEDIUM-SIZE", MediumError)
