"""A site's evidence log: what `append(..., durable=True)` returned stays, and what a checkpoint covers cannot change.

    EvidenceLog.open(directory, origin=…, key=…, now=…) -> log
    log.append(record, durable=True) -> Appended       log.sync(appended.index)       log.checkpoint() -> signed note

One writer at a time. A record is written to the kernel before `append` returns (a killed process loses nothing) and
to the disk before a durable `append` or `sync` returns (a power cut loses nothing): many threads share one fdatasync.
Leaves are derived from records and repaired from them; a log shorter than its signed head refuses to open.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import os
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.errors import EvidenceError, HybridError
from hybrid.evidence import merkle, note, record, segments
from hybrid.evidence.recovery import CHECKPOINTS, LEAVES, VERIFIER_KEY, Recovered, recover

SIGN_EVERY = dt.timedelta(seconds=60)
"""After this long, the next wait for the disk signs the head too."""

RESERVE = "reserve"
RESERVE_BYTES = 1 << 18


class LogFullError(HybridError):
    """The disk is full: nothing was written, the log is as before, and the request must be refused (503)."""


class LogBusyError(HybridError):
    """Another process has the log open."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a record stands: its index and its leaf hash (32 bytes)."""

    index: int
    leaf: bytes


class EvidenceLog:
    """The one writer of a log directory; safe to call from many threads."""

    def __init__(
        self, directory: Path, origin: str, key: Ed25519PrivateKey, now: Callable[[], dt.datetime], lock: int
    ) -> None:
        """Use `open`; this wants a directory that was locked and recovered."""
        self.directory, self.origin = directory, origin
        self._key, self._now, self._lock_file = key, now, lock
        self._files: dict[str, int] = {}
        self._state = threading.Condition()
        self._synced = self._signed = 0
        self._syncing = False
        self._signed_at: dt.datetime | None = None
        self._broken: OSError | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        origin: str,
        key: Ed25519PrivateKey,
        now: Callable[[], dt.datetime],
        head: tuple[int, bytes] | None = None,
    ) -> EvidenceLog:
        """Open or begin the log in `directory`, mend what a crash tore, and sign what is not yet signed.

        `head` is the last size and root that somebody else remembers (the anti-rollback state). Raises EvidenceError
        when the log is shorter than its signed head or than `head`, or does not lead to it; LogBusyError when another
        process writes it; LogFullError when there is no space to begin.
        """
        (directory / segments.FOLDER).mkdir(parents=True, exist_ok=True, mode=0o750)
        log = cls(directory, origin, key, now, _lock(directory))
        try:
            _keep_verifier_key(directory, note.verifier_key(origin, key.public_key()))
            log._adopt(recover(directory, origin, key.public_key(), head))
        except BaseException:
            log._release()
            raise
        return log

    @property
    def size(self) -> int:
        """Return how many records were appended."""
        return self._tree.size

    def append(self, entry: Mapping[str, Any], *, durable: bool) -> Appended:
        """Append a record and return its index and leaf hash; with `durable`, only after it is on the disk.

        `at` is set when missing; `index` and `salt` are added. Raises InputError for a field that a record may not
        have, LogFullError when the disk is full (nothing is then written), EvidenceError after a failed fsync.
        """
        record.check(entry)
        with self._state:
            self._refuse_if_broken()
            self._turn_full_page()
            index = self.size
            stamped = {"at": f"{self._now():%Y-%m-%dT%H:%M:%S.%f}Z", **entry}
            line = record.canonical(stamped | {"index": index, "salt": secrets.token_hex(16)})
            data = record.digest(line)
            self._write_record(line + b"\n", data, reserved=entry["kind"] in record.RESERVED_KINDS)
            appended = Appended(index, merkle.leaf_hash(data))
            self._tree.append(appended.leaf)
        if durable:
            self.sync(index)
        return appended

    def sync(self, index: int) -> None:
        """Return once record `index` is on the disk; callers that wait at the same time share one fdatasync.

        Signs the head when the last signature is older than `SIGN_EVERY`, so that a log in use is never long unsigned.
        Raises EvidenceError when the disk refused: what it then holds is unknown, and the log takes nothing more.
        """
        with self._state:
            while self._synced <= index:
                self._refuse_if_broken()
                if self._syncing:
                    self._state.wait()
                    continue
                self._syncing, reached, file = True, self.size, self._files["records"]
                self._state.release()
                failure: OSError | None = None
                try:
                    os.fdatasync(file)
                except OSError as error:
                    failure = error
                finally:
                    self._state.acquire()
                    self._syncing = False
                    self._state.notify_all()
                self._broken = failure or self._broken
                if failure is None:
                    self._synced = max(self._synced, reached)
            now = self._now()
            due = self._signed_at is None or now - self._signed_at >= SIGN_EVERY
            self._signed_at = now if due else self._signed_at
        if due:
            with suppress(LogFullError):  # the record is kept; the head is signed when there is space again
                self.checkpoint()

    def checkpoint(self) -> str:
        """Sign the head as it is now, keep the note durably, and return it (a C2SP checkpoint)."""
        with self._state:
            size, root = self.size, self._tree.root()
            self._signed_at = self._now()
            at = self._signed_at.replace(microsecond=0)
        if size:
            self.sync(size - 1)
        signed = note.sign(note.Checkpoint(self.origin, size, root, at), self._key)
        with self._state:
            self._refuse_if_broken()
            os.fdatasync(self._files[LEAVES])
            if size >= self._signed:
                self._write(CHECKPOINTS, signed.encode() + b"\n", reserved=True)
                os.fdatasync(self._files[CHECKPOINTS])
                self._signed = size
        return signed

    def head(self) -> tuple[int, str]:
        """Return (size, root in base64) as they are now, for the anti-rollback state and receipts."""
        with self._state:
            return self.size, b64encode(self._tree.root()).decode()

    def disk_used(self) -> float:
        """Return which part of the log's file system is used, 0 to 1; alarm at 0.7 and 0.9."""
        room = os.statvfs(self.directory)
        return 1 - room.f_bavail / room.f_blocks if room.f_blocks else 0.0

    def erase(self, indices: Collection[int], *, site: str, by: list[str], reason: str) -> Appended:
        """Erase records and keep their leaves; who did it and why is recorded first, and signed.

        `reason` is one word (such as `retention`). Raises IndexError for a record that is not there.
        """
        wanted = sorted(set(indices))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.size:
            raise IndexError(f"records {wanted[0]} to {wanted[-1]} of a log of {self.size}")
        erasure = {"kind": "erasure", "site": site, "erased": wanted, "by": by, "reason": reason}
        appended = self.append(erasure, durable=True)
        self.checkpoint()
        with self._state:
            while self._syncing:
                self._state.wait()
            for first in sorted({index - index % segments.SEGMENT_RECORDS for index in wanted}):
                segments.erase_lines(self.directory, first, wanted)
            self._open_segment()
        return appended

    def close(self) -> None:
        """Sign the head if it moved, close every file, and let the next writer in. Closing twice is harmless."""
        if not self._files:
            return
        try:
            if self.size > self._signed and self._broken is None:
                self.checkpoint()
        finally:
            self._release()

    def __enter__(self) -> EvidenceLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _release(self) -> None:
        for file in (*self._files.values(), self._lock_file):
            os.close(file)
        self._files.clear()

    def _adopt(self, found: Recovered) -> None:
        """Take over a recovered directory: its tree, open files, the reserve, and a signature over its tail."""
        self._tree = merkle.Frontier(found.leaf_hashes)
        self._signed = found.signed
        try:
            self._reserve()
            for name in (LEAVES, CHECKPOINTS):
                self._files[name] = os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._open_segment()
            segments.sync_folder(self.directory)
            if self.size > self._signed or found.new:
                self.checkpoint()
        except OSError as error:
            raise _full(error) from error

    def _open_segment(self) -> None:
        """Open the segment that the next record belongs to, making it when it is new."""
        first = self.size - self.size % segments.SEGMENT_RECORDS
        path = segments.segment_path(self.directory, first)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        new, old = os.open(path, flags, 0o640), self._files.get("records")
        segments.sync_folder(path.parent)
        self._files["records"] = new
        if old is not None:
            os.close(old)

    def _write_record(self, line: bytes, data: bytes, *, reserved: bool) -> None:
        """Write a record and its leaf, both or neither. The caller holds the state."""
        before = os.fstat(self._files["records"]).st_size
        self._write("records", line, reserved=reserved)
        try:
            self._write(LEAVES, data, reserved=reserved)
        except LogFullError:
            os.ftruncate(self._files["records"], before)
            raise

    def _turn_full_page(self) -> None:
        """When the segment is full, make it durable and go on to the next one."""
        while self.size and self.size % segments.SEGMENT_RECORDS == 0:
            if segments.segment_path(self.directory, self.size).exists():
                return
            if self._syncing:
                self._state.wait()
                continue
            os.fdatasync(self._files["records"])
            self._synced = self.size
            self._open_segment()

    def _write(self, name: str, data: bytes, *, reserved: bool) -> None:
        """Append all of `data` to a file or nothing of it; `reserved` data may use up the reserve."""
        file = self._files[name]
        before, rest = os.fstat(file).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError as error:
            os.ftruncate(file, before)
            if reserved and error.errno in (errno.ENOSPC, errno.EDQUOT) and self._free_reserve():
                self._write(name, data, reserved=False)
                return
            raise _full(error) from error

    def _reserve(self) -> None:
        """Set space aside for overrides, breaches, the last checkpoint and shutdown."""
        file = os.open(self.directory / RESERVE, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            os.posix_fallocate(file, 0, RESERVE_BYTES)
        finally:
            os.close(file)

    def _free_reserve(self) -> bool:
        """Give back a part of the reserve (64 KiB at a time); False when nothing is left of it."""
        path = self.directory / RESERVE
        left = path.stat().st_size
        if left:
            os.truncate(path, max(0, left - (1 << 16)))
        return left > 0

    def _refuse_if_broken(self) -> None:
        if self._broken is not None:
            raise EvidenceError(
                f"the disk failed to keep the log ({self._broken.strerror}); what it holds is unknown",
                advice="stop serving, check the disk, run `hybrid audit verify` and open the log again",
            )


def _lock(directory: Path) -> int:
    """Take the directory's lock and return its file. Raises LogBusyError when somebody has it."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise LogBusyError(
            f"{directory}: another process writes this log", advice="stop the service that runs there first"
        ) from error
    return lock


def _keep_verifier_key(directory: Path, key: str) -> None:
    """Write the log's verifier key on first use; afterwards it must be the same. Raises EvidenceError otherwise."""
    path = directory / VERIFIER_KEY
    if not path.exists():
        path.write_text(key + "\n", encoding="utf-8")
    elif path.read_text(encoding="utf-8").strip() != key:
        raise EvidenceError(
            f"{path}: this log was begun with another key or under another origin",
            advice="open it with the key it was enrolled with; a new key begins a new log directory",
        )


def _full(error: OSError) -> HybridError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return LogFullError(
            "the evidence log's disk is full; nothing was written", advice="free space; refuse work with 503 until then"
        )
    return HybridError(f"the evidence log cannot be written: {error.strerror}", advice="check the disk")
