"""Reads a carrier without trusting it: only the names a bundle has, only regular files, nothing too large.

The folder is opened once and everything below it relative to that handle, without following links; so nothing on a
stick can point outside it, and swapping a path while we read changes nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from bundles.errors import MediumError

BLOB_CAP = 4 * 1024**3 - 1
COUNT_CAP = 20_000
_HEX = re.compile(r"[0-9a-f]{64}")
_FETCH = "fetch the medium again from headquarters; if it happens twice, tell the release custodians"
_KINDS = {stat.S_IFLNK: "SYMLINK", stat.S_IFDIR: "EXTRA", stat.S_IFBLK: "DEVICE", stat.S_IFCHR: "DEVICE"}


class Medium:
    """A bundle's folder on a carrier, opened once."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`.

        Raises:
            MediumError: it is a link or no folder.
            FileNotFoundError: nothing is there.
        """
        self.folder = folder
        try:
            self._top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError:
            raise _refuse("SYMLINK" if folder.is_symlink() else "EXTRA", f"{folder} is no folder") from None

    def close(self) -> None:
        """Let go of the folder."""
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def __enter__(self) -> Medium:
        """Return the open medium."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def survey(self) -> dict[str, int]:
        """Return `sha256:<hex>` -> size of every blob, after judging every name and type on the medium.

        Raises:
            MediumError: anything that is not `oci-layout`, `index.json` or `blobs/sha256/<hex>`.
        """
        self._expect("", {"oci-layout", "index.json"}, {"blobs"})
        self._expect("blobs", set(), {"sha256"})
        sizes: dict[str, int] = {}
        for name, found in self._entries("blobs/sha256"):
            self._regular(f"blobs/sha256/{name}", found, _HEX.fullmatch(name) is not None)
            sizes[f"sha256:{name}"] = found.st_size
        return sizes

    def read(self, name: str, cap: int) -> bytes:
        """Return the bytes of file `name`, at most `cap`.

        Raises:
            MediumError: missing, longer than `cap`, or not a regular file.
        """
        with self.open(name) as file:
            data = file.read(cap + 1)
        if len(data) > cap:
            raise _refuse("SIZE", f"{name} is longer than {cap} bytes")
        return data

    def blob(self, digest: str, cap: int) -> bytes:
        """Return the (small) blob `digest`; its bytes are not compared with the digest here."""
        return self.read(_blob_name(digest), cap)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open the blob `digest` for one pass of reading."""
        return self.open(_blob_name(digest))

    def open(self, name: str) -> BinaryIO:
        """Open `name`, one component after the other, following no link."""
        *folders, last = name.split("/")
        handle = os.dup(self._top)
        try:
            for folder in folders:
                handle = _step(handle, folder, os.O_DIRECTORY)
            handle = _step(handle, last, os.O_NONBLOCK)
        except OSError as error:
            raise _refuse("MISSING", f"{name} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise _refuse("DEVICE", f"{name} is no regular file")
        return os.fdopen(handle, "rb", buffering=0)

    def _entries(self, folder: str) -> list[tuple[str, os.stat_result]]:
        handle = os.dup(self._top)
        try:
            for part in filter(None, folder.split("/")):
                handle = _step(handle, part, os.O_DIRECTORY)
            with os.scandir(handle) as entries:
                some = itertools.islice(entries, COUNT_CAP + 1)
                found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in some]
        except OSError as error:
            raise _refuse("MISSING", f"{folder or self.folder} cannot be listed: {error.strerror}") from None
        finally:
            os.close(handle)
        if len(found) > COUNT_CAP:
            raise _refuse("COUNT", f"more than {COUNT_CAP} files in {folder or self.folder}")
        return found

    def _expect(self, folder: str, files: set[str], folders: set[str]) -> None:
        found = dict(self._entries(folder))
        for name, entry in found.items():
            if not (name in folders and stat.S_ISDIR(entry.st_mode)):
                self._regular(f"{folder}/{name}".lstrip("/"), entry, name in files)
        absent = (files | folders) - set(found)
        if absent:
            raise _refuse("MISSING", f"{', '.join(sorted(absent))} missing; this is no bundle")

    @staticmethod
    def _regular(name: str, entry: os.stat_result, expected: bool) -> None:
        kind = stat.S_IFMT(entry.st_mode)
        if kind != stat.S_IFREG:
            raise _refuse(_KINDS.get(kind, "DEVICE"), f"{name} is no regular file")
        if not expected:
            code = "CASE" if _HEX.fullmatch(name.rsplit("/", 1)[-1].lower()) else "EXTRA"
            raise _refuse(code, f"{name} does not belong to a bundle")
        if entry.st_size > BLOB_CAP:
            raise _refuse("SIZE", f"{name} has {entry.st_size} bytes, more than {BLOB_CAP}")


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _step(handle: int, name: str, flags: int) -> int:
    """Open `name` below `handle` and close `handle`, also on failure of the open."""
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=handle)
    finally:
        os.close(handle)


def _refuse(code: str, why: str) -> MediumError:
    return MediumError(f"MEDIUM-{code}", why, advice=_FETCH)
