"""Reads one `.tar` where it lies, nothing unpacked: plain `ustar` members with one meaning, and nothing else.

Archives have many dialects, and readers that disagree about a name or a size are how a file gets past a check. So
this reads what POSIX calls `ustar`, without its prefix field, and refuses every extension: long names, pax headers,
sparse files, binary numbers, links. A bundle's names and sizes need none of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from bundles.carrier.nouns import Entry, Kind, refuse, span

BLOCK = 512
TRAILER_CAP = 1024 * 1024
"""The archive ends with two zero blocks; a writer may fill up with more, to its record's size."""
_KINDS: dict[bytes, Kind] = {
    b"0": "file", b"\0": "file", b"5": "folder", b"1": "symlink", b"2": "symlink",
    b"3": "device", b"4": "device", b"6": "device",
}  # fmt: skip
_MAGIC = (b"ustar\x0000", b"ustar  \0")
_NUMBER = re.compile(rb" *([0-7]{1,11})[ \0]*")


@dataclass(frozen=True)
class _Header:
    name: str
    kind: Kind
    size: int


class Tar:
    """A `.tar`, opened once; members are found by walking from header to header."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._length = os.fstat(handle).st_size
        self._places: dict[str, tuple[int, int]] = {}

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def entries(self) -> Iterator[Entry]:
        """Yield every member.

        Raises:
            MediumError: a name stands twice, or the archive says something that no plain `ustar` says.
        """
        at, seen = 0, set()
        while (header := self._header(at)) is not None:
            if header.name in seen:
                raise refuse("TWICE", f"{header.name} stands twice in the archive")
            seen.add(header.name)
            end = at + BLOCK + header.size
            self._zeros(end, -header.size % BLOCK, f"what follows {header.name}")
            if header.kind == "file":
                self._places[header.name] = (at + BLOCK, header.size)
            yield Entry(header.name, header.kind, header.size)
            at = end + -header.size % BLOCK
        rest = self._length - at
        if not 2 * BLOCK <= rest <= TRAILER_CAP:
            raise _odd(f"it ends with {rest} bytes after its last member")
        self._zeros(at, rest, "its end")

    def open(self, name: str) -> BinaryIO:
        """Open member `name` by its place in the archive."""
        if not self._places:
            for _ in self.entries():
                pass
        if name not in self._places:
            raise refuse("MISSING", f"{name} cannot be read: the archive has no such file")
        return span(self._handle, name, *self._places[name], owned=False)

    def _header(self, at: int) -> _Header | None:
        block = self._bytes(at, BLOCK)
        if not any(block):
            return None
        if block[257:265] not in _MAGIC or _octal(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
            raise _odd(f"no header at byte {at}")
        kind, raw = _KINDS.get(block[156:157]), block[:100].rstrip(b"\0")
        if kind is None or any(block[345:]) or b"\0" in raw:
            raise _odd(f"an extension at byte {at}: type {block[156:157]!r}")
        size = _octal(block[124:136])
        if size and kind != "file":
            raise _odd(f"a member without content at byte {at} says {size} bytes")
        name = raw.decode("ascii", "backslashreplace")
        return _Header(name.removesuffix("/") if kind == "folder" else name, kind, size)

    def _zeros(self, at: int, count: int, what: str) -> None:
        if any(self._bytes(at, count)):
            raise _odd(f"{what} is not empty")

    def _bytes(self, at: int, count: int) -> bytes:
        with span(self._handle, "the archive", at, count, owned=False) as file:
            data = file.read(count)
        if len(data) != count:
            raise _odd(f"it is cut short at byte {self._length}")
        return data


def _octal(field: bytes) -> int:
    found = _NUMBER.fullmatch(field)
    if found is None:
        raise _odd(f"the number {field!r}")
    return int(found[1], 8)


def _odd(why: str) -> Exception:
    return refuse("TAR", f"the archive is no plain ustar: {why}")
