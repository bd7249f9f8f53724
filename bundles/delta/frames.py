"""Lays out one frame of a delta, and reads it again: steps first, then literal bytes, masks and changed values.

A frame is one zstd frame. Unpacked it holds: the number of steps; each step's kind and element width, its length, and
how far its base range lies from the end of the step before; the literal bytes of all; the change masks of all, one
bit an element; the changed values of all, less the base's, per element width and byte plane. Like lies beside like,
which is what makes it small. Numbers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from bundles.delta.nouns import FRAME_CAP, odd

COPY, LITERAL, CHANGE = 0, 1, 2
PIECE = 2 * 1024 * 1024
"""Most bytes of a step that is not a plain copy."""
STEPS_CAP = 65_536
_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_LEVEL = 9

Bytes8 = NDArray[np.uint8]
Values = NDArray[Any]
"""Unsigned integers of 1, 2, 4 or 8 bytes."""


@dataclass(frozen=True)
class Step:
    """One step of making a result: copy a range of the base, take literal bytes, or change elements of a range.

    Attributes:
        base: first byte of the base range (none for literal bytes); length: bytes of the result.
        data: the literal bytes, or the result's own where elements change; empty once read, with `mask` and `values`.
    """

    kind: int
    base: int
    length: int
    width: int = 1
    literal: bytes = b""
    mask: Bytes8 | None = None
    values: Values | None = None


def change(before: Bytes8, after: Bytes8, base: int, width: int) -> Step:
    """Return the step that makes `after` from the base's bytes `before` at `base`; a copy when they are equal."""
    kind = _TYPES[width if len(after) % width == 0 else 1]
    old, new = before.view(kind) if before.flags.aligned else before.copy().view(kind), after.copy().view(kind)
    differs = new != old
    if not differs.any():
        return Step(COPY, base, len(after))
    values = zigzag(new[differs] - old[differs])
    return Step(CHANGE, base, len(after), kind.itemsize, mask=np.packbits(differs), values=values)


def apply(step: Step, before: Bytes8) -> bytes:
    """Return the result's bytes of a change upon the base's bytes `before`."""
    assert step.mask is not None
    assert step.values is not None
    found = before.view(_TYPES[step.width]).copy()
    differs = np.unpackbits(step.mask, count=len(found)).view(bool)
    found[differs] += unzigzag(step.values)
    return bytes(found.tobytes())


def zigzag(values: Values) -> Values:
    """Return small differences of either sign as small numbers: 0, -1, 1, -2, 2 -> 0, 1, 2, 3, 4."""
    kind = values.dtype.type
    found: Values = (values << kind(1)) ^ (kind(0) - (values >> kind(values.dtype.itemsize * 8 - 1)))
    return found


def unzigzag(values: Values) -> Values:
    """Return what `zigzag` was given."""
    kind = values.dtype.type
    found: Values = (values >> kind(1)) ^ (kind(0) - (values & kind(1)))
    return found


def pack(steps: list[Step]) -> tuple[bytes, int]:
    """Return (the packed frame, bytes it has unpacked)."""
    ends, jumps = 0, []
    for step in steps:
        jumps.append(step.base - ends if step.kind != LITERAL else 0)
        ends = step.base + step.length if step.kind != LITERAL else ends
    table = [
        np.array([len(steps)], "<u4").tobytes(), np.array([step.kind for step in steps], "<u1").tobytes(),
        np.array([step.width for step in steps], "<u1").tobytes(),
        planes(np.array([step.length for step in steps], "<u8")), planes(np.array(jumps, "<i8").view("<u8")),
    ]  # fmt: skip
    changes = [step for step in steps if step.kind == CHANGE]
    counts = [len(step.values) for step in changes if step.values is not None]
    body = [step.literal for step in steps] + [planes(np.array(counts, "<u4"))]
    body += [step.mask.tobytes() for step in changes if step.mask is not None]
    for width, kind in _TYPES.items():
        values = [step.values for step in changes if step.width == width and step.values is not None]
        body.append(planes(np.concatenate(values).astype(kind)) if values else b"")
    data = b"".join([*table, *body])
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(data), len(data)


def planes(values: Values) -> bytes:
    """Return the bytes of `values`, first the lowest of all, then the next."""
    return bytes(values.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes())


def unpack(packed: bytes, size: int) -> list[Step]:
    """Return the steps of a frame whose digest was compared; `size` is what it must have unpacked.

    Raises:
        TrustError: it is no frame, or says more than it holds.
    """
    try:
        if zstandard.get_frame_parameters(packed).content_size != size or size > FRAME_CAP:
            raise odd("a frame has another size than its document says")
        reader = _Reader(zstandard.ZstdDecompressor().decompress(packed, max_output_size=size))
    except zstandard.ZstdError as error:
        raise odd(f"no zstd frame: {error}") from None
    if len(reader.data) != size:
        raise odd("a frame has another size than its document says")
    return reader.steps()


class _Reader:
    """Reads an unpacked frame from first to last byte; nothing may be left over."""

    def __init__(self, data: bytes) -> None:
        self.data, self._at = data, 0

    def steps(self) -> list[Step]:
        count = int.from_bytes(self._take(4), "little")
        if count > STEPS_CAP:
            raise odd(f"{count} steps in a frame")
        kinds, widths = self._take(count), self._take(count)
        lengths, jumps = self._planes("<u8", count), self._planes("<u8", count).view("<i8")
        if set(kinds) - {COPY, LITERAL, CHANGE} or set(widths) - set(_TYPES) or (lengths > 2**32).any():
            raise odd("an unknown step")
        plain = self._plain(list(kinds), list(widths), [int(n) for n in lengths], [int(n) for n in jumps])
        steps = self._with_changes(plain)
        if self._at != len(self.data):
            raise odd("bytes are left over in a frame")
        return steps

    def _plain(self, kinds: list[int], widths: list[int], lengths: list[int], jumps: list[int]) -> list[Step]:
        end, found = 0, []
        for kind, width, length, jump in zip(kinds, widths, lengths, jumps, strict=True):
            if kind == LITERAL:
                found.append(Step(LITERAL, 0, length, literal=self._take(length)))
                continue
            if kind == CHANGE and (length > PIECE or length % width):
                raise odd("a change that is too long, or cuts an element")
            if end + jump < 0:
                raise odd("a step before the base's first byte")
            found.append(Step(kind, end + jump, length, width))
            end += jump + length
        return found

    def _with_changes(self, steps: list[Step]) -> list[Step]:
        at = [number for number, step in enumerate(steps) if step.kind == CHANGE]
        counts = dict(zip(at, (int(n) for n in self._planes("<u4", len(at))), strict=True))
        masks = {n: np.frombuffer(self._take(-(-steps[n].length // steps[n].width // 8)), np.uint8) for n in at}
        for width, kind in _TYPES.items():
            here = [n for n in at if steps[n].width == width]
            values, first = self._planes(kind.str, sum(counts[n] for n in here)), 0
            for n in here:
                if int(np.unpackbits(masks[n], count=steps[n].length // width).sum()) != counts[n]:
                    raise odd("a mask and its values differ in number")
                steps[n] = Step(CHANGE, steps[n].base, steps[n].length, width, mask=masks[n],
                                values=values[first : first + counts[n]])  # fmt: skip
                first += counts[n]
        return steps

    def _planes(self, kind: str, count: int) -> Values:
        width = np.dtype(kind).itemsize
        data = np.frombuffer(self._take(count * width), np.uint8)
        return np.ascontiguousarray(data.reshape(width, count).T).view(kind).reshape(count)

    def _take(self, count: int) -> bytes:
        piece = self.data[self._at : self._at + count]
        if len(piece) != count:
            raise odd("a frame ends too early")
        self._at += count
        return piece
