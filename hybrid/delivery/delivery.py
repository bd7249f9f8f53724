"""A whole bundle to a site: what is there already costs nothing, a cut continues, and `index.json` comes last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hybrid.delivery import far_end
from hybrid.delivery.connection import Connection, connect
from hybrid.delivery.destination import Destination
from hybrid.delivery.errors import DeliveryError, LinkLostError
from hybrid.delivery.parcel import LAST, PART, Item, Parcel, digest_of
from hybrid.delivery.transfer import put_in_place, send

Advance = Callable[[float], None]
RESERVE = 1 << 20  # left free at the far end for names and metadata
PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a delivery has to do, seen from what the far end holds.

    Attributes:
        folder: where the parcel's names begin, absolute.
        unchanged: files that are there with our digest.
        missing: files to send, each with the byte at which to begin: a part there whose bytes are the first of ours.
        stale: parts that belong to none of our files.
    """

    folder: str
    unchanged: tuple[Item, ...]
    missing: tuple[tuple[Item, int], ...]
    stale: tuple[str, ...]

    @property
    def to_send(self) -> int:
        """Return the bytes that travel."""
        return sum(item.size - start for item, start in self.missing)


@dataclass(frozen=True, slots=True)
class Sent:
    """One file that had to travel: its bytes, and the byte at which it was continued (0: from the start)."""

    name: str
    size: int
    resumed_at: int

    @property
    def sent(self) -> int:
        """Return the bytes that travelled."""
        return self.size - self.resumed_at


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery did: `target` is the bundle's path at the far end; `attempts` counts connections."""

    target: str
    files: int
    unchanged: int
    sent: tuple[Sent, ...]
    attempts: int
    seconds: float


def survey(link: Connection, parcel: Parcel, into: str) -> Work:
    """Compare the parcel with the far end; writes nothing."""
    base = far_end.resolve(link, into)
    folder = base if parcel.single else f"{base}/{parcel.name}"
    there: dict[str, int] = {}
    for below in _folders(parcel):
        listed = far_end.sizes(link, f"{folder}/{below}".rstrip("/"))
        there |= {f"{below}/{name}".lstrip("/"): size for name, size in listed.items()}
    found = _digests(link, folder, parcel, there)
    unchanged = tuple(item for item in parcel.items if found.get(item.name) == item.digest)
    missing = tuple((item, _start(item, there, found)) for item in parcel.items if item not in unchanged)
    ours = {item.name + PART for item, _ in missing}
    stale = tuple(sorted(name for name in there if name.endswith(PART) and name not in ours and not parcel.single))
    return Work(folder, unchanged, missing, stale)


def _digests(link: Connection, folder: str, parcel: Parcel, there: dict[str, int]) -> dict[str, str]:
    """Ask, in one command, for the digests of the files that may be ours: whole ones of our size, parts up to it."""
    whole = [item.name for item in parcel.items if there.get(item.name) == item.size]
    parts = [item.name + PART for item in parcel.items if 0 < there.get(item.name + PART, 0) <= item.size]
    return far_end.digests(link, folder, {name: there[name] for name in (*whole, *parts)})


def _start(item: Item, there: dict[str, int], found: dict[str, str]) -> int:
    """A part is worth continuing only if its bytes are the first of ours; anything else is begun anew."""
    part = item.name + PART
    if part not in found:
        return 0
    _, ours = digest_of(item.path, length=there[part])
    return there[part] if found[part] == ours else 0


def _folders(parcel: Parcel) -> tuple[str, ...]:
    return tuple(sorted({item.name.rpartition("/")[0] for item in parcel.items}))


def look(parcel: Parcel, to: Destination, into: str, *, patience_s: float) -> tuple[Work, int]:
    """Return what a delivery would do, and the bytes free at the far end; writes nothing there."""
    with connect(to, patience_s=patience_s) as link:
        work = survey(link, parcel, into)
        return work, far_end.free_bytes(link, work.folder)


def deliver(
    parcel: Parcel, to: Destination, into: str, *, patience_s: float, attempts: int, advance: Advance = lambda _: None
) -> Delivered:
    """Carry the parcel below `into`, connecting again up to `attempts` times when the link is lost.

    `advance` is told bytes as they are dealt with: the parcel's size in all, counted once across attempts.

    Raises:
        HostKeyError, DeliveryError: trying again does not help.
        LinkLostError: the last attempt failed; what arrived stays and the next run continues.
    """
    began, begun, counted = time.monotonic(), dict[str, Sent](), _Monotone(advance)
    for attempt in range(1, attempts + 1):
        counted.restart()
        try:
            with connect(to, patience_s=patience_s) as link:
                work = survey(link, parcel, into)
                for item, start in work.missing:  # as this run found them; a later attempt finds more
                    begun.setdefault(item.name, Sent(item.name, item.size, start))
                _carry(link, work, parcel, counted)
                far_end.make_durable(link, _paths(work.folder, parcel))
        except LinkLostError:
            if attempt == attempts:
                raise
            time.sleep(PAUSE_S)
            continue
        target = f"{work.folder}/{parcel.name}" if parcel.single else work.folder
        files, seconds = len(parcel.items), time.monotonic() - began
        return Delivered(target, files, files - len(begun), tuple(begun.values()), attempt, seconds)
    raise AssertionError("unreachable: attempts is at least one")


def _carry(link: Connection, work: Work, parcel: Parcel, counted: _Monotone) -> None:
    free = far_end.free_bytes(link, work.folder)
    if work.to_send + RESERVE > free:
        raise DeliveryError(
            f"{link.where}: {work.to_send / 1e6:.1f} MB to send, {free / 1e6:.1f} MB free at {work.folder}",
            advice="free space there, or choose another place with --into",
        )
    far_end.make_folders(link, _paths(work.folder, parcel))
    for name in work.stale:
        link.sftp.remove(f"{work.folder}/{name}")
    counted(sum(item.size for item in work.unchanged))
    for last in (False, True):
        batch = [(item, start) for item, start in work.missing if (item.name == LAST) == last]
        for item, start in batch:
            send(link, item, work.folder, start, counted)
        put_in_place(link, work.folder, tuple(item for item, _ in batch))


def _paths(folder: str, parcel: Parcel) -> tuple[str, ...]:
    return tuple(f"{folder}/{below}".rstrip("/") for below in _folders(parcel))


class _Monotone:
    """Tells `advance` only of bytes beyond the farthest point that an earlier attempt reached."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._farthest, self._here = advance, 0.0, 0.0

    def restart(self) -> None:
        self._here = 0.0

    def __call__(self, units: float) -> None:
        self._here += units
        if self._here > self._farthest:
            self._advance(self._here - self._farthest)
            self._farthest = self._here
