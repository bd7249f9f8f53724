"""Keeps what serves and what it would go back to, and removes every other release with what only it needed.

Kept are the release that serves, the one recorded before it, the newest one (the floor of the anti-rollback state is
derived from it) and any that a running process holds. Records go first and blobs after: a cut leaves blobs that
nobody names, which the next clean removes, and never a release without its blobs.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundles import release, runtime
from bundles.document import canonical
from bundles.errors import BundleError, StateError
from bundles.layout import Box
from bundles.nouns import ReleaseRecord
from bundles.store import sync_folder

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Cleaned:
    """What was removed, or would be: numbers of releases, digests of blobs and runtimes, and the bytes they took.

    `problem` says why an install that succeeded could not clean up after itself; empty when it could.
    """

    releases: tuple[int, ...]
    blobs: tuple[str, ...]
    runtimes: tuple[str, ...]
    freed_bytes: int
    problem: str = ""


@contextmanager
def in_use(served: release.Release) -> Iterator[None]:
    """Hold a release while a process serves it, so that nobody cleans it away underneath.

    It is the folder that is held: the record in it is another file after the same bundle was installed again.

    Raises:
        StateError: it was removed just now.
    """
    try:
        handle = os.open(Box(served.root).release(served.number).parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise _gone(served.number) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        if not os.fstat(handle).st_nlink:
            raise _gone(served.number)
        yield
    finally:
        os.close(handle)


def clean(box: Box, *, dry_run: bool = False) -> Cleaned:
    """Remove what is kept for nobody; the install lock is held. With `dry_run` say what that would be.

    Raises:
        StateError: the record of a release that stays cannot be read: then nothing is removed.
    """
    with ExitStack() as locks:
        return _clean(box, locks, dry_run)


def clean_after_install(box: Box) -> Cleaned:
    """Clean, and never fail: the release serves already, and the next clean removes what this one left."""
    try:
        return clean(box)
    except (OSError, BundleError) as error:
        return Cleaned((), (), (), 0, str(error))


def _clean(box: Box, locks: ExitStack, dry_run: bool) -> Cleaned:
    held = _kept(box, locks)
    records = {number: release.load(box, number) for number in held}
    named = {name for record in records.values() for name in referenced(record)}
    gone = sorted(
        int(path.name) for path in _children(box.releases) if path.name.isdigit() and int(path.name) not in held
    )
    runtimes = [path for path in _children(box.runtimes) if not path.name.startswith(".") and _name(path) not in named]
    blobs = [path for folder in _children(box.store) for path in _children(folder) if _name(path) not in named]
    freed = sum(path.stat().st_size for path in blobs) + sum(_size(path) for path in runtimes)
    if not dry_run:
        for number in gone:
            _forget(box, number)
        for path in blobs:
            path.unlink(missing_ok=True)
        for path in runtimes:
            runtime.discard(path)
    return Cleaned(tuple(gone), tuple(map(_name, blobs)), tuple(map(_name, runtimes)), freed)


def referenced(record: ReleaseRecord) -> set[str]:
    """Return every digest that a release's record names, whatever it names it for."""
    return {found.decode() for found in _DIGEST.findall(canonical(record))}


def _kept(box: Box, locks: ExitStack) -> set[int]:
    """Return the releases that stay; the others are locked until `locks` closes, so that none begins to serve."""
    numbers = release.numbers(box)
    current = release.current_number(box)
    before = release.load(box, current).previous if current is not None else None
    kept = set(numbers[-1:]) | {number for number in numbers if number in (current, before)}
    return kept | {number for number in numbers if number not in kept and not _locked(box, number, locks)}


def _locked(box: Box, number: int, locks: ExitStack) -> bool:
    """Lock a release against whoever would begin to serve it; False where somebody serves it already."""
    handle = os.open(box.release(number).parent, os.O_RDONLY | os.O_DIRECTORY)
    locks.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget(box: Box, number: int) -> None:
    """Remove a release's record, which makes it one, and then its folder."""
    record = box.release(number)
    record.unlink(missing_ok=True)
    sync_folder(record.parent)
    for path in record.parent.iterdir():
        path.unlink()
    record.parent.rmdir()
    sync_folder(box.releases)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _name(path: Path) -> str:
    return f"sha256:{path.name}"


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _gone(number: int) -> StateError:
    return StateError("RELEASE", f"release {number} was removed while it was opened", advice="start the service again")
