"""Keeps blobs by their digest, written once and hashed while they are written.

A blob appears under its name only after its bytes are on the disk: temp beside it, fsync, rename, fsync of the
folder. A name that exists is therefore whole, and an install that was cut may simply be run again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from bundles.errors import StateError, TrustError
from bundles.layout import Box

CHUNK = 1024 * 1024
_TEMP = ".part"


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make every file and every name below `folder` durable; for trees of few files."""
    for path in sorted(folder.rglob("*"), reverse=True):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)


def make_folders(folder: Path, mode: int = 0o755) -> None:
    """Make `folder`, with `mode`, and its parents, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=mode if path == folder else 0o755, exist_ok=True)
        sync_folder(path.parent)


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` so that a power cut leaves the old bytes or the new, never a mixture."""
    make_folders(path.parent)
    temp = path.with_name(f".{path.name}.{os.getpid()}{_TEMP}")
    temp.unlink(missing_ok=True)  # on a stick somebody may have put a pipe there, that would be waited for
    try:
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temp.rename(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sweep(box: Box) -> None:
    """Remove what a cut install left half-written, wherever it was cut; the install lock is held.

    What it left whole is made durable: of a name that is found here nobody asks again whether its folder was synced.
    """
    os.sync()
    Store(box).sweep()
    for folder in (box.root, box.identity, box.trust, box.trust / "metadata", box.runtimes, *box.releases.glob("*")):
        for path in [*folder.glob(".*.part"), *folder.glob(".current.*")]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def chunks(source: BinaryIO, limit: int) -> Iterator[bytes]:
    """Yield `source` in pieces, at most one byte more than `limit` in all."""
    left = limit + 1
    while left and (piece := source.read(min(CHUNK, left))):
        left -= len(piece)
        yield piece


class Hashing:
    """Hashes bytes as they pass: always with SHA-256, with SHA-384 too when one is expected (profile `cnsa2`)."""

    def __init__(self, sha384: str | None = None) -> None:
        """Expect `sha384` (hex); None expects none, and empty only computes one."""
        self._sha256, self._sha384 = hashlib.sha256(), None if sha384 is None else hashlib.sha384()
        self._wanted = sha384

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._sha256.update(piece)
        if self._sha384:
            self._sha384.update(piece)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what passed."""
        return f"sha256:{self._sha256.hexdigest()}"

    @property
    def sha384(self) -> str:
        """SHA-384 (hex) of what passed; empty when none was asked for."""
        return self._sha384.hexdigest() if self._sha384 else ""

    def holds(self, digest: str) -> bool:
        """Return whether what passed is `digest`, and has the SHA-384 that is expected."""
        return self.digest == digest and self.sha384 == (self._wanted or "")


class Store:
    """The content-addressed store of a box."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is there in full length; its bytes were hashed when it got its name."""
        path = self._box.blob(digest)
        return path.is_file() and not path.is_symlink() and path.stat().st_size == size

    def put(
        self, digest: str, size: int, source: BinaryIO, *, sha384: str | None = None,
        advance: Callable[[float], None] | None = None,
    ) -> int:  # fmt: skip
        """Copy `source` into the store in one pass and return the bytes written.

        Raises:
            TrustError: length, SHA-256 or the given `sha384` differ; nothing stays.
            OSError: the disk is full or fails; nothing stays.
        """
        path = self._box.blob(digest)
        make_folders(path.parent)
        temp = path.with_name(f".{path.name}.{os.getpid()}{_TEMP}")
        sha, written = Hashing(sha384), 0
        try:
            handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o444)
            with os.fdopen(handle, "wb", buffering=0) as file:
                for piece in chunks(source, size):
                    sha.update(piece)
                    _write_all(file, piece)
                    written += len(piece)
                    if advance:
                        advance(len(piece))
                _compare(digest, size, sha, written)
                os.fsync(file.fileno())
            temp.rename(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
        return written

    def sweep(self) -> int:
        """Remove what a cut install left half-written and return how many files that were."""
        found = list(self._box.store.glob(f"*/.*{_TEMP}")) if self._box.store.is_dir() else []
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def rehash(self, digest: str, sha384: str | None = None) -> Path:
        """Return the blob's path after hashing it again, as at every start of a service; with `sha384` if given.

        Raises:
            StateError: missing, or no longer the bytes that were installed.
        """
        path = self._box.blob(digest)
        try:
            with path.open("rb") as file:
                found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
                if sha384 and file.seek(0) == 0 and hashlib.file_digest(file, "sha384").hexdigest() != sha384:
                    found = "other bytes by SHA-384"
        except FileNotFoundError:
            found = "missing"
        if found != digest:
            raise StateError(
                "STORE",
                f"blob {digest[:19]} in the store is {found[:19]}",
                safe="nothing is served from it",
                advice="install the bundle again from its medium; the damaged blob is replaced",
            )
        return path

    def forget(self, digest: str) -> None:
        """Remove a blob that no longer is what its name says."""
        self._box.blob(digest).unlink(missing_ok=True)


def _write_all(file: BinaryIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def _compare(digest: str, size: int, sha: Hashing, written: int) -> None:
    if written != size or not sha.holds(digest):
        raise TrustError(
            "BLOB",
            f"blob {digest[:19]} on the medium has other bytes than were signed",
            safe="the blob was not kept, what runs goes on running",
            advice="the medium is damaged or was changed: fetch it again from headquarters",
        )
