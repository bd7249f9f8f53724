"""Writes the delta between two files at headquarters: tensors matched by name, the bytes between them by their place.

A re-ordered file costs nothing that way, where a delta of bytes would find nothing alike. Memory does not grow with
the files: tensors are taken in pieces, and a frame is written when a few megabytes are together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bundles.delta.frames import CHANGE, COPY, LITERAL, PIECE, STEPS_CAP, Step, change, pack
from bundles.delta.nouns import Bytes, DeltaDocument, Frame
from bundles.delta.tensors import Place
from bundles.document import digest

FULL = 0.6
"""A delta larger than this share of the result is not worth its base: the full file travels."""


def encode(
    base: Path, result: Path, before: Mapping[str, Place], after: Mapping[str, Place], body: BinaryIO
) -> DeltaDocument | None:
    """Write the delta that makes `result` from `base` into `body` and return its document.

    Args:
        before, after: tensor -> place, in `base` and in `result`.

    Returns:
        None when the delta comes to more than 60 % of the result; what is in `body` then is of no use.
    """
    frames, written = [], 0
    with base.open("rb") as first, result.open("rb") as second:
        old, new = _Ranges(first), _Ranges(second)
        for steps in _framed(_steps(old, new, before, after)):
            packed, unpacked = pack(steps)
            body.write(packed)
            written += len(packed)
            if written > FULL * len(new):
                return None
            frames.append(Frame(digest=digest(packed), packed=len(packed), unpacked=unpacked))
    return DeltaDocument(base=_bytes(base), result=_bytes(result), frames=tuple(frames))


class _Ranges:
    """A file of which ranges are read as they are asked for, so that memory does not grow with it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> NDArray[np.uint8]:
        start, stop, _ = where.indices(self._size)
        return np.frombuffer(os.pread(self._file.fileno(), max(0, stop - start), start), np.uint8)


def _steps(old: _Ranges, new: _Ranges, before: Mapping[str, Place], after: Mapping[str, Place]) -> Iterator[Step]:
    """Yield what makes `new`, from first to last byte; neighbouring copies are not yet one."""
    at, stood = 0, 0
    for name, place in sorted(after.items(), key=lambda item: item[1].start):
        if place.start < at or place.end > len(new):
            continue  # it overlaps the one before: its bytes are made already
        known = before.get(name)
        there = known if known and known.length == place.length and known.end <= len(old) else None
        yield from _between(old, new, at, place.start, there.start if there else None, stood)
        if there:
            yield from _tensor(old, new, there, place)
            stood = there.end
        else:
            yield from _literal(new, place.start, place.end)
        at = place.end
    yield from _between(old, new, at, len(new), len(old), stood)


def _between(old: _Ranges, new: _Ranges, start: int, end: int, next_old: int | None, last_old: int) -> Iterator[Step]:
    """Yield the bytes between two tensors: a copy where the base has them before its own next, or after its last."""
    size = end - start
    if not size:
        return
    if size <= PIECE:
        for at in (next_old - size if next_old is not None else -1, last_old):
            if 0 <= at <= len(old) - size and np.array_equal(old[at : at + size], new[start:end]):
                yield Step(COPY, at, size)
                return
    yield from _literal(new, start, end)


def _tensor(old: _Ranges, new: _Ranges, there: Place, place: Place) -> Iterator[Step]:
    for offset in range(0, place.length, PIECE):
        size = min(PIECE, place.length - offset)
        first, at = there.start + offset, place.start + offset
        yield change(old[first : first + size], new[at : at + size], first, place.width)


def _literal(new: _Ranges, start: int, end: int) -> Iterator[Step]:
    for at in range(start, end, PIECE):
        piece = new[at : min(end, at + PIECE)].tobytes()
        yield Step(LITERAL, 0, len(piece), literal=piece)


def _framed(steps: Iterator[Step]) -> Iterator[list[Step]]:
    """Yield runs of steps whose changes and literal bytes come to a few megabytes; neighbouring copies become one."""
    frame: list[Step] = []
    size = 0
    for step in steps:
        last = frame[-1] if frame else None
        if last and last.kind == step.kind == COPY and last.base + last.length == step.base:
            frame[-1] = Step(COPY, last.base, last.length + step.length)
            continue
        weight = 0 if step.kind == COPY else len(step.literal) + _weight(step)
        if frame and (size + weight > PIECE * 2 or len(frame) == STEPS_CAP):
            yield frame
            frame, size = [], 0
        frame.append(step)
        size += weight
    if frame:
        yield frame


def _weight(step: Step) -> int:
    if step.kind != CHANGE or step.mask is None or step.values is None:
        return 0
    return step.mask.nbytes + step.values.nbytes


def _bytes(path: Path) -> Bytes:
    with path.open("rb") as file:
        return Bytes(digest="sha256:" + hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)
