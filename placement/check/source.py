"""Yields a plan's workloads and failures one by one, so that a large file is read in memory that does not grow with it.

A canonical plan (RFC 8785, as `hybrid plan` writes it) is cut at the borders of its elements, and out of an element
every label and every list of rules, which repeat without end, is taken and replaced by a mark, so that it is parsed
once. Cuts are made by searching for bytes, and are proven by the parser: what was cut in a wrong place (inside a text,
say) is no longer JSON, on either side of the cut. Then, and when a plan is not canonical, the whole is read at once.
"""

from __future__ import annotations

import json
import mmap
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from placement.check.twice import DuplicateKeyError, once
from placement.errors import PlacementError

Data = bytes | mmap.mmap
Raw = Any
"""A value as a JSON parser returns it."""

WINDOW = 4 << 20
"""Bytes that are looked at at once."""

_WORKLOADS = re.compile(rb',"until":"[0-9-]{10}","workloads":\[')
_FAILURES, _FROM = b',"failures":[', re.compile(rb'\],"from":"[0-9-]{10}","inputs":\{')
WORKLOAD, FAILURE = b'{"assignments":[', b'{"lost":'
_CUTS = ((b"label", b"}]"), (b"rules", b"]"))


class NotCanonicalError(Exception):
    """The plan cannot be cut; it has to be read as a whole."""


class Texts:
    """The labels and lists of rules that were taken out of a plan, by the mark that stands for each.

    A mark holds 64 random bits, so that no plan can hold one of its own.
    """

    def __init__(self) -> None:
        self.secret = secrets.token_hex(8)
        self._marks: dict[bytes, dict[bytes, bytes]] = {name: {} for name, _ in _CUTS}
        self.parsed: dict[str, Raw] = {}

    def parse(self, text: bytes) -> Raw:
        """Return the JSON value of a text with marks in place of its labels and rules.

        Raises NotCanonicalError, and DuplicateKeyError for an object with a key twice.
        """
        try:
            return parsed(self._taken_out(text))
        except DuplicateKeyError as error:
            raise DuplicateKeyError(error.key, text) from None
        except ValueError:
            raise NotCanonicalError from None

    def _taken_out(self, window: bytes) -> bytes:
        for name, end in _CUTS:
            start, empty = b',"%s":[' % name, b',"%s":[]' % name
            marks = self._marks[name]
            if empty in window:
                window = window.replace(empty, self._marked(name, b"", b""))
            first, *pieces = window.split(start)
            cut = [piece.partition(end) for piece in pieces]
            for text in {text for text, _, _ in cut} - marks.keys():
                self._marked(name, text, end)
            window = b"".join([first, *(part for text, _, rest in cut for part in (marks[text], rest))])
        return window

    def _marked(self, name: bytes, text: bytes, end: bytes) -> bytes:
        """Return the field that stands for a text, which must be JSON on its own."""
        known = self._marks[name]
        if text not in known:
            mark = f"{self.secret}{len(self.parsed)}"
            self.parsed[mark] = parsed(b"[" + text + (end or b"]"))
            known[text] = b',"%s":"%s"' % (name, mark.encode())
        return known[text]


@dataclass(frozen=True)
class Source:
    """A plan, its workloads and failures apart from the rest.

    Attributes:
        head: everything else, by field.
        texts: what the marks in `label` and `rules` stand for; none when the lists themselves stand there.
        workloads: yields each one's text without its opening `WORKLOAD` and closing brace; or, read, its fields.
        size: bytes of all workloads; their number when the plan was read as a whole.
    """

    head: dict[str, Raw]
    texts: Texts
    workloads: Callable[[], Iterator[bytes | Raw]]
    failures: Callable[[], Iterator[Raw]]
    size: int


def parsed(data: bytes) -> Raw:
    """Return the JSON value of bytes. Raises ValueError, a DuplicateKeyError where an object has a key twice."""
    return json.loads(data, object_pairs_hook=once)


def whole(plan: dict[str, Raw]) -> Source:
    """Return the source of a parsed plan. Raises PlacementError when it has no list of workloads."""
    workloads, failures = _list(plan, "workloads"), _list(plan, "failures") if "failures" in plan else []
    head = {key: value for key, value in plan.items() if key not in ("workloads", "failures")}
    return Source(head, Texts(), lambda: iter(workloads), lambda: iter(failures), len(workloads))


def _list(plan: dict[str, Raw], name: str) -> list[Raw]:
    found = plan.get(name)
    if not isinstance(found, list):
        raise PlacementError(f"{name}: expected a list", advice="write the plan again with `hybrid plan`")
    return found


def canonical(data: Data) -> Source:
    """Return the source of a canonical plan's bytes. Raises NotCanonicalError."""
    starts = _WORKLOADS.search(data)
    end = data.rfind(b"]}")
    if starts is None or end < starts.end() or data[end + 2 :].strip():
        raise NotCanonicalError
    start, (failed, unfailed) = starts.end(), _failures(data, starts.start())
    fields = _fields(data[:failed] + data[unfailed:start] + data[end:])
    texts = Texts()
    return Source(
        fields,
        texts,
        lambda: _elements(data, start, end, WORKLOAD),
        lambda: (texts.parse(FAILURE + text + b"}") for text in _elements(data, failed, unfailed, FAILURE)),
        end - start,
    )


def _failures(data: Data, before: int) -> tuple[int, int]:
    """Return where the elements of `failures` begin and end; both 0 where there are none."""
    found = data.find(_FAILURES, 0, before)
    end = _FROM.search(data, found) if found >= 0 else None
    return (found + len(_FAILURES), end.start()) if end else (0, 0)


def _fields(head: bytes) -> dict[str, Raw]:
    try:
        fields = parsed(head)
    except DuplicateKeyError:
        raise
    except ValueError:
        raise NotCanonicalError from None
    if not isinstance(fields, dict) or fields.pop("workloads", None) != [] or fields.pop("failures", []) != []:
        raise NotCanonicalError
    return fields


def _elements(data: Data, start: int, end: int, opening: bytes) -> Iterator[bytes]:
    """Yield the text of each element of an array, without its opening and its closing brace."""
    border = b"}," + opening
    while start < end:
        stop = end if end - start <= WINDOW else data.rfind(border, start, start + WINDOW) + 1
        if stop <= 0:
            stop = data.find(border, start + 1, end) + 1 or end
        window = data[start:stop]
        if not (window.startswith(opening) and window.endswith(b"}")):
            raise NotCanonicalError
        yield from window[len(opening) : -1].split(border)
        start = stop + 1
        _let_go(data, start)


def _let_go(data: Data, end: int) -> None:
    """Let pages of a mapped file that have been read leave memory; who asks for them again gets them again."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and end >= mmap.PAGESIZE:
        data.madvise(mmap.MADV_DONTNEED, 0, end - end % mmap.PAGESIZE)
