"""Names what every carrier can do, and what it hands out: entries, and files open for one pass of reading."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, cast

from bundles.errors import MediumError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Kind = Literal["file", "folder", "symlink", "device"]
_FETCH = "fetch the medium again from headquarters; if it happens twice, tell the release custodians"


@dataclass(frozen=True)
class Entry:
    """One name on a carrier, with `/` between its parts; `size` in bytes."""

    name: str
    kind: Kind
    size: int


class Carrier(Protocol):
    """What a bundle lies on; opened once, so that swapping names afterwards changes nothing."""

    def entries(self) -> Iterator[Entry]:
        """Yield every name there is, as far as a bundle's folders reach; links are named, never followed."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open the regular file `name` for one pass of reading.

        Raises:
            MediumError: it is missing, or no regular file.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Span(io.RawIOBase):
    """A range of bytes of an open file, read by offset; what cannot be read is the medium's fault, and said so."""

    def __init__(self, handle: int, name: str, start: int, size: int, *, owned: bool) -> None:
        self._handle, self._name, self._at, self._left, self._owned = handle, name, start, size, owned
        self._start, self._end = start, start + size

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on at byte `offset` of the range, counted from its start, and return it."""
        if whence != os.SEEK_SET or offset < 0:
            raise io.UnsupportedOperation("only from the start")
        self._at = min(self._start + offset, self._end)
        self._left = self._end - self._at
        return self._at - self._start

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` as far as the range reaches."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or as many as are left; one copy, which matters where gigabytes are hashed."""
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            data = os.pread(self._handle, wanted, self._at)
        except OSError as error:
            why = f"{self._name} cannot be read at byte {self._at}: {error.strerror}"
            raise refuse("READ", why, advice="push the medium in again and repeat; what was copied is kept") from None
        self._at += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Let go of the handle, where it is this file's own."""
        if not self.closed and self._owned:
            os.close(self._handle)
        super().close()


def span(handle: int, name: str, start: int, size: int, *, owned: bool) -> BinaryIO:
    """Return bytes `start` to `start + size` of `handle` as a file; `owned` closes the handle with it."""
    return cast("BinaryIO", Span(handle, name, start, size, owned=owned))


def refuse(code: str, why: str, *, advice: str = _FETCH) -> MediumError:
    """Return the refusal `MEDIUM-<code>`."""
    return MediumError(f"MEDIUM-{code}", why, advice=advice)
