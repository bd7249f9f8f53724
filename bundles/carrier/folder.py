"""Reads a folder through one handle, following no link: nothing on a stick can point outside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from bundles.carrier.nouns import Entry, Kind, refuse, span

FOLDERS = ("", "blobs", "blobs/sha256")
_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}


class Folder:
    """A folder, opened once."""

    def __init__(self, handle: int) -> None:
        self._top = handle

    def close(self) -> None:
        """Let go of the folder."""
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def entries(self) -> Iterator[Entry]:
        """Yield what lies in the folder and in the two below it that a bundle has."""
        for folder in FOLDERS:
            yield from self._listed(folder)

    def open(self, name: str) -> BinaryIO:
        """Open `name`, one component after the other, following no link and waiting for no pipe."""
        *folders, last = name.split("/")
        try:
            handle = self._step(self._into(folders), last, os.O_NONBLOCK)
        except OSError as error:
            raise refuse("MISSING", f"{name} cannot be read: {error.strerror}") from None
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise refuse("DEVICE", f"{name} is no regular file")
        return span(handle, name, 0, found.st_size, owned=True)

    def _listed(self, folder: str) -> Iterator[Entry]:
        try:
            handle = self._into([part for part in folder.split("/") if part])
        except OSError:
            return  # absent, or no folder: what is named there, or is not, is judged by its name
        try:
            with os.scandir(handle) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
                    yield Entry(f"{folder}/{entry.name}".lstrip("/"), kind, status.st_size)
        except OSError as error:
            raise refuse("MISSING", f"{folder or 'the folder'} cannot be listed: {error.strerror}") from None
        finally:
            os.close(handle)

    def _into(self, folders: list[str]) -> int:
        handle = os.dup(self._top)
        for folder in folders:
            handle = self._step(handle, folder, os.O_DIRECTORY)
        return handle

    @staticmethod
    def _step(handle: int, name: str, flags: int) -> int:
        """Open `name` below `handle` and close `handle`, also on failure of the open."""
        try:
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=handle)
        finally:
            os.close(handle)
