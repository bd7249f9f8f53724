"""What a bundle may lie on: a folder, one tar, or parts on several media; whoever bends one is refused."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.errors import BundleError, InputError, MediumError
from bundles.install import install
from bundles.layout import Box
from bundles.medium import Medium
from bundles.packing import CLUSTER, carried, pack, split
from bundles.release import current_number, open_release
from tests.support.bundles import ABox, Published, blobs, refused

BLOCK = 512


@pytest.fixture
def tar(published: Published, tmp_path: Path) -> Path:
    pack(published.bundle, tmp_path / "stick.tar")
    return tmp_path / "stick.tar"


@pytest.fixture
def parts(published: Published, tmp_path: Path) -> list[Path]:
    """The bundle on the smallest media that it can be cut for."""
    return cut_small(published.bundle, tmp_path / "parts")


def cut_small(bundle: Path, out: Path) -> list[Path]:
    whole = out.with_name("whole")
    shutil.copytree(bundle, whole)
    for size in itertools.count(CLUSTER, CLUSTER):
        try:
            found = split(whole, out, size)
        except InputError:
            assert not out.exists()
        else:
            assert len(found) > 1
            return found
    raise AssertionError


def test_one_tar_is_installed_without_being_unpacked(published: Published, box: ABox, tar: Path) -> None:
    """The same bundle, the same digest, the same release; and the stock tool reads the archive too."""
    assert published.verify(tar).digest == published.verify(published.bundle).digest
    outcome = box.install(tar)
    assert set(open_release(box.root).files) == set(published.forge.cargo().files)
    assert outcome.record.bundle_digest == published.verify(published.bundle).digest
    with tarfile.open(tar) as archive:
        assert len(archive.getnames()) == len(blobs(published.bundle)) + 2


def test_the_same_folder_gives_the_same_tar(published: Published, tar: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another" / "place"
    shutil.copytree(published.bundle, copy)
    os.utime(copy / "index.json", (1, 1))
    pack(copy, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_a_tar_of_another_tool(published: Published, box: ABox, tmp_path: Path) -> None:
    """What `tar --format=ustar` of the folder's own names writes is read as well, folders included."""
    with tarfile.open(tmp_path / "by.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("blobs", "index.json", "oci-layout"):
            archive.add(published.bundle / name, name)
    assert box.install(tmp_path / "by.tar").record.number == 1


def member(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a member of a tar as bytes, as the stock tool writes it."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, len(data) if kind == tarfile.REGTYPE else 0
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        entry.linkname = "/etc/shadow"
    found = entry.tobuf(form)
    return found + (data + b"\0" * (-len(data) % BLOCK) if entry.size else b"")


def append(tar: Path, extra: bytes) -> None:
    """Put members before the end of a tar."""
    with tarfile.open(tar) as archive:
        end = max(m.offset_data + -(-m.size // BLOCK) * BLOCK for m in archive.getmembers())
    data = tar.read_bytes()
    tar.write_bytes(data[:end] + extra + b"\0" * 1024)


BLOB = "blobs/sha256/" + "a" * 64
SPARSE = tarfile.TarInfo(BLOB)
SPARSE.type = tarfile.GNUTYPE_SPARSE


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (member("../../etc/cron.d/x"), "MEDIUM-EXTRA"),
        (member("/etc/cron.d/x"), "MEDIUM-EXTRA"),
        (member("./index.json"), "MEDIUM-EXTRA"),
        (member("blobs/sha256/../../x"), "MEDIUM-EXTRA"),
        (member("index.json", b"{}"), "MEDIUM-TWICE"),
        (member(BLOB) + member(BLOB), "MEDIUM-TWICE"),
        (member(BLOB.upper()), "MEDIUM-CASE"),
        (member("INDEX.JSON"), "MEDIUM-CASE"),
        (member(BLOB, kind=tarfile.SYMTYPE), "MEDIUM-SYMLINK"),
        (member(BLOB, kind=tarfile.LNKTYPE), "MEDIUM-SYMLINK"),
        (member(BLOB, kind=tarfile.CHRTYPE), "MEDIUM-DEVICE"),
        (member(BLOB, kind=tarfile.BLKTYPE), "MEDIUM-DEVICE"),
        (member(BLOB, kind=tarfile.FIFOTYPE), "MEDIUM-DEVICE"),
        (member("x" * 150, form=tarfile.GNU_FORMAT), "MEDIUM-TAR"),
        (member("x" * 150, form=tarfile.PAX_FORMAT), "MEDIUM-TAR"),
        (member("d" * 60 + "/" + "x" * 90), "MEDIUM-TAR"),
        (SPARSE.tobuf(tarfile.GNU_FORMAT), "MEDIUM-TAR"),
        (member(BLOB), "MEDIUM-EXTRA"),
        (member("autorun.inf"), "MEDIUM-EXTRA"),
        (member("blobs/sha256", kind=tarfile.DIRTYPE) + member("tools", kind=tarfile.DIRTYPE), "MEDIUM-EXTRA"),
    ],
)  # fmt: skip
def test_a_member_that_no_bundle_has(box: ABox, tar: Path, extra: bytes, code: str) -> None:
    """Traversal, links, devices, long and pax names, sparse files, duplicates: no member means two things."""
    append(tar, extra)
    refused(box, tar, code, MediumError)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_garbage(data: bytes) -> bytes:
    return data + b"#!/bin/sh\n"


def with_zeros(data: bytes) -> bytes:
    return data + b"\0" * 2 * 1024**2


def without_end(data: bytes) -> bytes:
    return data.rstrip(b"\0")


def with_something_between(data: bytes) -> bytes:
    """Use the padding after the first member to carry something."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        first = next(m for m in archive.getmembers() if m.size % BLOCK)
    end = first.offset_data + first.size
    return data[:end] + b"!" + data[end + 1 :]


def with_a_binary_size(data: bytes) -> bytes:
    """Say the size in base 256, which some readers take for huge and some for nothing."""
    header = bytearray(data[:BLOCK])
    header[124:136] = b"\x80" + b"\0" * 10 + b"\x01"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[BLOCK:]


def with_a_wrong_sum(data: bytes) -> bytes:
    return data[:100] + b"9" + data[101:]


@pytest.mark.parametrize(
    "bend", [cut, with_garbage, with_zeros, without_end, with_something_between, with_a_binary_size, with_a_wrong_sum]
)
def test_an_archive_with_two_meanings(box: ABox, tar: Path, bend: Callable[[bytes], bytes]) -> None:
    """Cut short, lengthened, or with a header that readers take differently: nothing of it is believed."""
    tar.write_bytes(bend(tar.read_bytes()))
    refused(box, tar, "MEDIUM-TAR", MediumError)


def test_a_bit_of_the_archive(box: ABox, tar: Path) -> None:
    """A bit anywhere is either refused, or lies in a field that nobody reads; what is installed is what was signed."""
    honest = tar.read_bytes()
    for place in range(0, len(honest), max(1, len(honest) // 25)):
        bent = bytearray(honest)
        bent[place] ^= 1
        tar.write_bytes(bent)
        with pytest.raises(BundleError):
            box.install(tar)
        assert current_number(box.standing().box) is None


@pytest.mark.parametrize("thing", ["/dev/zero", "/dev/null"])
def test_a_device_in_place_of_the_medium(box: ABox, thing: str) -> None:
    """An endless file as the whole medium."""
    refused(box, Path(thing), "MEDIUM-DEVICE", MediumError)


def test_a_pipe_or_a_link_in_place_of_the_medium(box: ABox, bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(box, tmp_path / "pipe", "MEDIUM-DEVICE", MediumError)
    (tmp_path / "link").symlink_to(bundle)
    refused(box, tmp_path / "link", "MEDIUM-SYMLINK", MediumError)


def test_a_bundle_in_the_root_of_a_stick_is_explained(box: ABox, bundle: Path) -> None:
    """Every system leaves a folder of its own in the root of a stick; the person is told what to do."""
    (bundle / "System Volume Information").mkdir()
    assert "into a folder" in refused(box, bundle, "MEDIUM-EXTRA", MediumError).todo


def test_parts_are_put_in_one_after_the_other(published: Published, box: ABox, parts: list[Path]) -> None:
    """A person changes the sticks as they are asked for: one install, every blob read once."""
    asked: list[int] = []

    def change(number: int, count: int, why: str) -> Path:
        assert (count, why) == (len(parts), "")
        asked.append(number)
        return parts[number - 1]

    with Medium(parts[0], change) as medium:
        outcome = install(box.standing(), medium)
    assert asked == list(range(2, len(parts) + 1))
    assert outcome.record.bundle_digest == published.verify(published.bundle).digest
    assert set(open_release(box.root).files) == set(published.forge.cargo().files)


def test_parts_without_anybody_to_ask(box: ABox, parts: list[Path]) -> None:
    """Run with each stick in turn: what is missing is named, what is there is kept and not read again."""
    before = box.snapshot()
    for number, stick in enumerate(parts[:-1], 1):
        with pytest.raises(MediumError, match=rf"this is part {number} of {len(parts)}; part {number + 1} is needed"):
            box.install(stick)
        assert box.snapshot() == before
    alone = sum(file.stat().st_size for file in blobs(parts[-1]) if file.name not in names(parts[0]))
    fresh = sum(path.stat().st_size for path in Box(box.root).runtimes.rglob("*"))
    outcome = box.install(parts[-1])
    unpacked = sum(path.stat().st_size for path in Box(box.root).runtimes.rglob("*") if path.is_file()) - fresh
    assert outcome.record.written == alone + unpacked


def test_parts_in_the_wrong_order(box: ABox, parts: list[Path]) -> None:
    """The last stick first: what it holds is copied, and the first is asked for by its number."""
    with pytest.raises(MediumError, match="part 1 is needed"):
        box.install(parts[-1])
    alone = names(parts[-1]) - names(parts[0])
    assert alone
    assert alone <= {file.name for file in Box(box.root).store.rglob("*")}


def test_the_wrong_part_is_named(published: Published, box: ABox, parts: list[Path], tmp_path: Path) -> None:
    """The same part again, a whole bundle, a part of another bundle, an empty folder, no folder: each is said."""
    stranger, name = tmp_path / "stranger", published.verify(parts[0]).digest.encode()
    shutil.copytree(parts[1], stranger)
    file = stranger / "parts.json"
    file.write_bytes(file.read_bytes().replace(name, b"sha256:" + b"7" * 64))
    (tmp_path / "empty").mkdir()
    offered = iter([parts[0], published.bundle, stranger, tmp_path / "empty", tmp_path / "none", *parts[1:]])
    said: list[str] = []

    def change(number: int, count: int, why: str) -> Path:
        said.append(why)
        return next(offered)

    with Medium(parts[0], change) as medium:
        assert install(box.standing(), medium).record.number == 1
    expected = ("", "is part 1", "a whole bundle", "another bundle", "missing", "No such file")
    assert all(words in why for words, why in zip(expected, said, strict=False))
    assert len(said) == 5 + len(parts) - 1


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"part":2', b'"part":9', "DOCUMENT"),
        (b'"part":2', b'"part":1', "MEDIUM-PART"),
        (b'"part":2', b'"part":2,"part":2', "DOCUMENT"),
        (b'"bundle":"sha256:', b'"bundle":"md5:', "DOCUMENT"),
    ],
)
def test_an_index_of_parts_that_lies(box: ABox, parts: list[Path], old: bytes, new: bytes, code: str) -> None:
    """`parts.json` is not signed: it only says where to look, and what it says is held against what is there."""
    file = parts[1] / "parts.json"
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    refused(box, parts[1], code, MediumError)


def test_a_part_of_another_bundle(published: Published, box: ABox, parts: list[Path]) -> None:
    """The parts' index names another bundle than the one that is signed."""
    file, name = parts[0] / "parts.json", published.verify(parts[0]).digest.encode()
    file.write_bytes(file.read_bytes().replace(name, b"sha256:" + b"7" * 64))
    refused(box, parts[0], "PARTS", MediumError)


def test_a_blob_smuggled_onto_a_part(box: ABox, parts: list[Path]) -> None:
    (parts[1] / "blobs/sha256" / ("b" * 64)).write_bytes(b"smuggled")
    refused(box, parts[1], "MEDIUM-EXTRA", MediumError)
    tried = iter([parts[1]])

    def change(number: int, count: int, why: str) -> Path:
        if why:
            assert "holds other files" in why
            raise MediumError("GIVEN-UP", "nobody has another", advice="-")
        return next(tried)

    with Medium(parts[0], change) as medium, pytest.raises(MediumError, match="GIVEN-UP"):
        install(box.standing(), medium)
    assert current_number(box.standing().box) is None


def test_media_fit_what_they_were_cut_for(published: Published, tmp_path: Path) -> None:
    whole, size = tmp_path / "whole", 2_000_000
    shutil.copytree(published.bundle, whole)
    large = whole / "blobs/sha256"
    found = split(whole, tmp_path / "parts", size)
    assert set().union(*map(names, found)) == {file.name for file in large.iterdir()}
    for part in found:
        assert sum(-(-file.stat().st_size // CLUSTER) * CLUSTER for file in part.rglob("*") if file.is_file()) <= size


def names(bundle: Path) -> set[str]:
    return {file.name for file in blobs(bundle)}


@pytest.mark.parametrize(("name", "size"), [("out", None), ("out.tar", None), ("out", 2_000_000)])
def test_a_build_gives_what_its_name_says(published: Published, tmp_path: Path, name: str, size: int | None) -> None:
    """A folder, one tar, or parts; what was between is gone, and a second build does not write over it."""
    to = tmp_path / name
    with carried(to, size) as folder:
        shutil.copytree(published.bundle, folder)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    medium = to / "part-1-of-1" if size else to
    assert published.verify(medium).digest == published.verify(published.bundle).digest
    with pytest.raises(InputError, match="exists"), carried(to, size):
        pass


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with carried(tmp_path / "out.tar") as folder:
            (folder / "blobs").mkdir(parents=True)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(InputError), carried(tmp_path / "out.tar", 5):
        pass
    assert not list(tmp_path.iterdir())
