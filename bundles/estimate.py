"""Says what an install would write, whether there is room for it, and about how long it takes.

The time is an assumption that is told with it: the medium goes on giving bytes as fast as it gave the first few
megabytes just now, and the box unpacks as fast as two slow cores did.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundles.errors import SpaceError
from bundles.store import CHUNK, Store

if TYPE_CHECKING:
    from bundles.layout import Box
    from bundles.verification import VerifiedBundle

SPARE_BYTES = 16 * 1024 * 1024
TASTE_BYTES = 4 * CHUNK
COPY_RATE = 400e6
"""Bytes a second that are copied, hashed and made durable in one pass on a slow disk, however fast the medium is."""
UNPACK_RATE = 40e6


@dataclass(frozen=True)
class Estimate:
    """What an install would write, in bytes, what is free, and how fast the medium was just read (bytes a second)."""

    new_blobs: int
    blobs_bytes: int
    runtime_bytes: int
    free_bytes: int
    medium_rate: float

    @property
    def needed_bytes(self) -> int:
        """Bytes that must be free, with a spare for metadata."""
        return self.blobs_bytes + self.runtime_bytes + SPARE_BYTES

    @property
    def seconds(self) -> float:
        """About how long copying and unpacking take; checks of the new release come on top."""
        return self.blobs_bytes / min(self.medium_rate, COPY_RATE) + self.runtime_bytes / UNPACK_RATE


def estimate(box: Box, bundle: VerifiedBundle, *, unpacked: bool) -> Estimate:
    """Return what installing `bundle` would write; `unpacked` says that its runtime is there already."""
    store = Store(box)
    new = {name: size for name, size in bundle.blobs.items() if not store.has(name, size)}
    free = os.statvfs(box.root)
    return Estimate(
        len(new), sum(new.values()), 0 if unpacked else bundle.manifest.unpacked, free.f_bavail * free.f_frsize,
        _rate(bundle, [name for name in new if bundle.medium.here(name)]),
    )  # fmt: skip


def require_room(wanted: Estimate) -> None:
    """Refuse an install that the disk has no room for.

    Raises:
        SpaceError: nothing was written.
    """
    if wanted.free_bytes < wanted.needed_bytes:
        raise SpaceError(
            "SPACE", f"needs {wanted.needed_bytes / 1e6:.0f} MB, {wanted.free_bytes / 1e6:.0f} MB are free",
            advice="free space on the box (hybrid site clean) and install again",
            safe="nothing was written, what runs goes on running",
        )  # fmt: skip


def _rate(bundle: VerifiedBundle, names: list[str]) -> float:
    """Return how fast the medium gives the first bytes of its largest blob; the copy finds them in memory again."""
    if not names:
        return COPY_RATE
    began, size = time.perf_counter(), 0
    with bundle.medium.open_blob(max(names, key=lambda name: bundle.blobs[name])) as source:
        while size < TASTE_BYTES and (piece := source.read(CHUNK)):
            size += len(piece)
    return max(size, 1) / max(time.perf_counter() - began, 1e-6)
