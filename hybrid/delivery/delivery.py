"""A whole bundle to a site: what is there already costs nothing, a cut continues, and `index.json` comes last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hybrid.delivery import far_end
from hybrid.delivery.connection import Connection, connect
from hybrid.delivery.destination import Destination
from hybrid.delivery.errors import DeliveryError, LinkLostError
from hybrid.delivery.parcel import PART, Item, Parcel
from hybrid.delivery.transfer import Sent, send

Advance = Callable[[float], None]
RESERVE = 1 << 20  # left free at the far end for names and metadata
PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a delivery has to do, seen from what the far end holds.

    Attributes:
        folder: where the parcel's names begin, absolute.
        unchanged: files that are there with our digest.
        missing: files to send, each with the bytes of its part (None: no part).
        stale: parts that belong to none of our files.
    """

    folder: str
    unchanged: tuple[Item, ...]
    missing: tuple[tuple[Item, int | None], ...]
    stale: tuple[str, ...]

    @property
    def to_send(self) -> int:
        """Return the bytes that would travel if every part is worth continuing."""
        return sum(item.size - (part if part and part <= item.size else 0) for item, part in self.missing)


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
    same_size = tuple(item for item in parcel.items if there.get(item.name) == item.size)
    found = far_end.digests(link, folder, tuple(i.name for i in same_size), reading=sum(i.size for i in same_size))
    unchanged = tuple(item for item in same_size if found.get(item.name) == item.digest)
    missing = tuple((item, there.get(item.name + PART)) for item in parcel.items if item not in unchanged)
    ours = {item.name + PART for item, _ in missing}
    stale = tuple(sorted(name for name in there if name.endswith(PART) and name not in ours and not parcel.single))
    return Work(folder, unchanged, missing, stale)


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
    began, sent, counted = time.monotonic(), list[Sent](), _Monotone(advance)
    for attempt in range(1, attempts + 1):
        counted.restart()
        try:
            with connect(to, patience_s=patience_s) as link:
                work = survey(link, parcel, into)
                sent.extend(_carry(link, work, parcel, counted))
                far_end.make_durable(link, _paths(work.folder, parcel))
        except LinkLostError:
            if attempt == attempts:
                raise
            time.sleep(PAUSE_S)
            continue
        target = f"{work.folder}/{parcel.name}" if parcel.single else work.folder
        done = len(parcel.items)
        return Delivered(target, done, done - len(sent), tuple(sent), attempt, time.monotonic() - began)
    raise AssertionError("unreachable: attempts is at least one")


def _carry(link: Connection, work: Work, parcel: Parcel, counted: _Monotone) -> Iterator[Sent]:
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
    for item, part in work.missing:
        yield send(link, item, f"{work.folder}/{item.name}", part, counted)


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
