"""Cuts the power under a change to a box, at every step of it, and hands out what the disk may hold then."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.support.power_calls import Call, recorded
from tests.support.power_disk import KEPT, TORN, ZEROS, Disk, Entry, Image, lay, seen
from tests.support.power_replay import Replay

SOAK = "HYBRID_SOAK" in os.environ
_ALL_SUBSETS_UP_TO = 5
_DRAWN = 12
Choice = Mapping[int, str]
Choose = Callable[[Disk, int], Iterable[Choice]]


@dataclass(frozen=True)
class Lost:
    """A disk after a power cut: at which step, what of the pending changes it holds, and what lies on it."""

    cut: int
    said: str
    image: Image

    def listing(self) -> tuple[Entry, ...]:
        """Return what lies there, but for locks."""
        return tuple(entry for entry in self.image.listing() if "/run/" not in f"/{entry[0]}/")


@dataclass(frozen=True)
class Recording:
    """What a piece of work did to a disk, step by step, and the call behind each step."""

    disk: Disk
    calls: list[Call]

    def lost(self, cuts: int | None = None, *, choose: Choose | None = None) -> Iterator[Lost]:
        """Yield every different disk that a power cut may leave.

        What lies below `run`, a lock that dies with its process, makes no difference.

        Args:
            cuts: yield only one disk each for about so many cuts, the first and the last among them, by a fixed seed.
            choose: which of the pending changes reach the disk; None: see `choices`.
        """
        known: set[tuple[Entry, ...]] = set()
        for cut in some(len(self.disk.steps) + 1, cuts):
            found = {lost.listing(): lost for lost in self.at(cut, choose)}
            new = [lost for listing, lost in found.items() if listing not in known]
            known |= found.keys()
            yield from new if cuts is None or not new else [random.Random(cut).choice(new)]

    def at(self, cut: int, choose: Choose | None = None) -> Iterator[Lost]:
        """Yield what a power cut at `cut` may leave."""
        for choice in (choose or choices)(self.disk, cut):
            yield Lost(cut, self._say(cut, choice), self.disk.image(cut, choice))

    def _say(self, cut: int, choice: Choice) -> str:
        after = self.disk.steps[cut - 1] if cut else "nothing"
        pending = [
            f"{self.disk.steps[self.disk.changes[number].cut]}: {choice.get(number, 'lost')}"
            for number in self.disk.pending(cut)
        ]  # fmt: skip
        return f"cut {cut}, after {after}; pending: {', '.join(pending) or 'nothing'}"


def some(count: int, most: int | None) -> list[int]:
    """Return the numbers below `count`, or `most` of them, evenly, the first and the last among them."""
    if most is None or count <= most:
        return list(range(count))
    return sorted({round(step * (count - 1) / (most - 1)) for step in range(most)})


def record(root: Path, work: Callable[[], object], disk: Disk | None = None) -> Recording:
    """Let `work` change what lies at `root`, for real, and return what it did, step by step.

    Args:
        disk: what lies there, when not all of it is durable.

    Raises:
        UnknownCallError: it did what the model of a disk does not know.
    """
    disk = disk or Disk(seen(root))
    replay = Replay(disk, root)
    replay.play(recorded(work))
    assert disk.live.listing() == seen(root).listing(), "the model of the disk is not what really lies there"
    return Recording(disk, replay.made)


def choices(disk: Disk, cut: int) -> Iterator[Choice]:
    """Yield what of the pending changes may have reached the disk by `cut`: nothing and all, names without their
    bytes, bytes without their names, all but one, one alone, each in the order of time; and every set of few changes,
    or some drawn of many."""
    pending = disk.pending(cut)
    names = [number for number in pending if disk.changes[number].names]
    data = [number for number in pending if disk.changes[number].data]
    yield {}
    yield dict.fromkeys(pending, KEPT)
    if not pending:
        return
    yield dict.fromkeys(names, KEPT)
    for how in (ZEROS, TORN):
        yield {**dict.fromkeys(pending, KEPT), **dict.fromkeys(data, how)}
    if len(pending) <= _ALL_SUBSETS_UP_TO:
        for size in range(1, len(pending)):
            yield from (dict.fromkeys(chosen, KEPT) for chosen in combinations(pending, size))
        return
    yield from ({number: KEPT for number in pending if number != left} for left in pending)
    yield from ({number: KEPT} for number in pending)
    yield from (dict.fromkeys(pending[:size], KEPT) for size in range(2, len(pending) - 1))
    draw = random.Random(cut)
    for _ in range(_DRAWN):
        yield {number: draw.choice((KEPT, KEPT, ZEROS, TORN)) for number in pending if draw.random() < 0.5}


def plainest(disk: Disk, cut: int) -> Iterator[Choice]:
    """Yield the two that show most: nothing that is pending, and of that the names alone."""
    yield {}
    yield {number: KEPT for number in disk.pending(cut) if disk.changes[number].names}


def laid(image: Image, place: Path) -> Path:
    """Return `place`, emptied, with what `image` holds."""
    shutil.rmtree(place, ignore_errors=True)
    return lay(image, place)
