"""Refuses a JSON object in which a key stands twice, and says where: of two, one reader believes the first alone."""

from __future__ import annotations

import json
import mmap
import re
from typing import Any

WINDOW = 4 << 20
"""Bytes in which lines are counted at once."""

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?|[{}\[\]]', re.DOTALL)


class DuplicateKeyError(ValueError):
    """A key stands twice in one object.

    Attributes:
        key: as it reads.
        within: the text of the plan in which it was found; None when that is the whole.
    """

    def __init__(self, key: str, within: bytes | None = None, place: str = "") -> None:
        super().__init__(f"{key!r} stands twice in one object{place}")
        self.key, self.within = key, within


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of its pairs. Raises DuplicateKeyError; `json.loads` takes it for its `object_pairs_hook`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))
    return found


def placed(error: DuplicateKeyError, data: bytes | mmap.mmap) -> DuplicateKeyError:
    """Return the error with the byte and the line at which the key stands for the second time."""
    start = 0 if error.within is None else max(data.find(error.within), 0)
    found = _second(data, start, len(data) if error.within is None else start + len(error.within))
    if found is None:
        return error
    key, offset = found
    windows = range(0, offset, WINDOW)
    line = 1 + sum(data[at : min(at + WINDOW, offset)].count(b"\n") for at in windows)
    return DuplicateKeyError(key, error.within, f", for the second time at byte {offset} (line {line})")


def _second(data: bytes | mmap.mmap, start: int, end: int) -> tuple[str, int] | None:
    """Return the first key that stands twice in one object, and the byte of its second time; None when none does."""
    open_: list[set[str]] = []
    for token in _TOKENS.finditer(data, start, end):
        text = token[0]
        if text in b"{[":
            open_.append(set())
        elif text in b"]}":
            open_ = open_[:-1] or [set()]
        elif token[1] is not None and open_:
            key = json.loads(text[: token.end() - token.start() - len(token[1])])
            if key in open_[-1]:
                return key, token.start()
            open_[-1].add(key)
    return None
