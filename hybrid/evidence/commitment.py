"""Commitments to bodies: a record can prove later which body it meant, and forget it when the key is erased.

The commitment is HMAC-SHA-256(fresh 32-byte key, type ‖ 0x00 ‖ length ‖ body), length eight bytes big-endian. Keys lie
in `keys/YYYY-MM-DD.keys`, readable by the service alone, one line `commitment key check` each, and never leave the
site; whoever holds no key learns nothing about the body, not even by guessing it.
"""

from __future__ import annotations

import datetime as dt
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from hybrid.errors import EvidenceError, InputError

FOLDER = "keys"
SCHEME = "hmac-sha256:"


def commit(key: bytes, media_type: str, body: bytes) -> str:
    """Return the commitment to a body of a media type. Raises InputError for a type with a NUL in it."""
    if "\0" in media_type:
        raise InputError("a media type holds no NUL")
    framed = media_type.encode() + b"\0" + len(body).to_bytes(8, "big") + body
    return SCHEME + hmac.new(key, framed, sha256).hexdigest()


class BodyKeys:
    """The erasable store of one log's commitment keys; one writer, like the log."""

    def __init__(self, directory: Path, now: Callable[[], dt.datetime]) -> None:
        """Use the `keys` folder of the log `directory`; `now` says which day's file a key goes to."""
        self._folder, self._now = directory / FOLDER, now
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def commit(self, media_type: str, body: bytes) -> str:
        """Return a commitment under a fresh key, which is in the store before the commitment is out."""
        key = secrets.token_bytes(32)
        commitment = commit(key, media_type, body)
        path = self._folder / f"{self._now():%Y-%m-%d}.keys"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, f"{commitment} {key.hex()} {_check(commitment, key)}\n".encode())
        finally:
            os.close(file)
        return commitment

    def opens(self, commitment: str, media_type: str, body: bytes) -> bool | None:
        """Return whether `body` is the one committed to; None when the key is erased."""
        for found, key in _all_keys(self._folder):
            if found == commitment:
                return hmac.compare_digest(commit(key, media_type, body), commitment)
        return None

    def erase_before(self, day: dt.date) -> int:
        """Erase the keys of every day before `day` and return how many files went."""
        old = [path for path in self._folder.glob("*.keys") if path.stem < day.isoformat()]
        for path in old:
            path.unlink()
        return len(old)


def damaged_keys(directory: Path) -> Iterator[str]:
    """Yield one line for each key in the store of a log that is not as it was written."""
    for path in sorted((directory / FOLDER).glob("*")):
        try:
            for _ in _keys_in(path):
                pass
        except EvidenceError as error:
            yield str(error)


def _all_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("*.keys")):
        yield from _keys_in(path)


def _keys_in(path: Path) -> Iterator[tuple[str, bytes]]:
    with open(path, encoding="ascii", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            fields = line.split(" ")
            try:
                commitment, key = fields[0], bytes.fromhex(fields[1])
                whole = line == f"{commitment} {key.hex()} {_check(commitment, key)}\n"
            except (IndexError, ValueError):
                whole = False
            if not whole:
                raise EvidenceError(f"{FOLDER}/{path.name}: line {number} is damaged")
            yield commitment, key


def _check(commitment: str, key: bytes) -> str:
    """Return eight bytes that notice a damaged line; they are no protection against somebody who writes there."""
    return sha256(commitment.encode() + key).hexdigest()[:16]
