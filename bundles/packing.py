"""Turns a bundle's folder into what travels: one `.tar`, or parts that each fit a medium.

The same folder gives the same bytes. Writing goes to a neighbour that is renamed at the end.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bundles import layout, oci
from bundles.document import DOCUMENT_CAP, canonical, read
from bundles.errors import InputError
from bundles.medium import Medium
from bundles.parts import PARTS_FILE, Part
from bundles.store import sync_folder, sync_tree
from bundles.verification import MANIFEST_CAP
from bundles.wrapper import is_cargo

CLUSTER = 32 * 1024
"""A file on FAT32 takes whole clusters; counted so that a part fits the stick it was cut for."""


@contextmanager
def carried(to: Path, size: int | None = None) -> Iterator[Path]:
    """Yield the folder to build a bundle in, and afterwards turn it into what `to` says, if it was built.

    `to` itself where that is a folder; a folder beside it where `to` ends in `.tar`, or `size` cuts it into parts.

    Raises:
        InputError: `to` exists, or is both.
    """
    _absent(to)
    tar = to.suffix == ".tar"
    if tar and size is not None:
        raise InputError("OUT", "parts are folders, one for each medium", advice=f"-o {to.stem}, without .tar")
    if not tar and size is None:
        yield to
        return
    folder = to.with_name(f".{to.name}.whole")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
        if folder.exists():
            _ = split(folder, to, size) if size is not None else pack(folder, to)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pack(folder: Path, tar: Path) -> int:
    """Write the bundle in `folder` as the plain ustar file `tar` and return its bytes.

    Raises:
        InputError: `tar` exists.
    """
    _absent(tar)
    part = tar.with_name(f".{tar.name}.part")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        with part.open("wb") as target:
            with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for name in files:
                    _append(archive, folder / name, name)
            target.flush()
            os.fsync(target.fileno())
        part.rename(tar)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(tar.parent)
    return tar.stat().st_size


def split(folder: Path, out: Path, size: int) -> list[Path]:
    """Move the bundle in `folder` into `out/part-1-of-N` and so on, each at most `size` bytes on its medium.

    Raises:
        InputError: `out` exists, or a file of the bundle does not fit into `size`.
    """
    _absent(out)
    cargo, common, bundle = _shares(folder)
    shares = _share_out(cargo, size - sum(map(_taken, common.values())) - CLUSTER * 8)
    temp = out.with_name(f".{out.name}.part")
    shutil.rmtree(temp, ignore_errors=True)
    names = [f"part-{number}-of-{len(shares)}" for number in range(1, len(shares) + 1)]
    try:
        for number, name in enumerate(names, 1):
            _write_part(folder, temp / name, common, Part(bundle=bundle, part=number, cargo=tuple(shares)))
        sync_tree(temp)
        temp.rename(out)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    sync_folder(out.parent)
    return [out / name for name in names]


def _append(archive: tarfile.TarFile, file: Path, name: str) -> None:
    """Add `file`, without anything that differs from day to day or from machine to machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = file.stat().st_size, 0o644
    with file.open("rb") as source:
        archive.addfile(member, source)


def _shares(folder: Path) -> tuple[dict[str, int], dict[str, int], str]:
    """Return (what is shared out, in the order of its reading; what every part carries; the bundle's digest)."""
    with Medium(folder) as medium:
        sizes = medium.survey()
        index = read(oci.Index, medium.read("index.json", DOCUMENT_CAP), what="index.json")
        bundle, cargo = "", dict[str, int]()
        for entry in index.manifests:
            data = medium.blob(entry.digest, MANIFEST_CAP)
            manifest = read(oci.Manifest, data, what=oci.tag_of(entry), cap=MANIFEST_CAP)
            cargo |= {blob.digest: blob.size for blob in manifest.layers if is_cargo(blob)}
            if oci.tag_of(entry) == layout.BUNDLE_TAG:
                bundle = manifest.config.digest
    return cargo, {name: size for name, size in sizes.items() if name not in cargo}, bundle


def _share_out(cargo: Mapping[str, int], room: int) -> list[dict[str, int]]:
    """Return the parts: the next one is begun when a blob no longer fits, so that reading goes from first to last."""
    shares: list[dict[str, int]] = [{}]
    left = room
    for name, size in cargo.items():
        if _taken(size) > room:
            least = (size + 8 * CLUSTER + max(0, -room)) // 10**6 + 2
            raise InputError("SPLIT", f"{name[:19]} has {size} bytes; files are not cut", advice=f"--split {least}MB")
        if _taken(size) > left:
            shares.append({})
            left = room
        shares[-1][name] = size
        left -= _taken(size)
    return shares


def _write_part(folder: Path, into: Path, common: Mapping[str, int], part: Part) -> None:
    """Copy what every part carries; the cargo is linked, so that nothing large is written twice."""
    blobs = Path("blobs/sha256")
    (into / blobs).mkdir(parents=True)
    for name in ("oci-layout", "index.json"):
        shutil.copyfile(folder / name, into / name)
    for name in common:
        shutil.copyfile(folder / blobs / name[7:], into / blobs / name[7:])
    for name in part.cargo[part.part - 1]:
        os.link(folder / blobs / name[7:], into / blobs / name[7:])
    (into / PARTS_FILE).write_bytes(canonical(part))


def _taken(size: int) -> int:
    return -(-size // CLUSTER) * CLUSTER


def _absent(path: Path) -> None:
    if path.exists():
        raise InputError("OUT", f"{path} exists", advice="choose another name, or remove it first")
