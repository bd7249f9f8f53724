"""The carrier of the stick attacks: every test names what he did; nothing on the box may change."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundles.carrier.nouns import span
from bundles.document import digest
from bundles.errors import BundleError, MediumError, TrustError
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
    refused(box, bundle, "DOCUMENT", MediumError)


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


def test_an_endless_device_in_place_of_a_blob(box: ABox, bundle: Path) -> None:
    """A device file that never ends, where a blob should be."""
    victim = blobs(bundle)[0]
    victim.unlink()
    try:
        os.mknod(victim, stat.S_IFCHR | 0o644, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    refused(box, bundle, "MEDIUM-DEVICE", MediumError)


def test_endless_data(box: ABox, bundle: Path) -> None:
    """A blob far longer than was signed, and one longer than any medium may hold: neither is read to its end."""
    victim = max(blobs(bundle), key=lambda path: path.stat().st_size)
    os.truncate(victim, 3 * 1024**3)
    refused(box, bundle, "MEDIUM-SIZE", MediumError)
    os.truncate(victim, 5 * 1024**3)
    refused(box, bundle, "MEDIUM-SIZE", MediumError)


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_an_endless_document(box: ABox, bundle: Path, name: str) -> None:
    os.truncate(bundle / name, 3 * 1024**3)
    refused(box, bundle, "MEDIUM-SIZE", MediumError)


def test_more_files_than_any_bundle_has(box: ABox, bundle: Path) -> None:
    """Twenty thousand and one well-named empty files: the listing stops at its cap."""
    folder = bundle / "blobs" / "sha256"
    for number in range(20_001):
        (folder / f"{number:064x}").touch()
    refused(box, bundle, "MEDIUM-COUNT", MediumError)


def swapped(box: ABox, stick: Path, act: Callable[[], object]) -> BundleError:
    """Install from `stick`, do `act` once everything was verified and nothing is copied yet; return the refusal."""
    before = box.snapshot()
    with pytest.raises(BundleError) as caught:
        box.install(stick, announce=lambda *_: act())
    assert box.snapshot() == before
    assert not list(box.root.rglob("*.part"))
    return caught.value


def test_a_blob_swapped_after_it_was_verified(box: ABox, bundle: Path) -> None:
    """Swapped stick: other bytes of the same length lie there when it comes to copying. They are not kept."""
    largest = max(blobs(bundle), key=lambda path: path.stat().st_size)
    other = largest.read_bytes()[::-1]
    assert swapped(box, bundle, lambda: largest.write_bytes(other)).code == "BLOB"


def test_a_link_put_there_after_it_was_verified(box: ABox, bundle: Path, tmp_path: Path) -> None:
    largest = max(blobs(bundle), key=lambda path: path.stat().st_size)
    (tmp_path / "same").write_bytes(largest.read_bytes())

    def act() -> None:
        largest.unlink()
        largest.symlink_to(tmp_path / "same")

    assert swapped(box, bundle, act).code == "MEDIUM-MISSING"


def test_the_stick_pulled_out_after_it_was_verified(box: ABox, bundle: Path) -> None:
    assert swapped(box, bundle, lambda: shutil.rmtree(bundle)).code == "MEDIUM-MISSING"


def test_documents_swapped_after_they_were_verified(published: Published, box: ABox, bundle: Path) -> None:
    """Metadata, index and manifests are turned into rubbish after verification: what is kept is what was verified."""
    verified = published.verify(bundle)
    small = [path for path in blobs(bundle) if f"sha256:{path.name}" not in verified.blobs]

    def act() -> None:
        for path in [*small, bundle / "index.json"]:
            path.write_bytes(b"{}")

    assert box.install(bundle, announce=lambda *_: act()).record.bundle_digest == verified.digest
    for name, data in verified.metadata.items():
        assert (box.root / "trust" / "metadata" / name).read_bytes() == data


def test_the_folder_exchanged_after_it_was_verified(published: Published, box: ABox, bundle: Path) -> None:
    """The stick's folder is renamed and another put in its place: the one that was opened goes on being read."""

    def act() -> None:
        bundle.rename(bundle.with_name("elsewhere"))
        bundle.mkdir()
        (bundle / "autorun.inf").write_text("run me")

    outcome = box.install(bundle, announce=lambda *_: act())
    assert outcome.record.bundle_digest == published.verify(published.bundle).digest


def test_a_stick_that_cannot_be_read() -> None:
    """A read fails in mid-file, as of a worn stick: the medium is named, and what to do. The kernel says EIO here."""
    handle = os.open("/proc/self/mem", os.O_RDONLY)
    with span(handle, "blobs/sha256/x", 0, 100, owned=True) as file, pytest.raises(MediumError) as caught:
        file.read(10)
    assert caught.value.code == "MEDIUM-READ"
    assert "byte 0" in str(caught.value)


@contextmanager
def an_exfat_stick(folder: Path) -> Iterator[Path]:
    """Make a real exFAT file system in a file and mount it."""
    image, at = folder / "stick.img", folder / "mounted"
    at.mkdir()
    subprocess.run(["truncate", "-s", "32M", image], check=True)
    subprocess.run(["mkfs.exfat", image], check=True, stdout=subprocess.DEVNULL)
    found = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"no loop device: {found.stderr.strip()}")
    loop = found.stdout.strip()
    try:
        if subprocess.run(["mount.exfat-fuse", loop, at], check=False, capture_output=True).returncode:
            pytest.skip("FUSE does not mount here")
        yield at
    finally:
        subprocess.run(["umount", at], check=False, capture_output=True)
        subprocess.run(["losetup", "--detach", loop], check=False)


@pytest.mark.debian("exfat-fuse", "exfatprogs")
def test_a_bundle_on_an_exfat_stick(published: Published, box: ABox, tmp_path: Path) -> None:
    """Every file executable, names of any case equal: it installs all the same, and a clash is refused."""
    with an_exfat_stick(tmp_path) as stick:
        shutil.copytree(published.bundle, stick / "bundle", copy_function=shutil.copyfile)
        victim = blobs(stick / "bundle")[0]
        assert victim.with_name(victim.name.upper()).exists()
        assert box.install(stick / "bundle").record.number == 1
        (stick / "bundle" / "index.json").rename(stick / "bundle" / "Index.json")
        refused(box, stick / "bundle", "MEDIUM-CASE", MediumError)


@pytest.mark.debian("mtools", "dosfstools")
def test_a_bundle_through_fat32(published: Published, tmp_path: Path) -> None:
    """Written to a FAT32 image and read back by other tools: names and bytes are what they were."""
    image = tmp_path / "stick.img"
    subprocess.run(["truncate", "-s", "64M", image], check=True)
    subprocess.run(["mkfs.vfat", "-F", "32", image], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mcopy", "-s", "-i", image, published.bundle, "::bundle"], check=True)
    subprocess.run(["mcopy", "-s", "-i", image, "::bundle", tmp_path / "back"], check=True)
    assert published.verify(tmp_path / "back").digest == published.verify(published.bundle).digest
