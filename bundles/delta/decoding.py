"""Makes a result from its base and a delta, as a file that is read once from first to last byte.

Nothing of the delta is opened before its digest was compared, and no more comes out than was signed. The result itself
is hashed by whoever keeps it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from bundles.delta.frames import COPY, LITERAL, Step, apply, unpack
from bundles.delta.nouns import DeltaDocument, odd

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1024 * 1024


def rebuilt(document: DeltaDocument, base: BinaryIO, body: BinaryIO) -> BinaryIO:
    """Return the result as a file to read; `base` is the whole base, its digest compared, `body` the delta's frames.

    Raises:
        TrustError: while it is read, as soon as a frame is not what was signed, or reaches outside base or result.
    """
    return cast("BinaryIO", io.BufferedReader(_Rebuilt(document, base, body), CHUNK))


class _Rebuilt(io.RawIOBase):
    def __init__(self, document: DeltaDocument, base: BinaryIO, body: BinaryIO) -> None:
        self._document, self._base, self._body = document, base, body
        self._pieces = self._made()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _made(self) -> Iterator[bytes]:
        """Yield the result, step by step; never more than was signed."""
        left = self._document.result.size
        for frame in self._document.frames:
            packed = self._body.read(frame.packed)
            if "sha256:" + hashlib.sha256(packed).hexdigest() != frame.digest:
                raise odd("a frame has other bytes than were signed")
            for step in unpack(packed, frame.unpacked):
                left -= step.length
                outside = step.kind != LITERAL and step.base + step.length > self._document.base.size
                if left < 0 or outside:
                    raise odd("a step reaches beyond its base or its result")
                yield from self._of(step)
        if left:
            raise odd(f"{left} bytes of the result are not made")

    def _of(self, step: Step) -> Iterator[bytes]:
        if step.kind == LITERAL:
            yield step.literal
        elif step.kind == COPY:
            for at in range(step.base, step.base + step.length, CHUNK):
                yield self._range(at, min(CHUNK, step.base + step.length - at))
        else:
            yield apply(step, np.frombuffer(self._range(step.base, step.length), np.uint8))

    def _range(self, at: int, size: int) -> bytes:
        data = os.pread(self._base.fileno(), size, at)
        if len(data) != size:
            raise odd("the base is shorter than it was")
        return data
