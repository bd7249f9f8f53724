"""Lets recorded calls happen to the model of a disk; a call that it does not know is an error, never passed over."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.support.power_calls import Call
from tests.support.power_disk import ROOT, Change, Disk

_BY_HANDLE = {"writev": 0, "pwritev": 0, "pwritev2": 0, "copy_file_range": 2, "sendfile": 0, "splice": 2, "mmap": 4,
              "fallocate": 0, "sync_file_range": 0, "fchown": 0}  # fmt: skip


class UnknownCallError(AssertionError):
    """A call changed the disk in a way that the model has to be taught."""


@dataclass
class _Handle:
    node: int
    flags: str
    offset: int = 0


class Replay:
    """Plays calls upon `disk`, which lay at `root` when they were made.

    Attributes:
        made: the calls that changed the disk or made something durable: one for each step of the disk that they did.
    """

    def __init__(self, disk: Disk, root: Path) -> None:
        self.disk, self.made = disk, list[Call]()
        self._root = PurePosixPath(os.path.abspath(root))
        self._handles: dict[int, _Handle] = {}
        self._umask = os.umask(0o077)
        os.umask(self._umask)

    def play(self, calls: Iterable[Call]) -> Replay:
        """Let the calls happen, those that failed left out.

        Raises:
            UnknownCallError: what one of them changed here is not known.
        """
        for call in calls:
            if call.result < 0:
                continue
            before = len(self.disk.steps)
            known = getattr(self, f"_{call.name}", None)
            if known:
                known(call)
            elif self._concerns(call):
                raise UnknownCallError(f"{call.name}{call.arguments}")
            if len(self.disk.steps) > before:
                self.made.append(call)
        return self

    def _concerns(self, call: Call) -> bool:
        if call.name in _BY_HANDLE:
            handle = self._handles.get(int(call.arguments[_BY_HANDLE[call.name]]))
            read_only = call.name == "mmap" and ("MAP_PRIVATE" in call.arguments[3] or "WRITE" not in call.arguments[2])
            return bool(handle and not read_only)
        return True

    def _place(self, call: Call, path: int, at: int | None = None) -> tuple[int, str] | None:
        """Return the folder's node and the name that a path argument means; None: it is not on this disk."""
        said = PurePosixPath(call.path(path))
        at_handle = at is not None and not said.is_absolute() and call.arguments[at] != "AT_FDCWD"
        if at_handle:
            handle = self._handles.get(int(call.arguments[at or 0]))
            return self._walk(handle.node, said.parts) if handle else None
        whole = PurePosixPath(os.path.abspath(said))
        return self._walk(ROOT, whole.relative_to(self._root).parts) if whole.is_relative_to(self._root) else None

    def _walk(self, node: int, parts: tuple[str, ...]) -> tuple[int, str]:
        for part in parts[:-1]:
            node = self.disk.live.folders[node][part]
            if node not in self.disk.live.folders:
                raise UnknownCallError(f"{'/'.join(parts)} goes through a link")
        return node, parts[-1] if parts else "."

    def _at(self, place: tuple[int, str]) -> int | None:
        folder, name = place
        return folder if name == "." else self.disk.live.folders[folder].get(name)

    def _set(self, call: Call, folder: int, *names: tuple[str, int | None]) -> None:
        said = f"{call.name} {' '.join(name for name, _ in names)}"
        self.disk.change(said, Change(0, folder, names=tuple((folder, name, node) for name, node in names)))

    # Opening.

    def _openat(self, call: Call) -> None:
        self._opened(call, self._place(call, 1, 0), call.arguments[2], call.arguments[3:])

    def _open(self, call: Call) -> None:
        self._opened(call, self._place(call, 0), call.arguments[1], call.arguments[2:])

    def _opened(self, call: Call, place: tuple[int, str] | None, flags: str, mode: tuple[str, ...]) -> None:
        self._handles.pop(call.result, None)
        if place is None:
            return
        if "O_TMPFILE" in flags:
            raise UnknownCallError(f"{call.name}{call.arguments}")
        node = self._at(place)
        if node is None:
            node = self.disk.live.add(b"", int(mode[0], 8) & ~self._umask)
            self._set(call, place[0], (place[1], node))
        elif "O_TRUNC" in flags and self.disk.live.files[node]:
            self.disk.change(f"{call.name} {place[1]}", Change(0, node, node=node, length=0))
        self._handles[call.result] = _Handle(node, flags)

    def _close(self, call: Call) -> None:
        self._handles.pop(int(call.arguments[0]), None)

    def _dup(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            self._handles[call.result] = handle

    _dup2 = _dup3 = _dup

    def _fcntl(self, call: Call) -> None:
        if call.arguments[1].startswith("F_DUPFD"):
            self._dup(call)

    # Bytes.

    def _lseek(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            handle.offset = call.result

    def _write(self, call: Call) -> None:
        handle = self._handles.get(int(call.arguments[0]))
        if handle is None:
            return
        if "O_WRONLY" not in handle.flags:  # reading, which is not recorded, would have moved the offset
            raise UnknownCallError(f"write to a file opened with {handle.flags}")
        length = len(self.disk.live.files[handle.node])
        start = length if "O_APPEND" in handle.flags else handle.offset
        data = call.bytes_of(1)[: call.result]
        self.disk.change(f"write {len(data)}", Change(0, handle.node, node=handle.node, offset=start, data=data))
        handle.offset = start + len(data)

    def _pwrite64(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            data, start = call.bytes_of(1)[: call.result], int(call.arguments[3])
            self.disk.change(f"pwrite {len(data)}", Change(0, handle.node, node=handle.node, offset=start, data=data))

    def _ftruncate(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            length = int(call.arguments[1])
            self.disk.change(f"ftruncate {length}", Change(0, handle.node, node=handle.node, length=length))

    # Names.

    def _rename(self, call: Call) -> None:
        self._renamed(call, self._place(call, 0), self._place(call, 1))

    def _renameat(self, call: Call) -> None:
        self._renamed(call, self._place(call, 1, 0), self._place(call, 3, 2))

    _renameat2 = _renameat

    def _renamed(self, call: Call, old: tuple[int, str] | None, new: tuple[int, str] | None) -> None:
        if old is None and new is None:
            return
        if old is None or new is None or old[0] != new[0] or (call.name == "renameat2" and call.arguments[4] != "0"):
            raise UnknownCallError(f"{call.name}{call.arguments}")
        self._set(call, old[0], (old[1], None), (new[1], self._at(old)))

    def _unlink(self, call: Call) -> None:
        if place := self._place(call, 0):
            self._set(call, place[0], (place[1], None))

    _rmdir = _unlink

    def _unlinkat(self, call: Call) -> None:
        if place := self._place(call, 1, 0):
            self._set(call, place[0], (place[1], None))

    def _mkdir(self, call: Call) -> None:
        if place := self._place(call, 0):
            self._set(call, place[0], (place[1], self.disk.live.add(None, int(call.arguments[1], 8) & ~self._umask)))

    def _symlink(self, call: Call) -> None:
        if place := self._place(call, 1):
            self._set(call, place[0], (place[1], self.disk.live.add(call.path(0), 0o777)))

    # Modes.

    def _chmod(self, call: Call) -> None:
        if (place := self._place(call, 0)) and (node := self._at(place)) is not None:
            self._mode(node, call.arguments[1])

    def _fchmod(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            self._mode(handle.node, call.arguments[1])

    def _fchmodat(self, call: Call) -> None:
        if (place := self._place(call, 1, 0)) and (node := self._at(place)) is not None:
            self._mode(node, call.arguments[2])

    def _mode(self, node: int, mode: str) -> None:
        self.disk.change(f"chmod {mode}", Change(0, node, node=node, mode=int(mode, 8)))

    # What makes things durable.

    def _fsync(self, call: Call) -> None:
        if handle := self._handles.get(int(call.arguments[0])):
            self.disk.sync(f"fsync {handle.node}", handle.node)

    _fdatasync = _fsync

    def _syncfs(self, call: Call) -> None:
        if int(call.arguments[0]) in self._handles:
            self.disk.sync("syncfs")

    def _sync(self, call: Call) -> None:
        self.disk.sync("sync")
