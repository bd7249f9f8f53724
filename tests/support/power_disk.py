"""Says what a disk may hold after a power cut, given the changes that were made to it and what was fsynced.

The model is as unkind as POSIX allows: what was written to a file is on the disk once that file was fsynced, a name
once the folder that holds it was, and of everything else any part may be there, in any order. A new name may be there
without the bytes behind it, or they as zeros, or torn in the middle. A rename happens or does not, and so does a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

KEPT, ZEROS, TORN = "kept", "zeros", "torn"
ROOT = 0
Entry = tuple[str, int, bytes | str | None]


@dataclass(frozen=True)
class Change:
    """One thing that happens to a disk.

    Attributes:
        cut: the last cut before it.
        waits: the node that has to be fsynced before it is on the disk for certain.
        names: (folder, name, node or None) that are set at once.
        node: whose bytes, length or mode change.
        durable: the first cut at which it is on the disk for certain; None: never.
    """

    cut: int
    waits: int
    names: tuple[tuple[int, str, int | None], ...] = ()
    node: int = ROOT
    offset: int = 0
    data: bytes = b""
    length: int | None = None
    mode: int | None = None
    durable: int | None = None

    def settled(self, cut: int) -> bool:
        """Return whether this is on the disk for certain at `cut`."""
        return self.durable is not None and self.durable <= cut


@dataclass
class Image:
    """What lies on a disk: folders, bytes, targets of links, modes, each by node."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytes] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    modes: dict[int, int] = field(default_factory=dict)

    def add(self, content: bytes | str | None, mode: int) -> int:
        """Make a node that no name leads to yet: a file, a link with this target, or (None) a folder."""
        node = len(self.modes) + 1
        self.modes[node] = mode
        if content is None:
            self.folders[node] = {}
        elif isinstance(content, str):
            self.links[node] = content
        else:
            self.files[node] = content
        return node

    def apply(self, change: Change, how: str = KEPT) -> None:
        """Let `change` reach the disk, its bytes whole, as zeros, or torn."""
        for folder, name, node in change.names:
            self.folders[folder].pop(name, None)
            if node is not None:
                self.folders[folder][name] = node
        if change.mode is not None:
            self.modes[change.node] = change.mode
        if change.length is not None:
            self.files[change.node] = self.files[change.node][: change.length].ljust(change.length, b"\0")
        if change.data:
            old, end = self.files[change.node], change.offset + len(change.data)
            new = _damaged(change.data, how)
            self.files[change.node] = old[: change.offset].ljust(change.offset, b"\0") + new + old[end:]

    def copy(self) -> Image:
        """Return an image of its own."""
        folders = {node: dict(names) for node, names in self.folders.items()}
        return Image(folders, dict(self.files), dict(self.links), dict(self.modes))

    def listing(self) -> tuple[Entry, ...]:
        """Return (path, mode, bytes or target or None for a folder) of everything that a name leads to, sorted."""
        return tuple(sorted(self._below(ROOT, ""), key=lambda entry: entry[0]))

    def _below(self, folder: int, place: str) -> Iterator[Entry]:
        for name, node in self.folders[folder].items():
            yield place + name, self.modes[node], self.files.get(node, self.links.get(node))
            if node in self.folders:
                yield from self._below(node, f"{place}{name}/")


def _damaged(data: bytes, how: str) -> bytes:
    if how == KEPT:
        return data
    return (data[: len(data) // 2] if how == TORN else b"").ljust(len(data), b"\0")


def seen(place: Path) -> Image:
    """Return what lies below `place` now."""
    image = Image()
    _see(image, place, ROOT)
    return image


def _see(image: Image, place: Path, folder: int) -> None:
    for path in sorted(place.iterdir()):
        kind = path.lstat().st_mode
        content = os.readlink(path) if stat.S_ISLNK(kind) else None if stat.S_ISDIR(kind) else path.read_bytes()
        node = image.add(content, stat.S_IMODE(kind))
        image.folders[folder][path.name] = node
        if content is None:
            _see(image, path, node)


def lay(image: Image, place: Path) -> Path:
    """Make the folder `place`, let it hold what `image` does, and return it."""
    place.mkdir(parents=True)
    for name, mode, content in image.listing():
        path = place / name
        if isinstance(content, str):
            path.symlink_to(content)
            continue
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        path.chmod(mode)
    return place


class Disk:
    """A disk, all of it durable to begin with, and what was done to it; cut k lies before step k, the last after all.

    Attributes:
        live: what a process sees on it now.
        steps: what was done, in words.
        syncs: (step, node) of each step that made what waits for the node durable; None: everything.
    """

    def __init__(self, first: Image) -> None:
        self.live, self.steps, self.changes = first.copy(), list[str](), list[Change]()
        self.syncs = list[tuple[int, int | None]]()
        self._first = first

    def change(self, said: str, change: Change) -> None:
        """Do one thing that is seen at once and durable later."""
        self.changes.append(replace(change, cut=len(self.steps)))
        self.live.apply(change)
        self.steps.append(said)

    def sync(self, said: str, node: int | None = None) -> None:
        """Make what waits for `node` durable; None: everything."""
        self.syncs.append((len(self.steps), node))
        self._settle(*self.syncs[-1])
        self.steps.append(said)

    def _settle(self, step: int, node: int | None) -> None:
        for number, change in enumerate(self.changes):
            if change.durable is None and change.cut < step and node in (None, change.waits):
                self.changes[number] = replace(change, durable=step + 1)

    def without(self, left_out: Collection[int]) -> Disk:
        """Return the disk as if nobody had made the syncs at these steps."""
        other = copy(self)
        other.changes = [replace(change, durable=None) for change in self.changes]
        other.syncs = [sync for sync in self.syncs if sync[0] not in left_out]
        for sync in other.syncs:
            other._settle(*sync)
        return other

    def killed(self, cut: int) -> Disk:
        """Return the disk as a process that is killed at `cut` leaves it: all of it seen, not all of it durable."""
        other = copy(self)
        other.steps = self.steps[:cut]
        other.changes = [change for change in self.changes if change.cut < cut]
        other.live = other.image(cut, dict.fromkeys(self.pending(cut), KEPT))
        return other.without([step for step, _ in self.syncs if step >= cut])

    def pending(self, cut: int) -> list[int]:
        """Return the numbers of the changes that may or may not have reached the disk by `cut`."""
        return [n for n, change in enumerate(self.changes) if change.cut < cut and not change.settled(cut)]

    def image(self, cut: int, chosen: Mapping[int, str]) -> Image:
        """Return what is there after a power cut at `cut`, when of the pending changes just `chosen` reached it."""
        found = self._nodes()
        for number, change in enumerate(self.changes):
            if change.cut < cut and (number in chosen or change.settled(cut)):
                found.apply(change, chosen.get(number, KEPT))
        return found

    def _nodes(self) -> Image:
        """Return the first image, with the nodes that were made since: empty, and without a name."""
        found, now = self._first.copy(), self.live
        found.folders |= {node: {} for node in now.folders if node not in found.folders}
        found.files |= {node: b"" for node in now.files if node not in found.files}
        found.links |= now.links
        found.modes |= {node: mode for node, mode in now.modes.items() if node not in found.modes}
        return found
