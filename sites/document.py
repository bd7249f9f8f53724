"""Reads YAML 1.2 text into plain values, strictly: what a person could misread is refused with its place.

Built over libyaml's *event* parser: its own loaders recurse in C (200 kB of `[` ends the process), keep the last of two
equal keys, and read `no` as false. Duplicate keys, anchors, aliases and tags are refused; depth, nodes and bytes are
capped. Places are not kept while all goes well: `places_of` reads the text again when a message needs them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000

Path = tuple[str | int, ...]
"""Keys and indices from the top of a document to one value."""

_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: plain values, and the line on which it begins."""

    value: Any
    line: int


class Unreadable(Exception):  # noqa: N818 -- it carries a finding, and is caught where the file is known
    """Text that is not the YAML we read, at one place, with a hint."""

    def __init__(self, message: str, place: Place, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.hint = hint


def read(text: str) -> list[Document]:
    """Return the documents of a text; empty ones are left out. Raises Unreadable at the first fault."""
    return list(_Builder(text).documents())


def places_of(text: str, line: int) -> tuple[dict[Path, Place], dict[Path, Place]]:
    """Return where each value, and each key, of the document that begins on `line` stands.

    A mapping's value stands where its first key does. Raises Unreadable as `read`.
    """
    builder = _Builder(text, keeps_places=True)
    for document in builder.documents():
        if document.line == line:
            return builder.values, builder.keys
    return {}, {}


class _Builder:
    def __init__(self, text: str, *, keeps_places: bool = False) -> None:
        self._text = text
        self._nodes = 0
        self._keeps_places = keeps_places
        self._path: list[str | int] = []
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}

    def documents(self) -> Iterator[Document]:
        if len(self._text) > MAX_BYTES:
            raise Unreadable(f"the file is over {MAX_BYTES} characters", Place(1, 1), "split it into several files")
        try:
            yield from self._documents()
        except yaml.MarkedYAMLError as error:
            raise _from_libyaml(error) from None
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position]
            place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
            raise Unreadable("a character that YAML does not allow", place, "remove control characters") from None

    def _documents(self) -> Iterator[Document]:
        # libyaml's events are untyped where it matters; every use of one stands behind a look at its class.
        self._next: Callable[[], Any] = CParser(self._text).get_event
        while type(event := self._next()) is not StreamEndEvent:
            if isinstance(event, DocumentStartEvent):
                self.values, self.keys = {}, {}
                start: Any = self._next()
                value = self._value(start, 0)
                if not (isinstance(start, ScalarEvent) and value is None):
                    yield Document(value, start.start_mark.line + 1)

    def _value(self, event: Any, depth: int) -> Any:
        """Return the value that begins with `event`; plain scalars, the most frequent, come first."""
        kind = type(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Unreadable(f"more than {MAX_NODES} values in one file", _at(event), "split it into several files")
        if self._keeps_places:
            self.values[tuple(self._path)] = _at(event)
        if kind is AliasEvent:
            raise Unreadable("aliases are not read", _at(event), "write the value out where it is used")
        if event.anchor is not None:
            raise Unreadable(f"anchors are not read (&{event.anchor})", _at(event), "write the value out again instead")
        if event.tag is not None:
            raise Unreadable(f"tags are not read ({event.tag})", _at(event), "leave the tag out; quotes make text")
        if kind is ScalarEvent:
            return _scalar(event) if event.implicit[0] else event.value
        if depth >= MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH}", _at(event), "no manifest needs that depth")
        return self._mapping(depth + 1) if kind is MappingStartEvent else self._sequence(depth + 1)

    def _mapping(self, depth: int) -> dict[str, Any]:
        read: dict[str, Any] = {}
        while type(event := self._next()) is not MappingEndEvent:
            if type(event) is not ScalarEvent or event.anchor is not None or event.tag is not None:
                raise Unreadable("a key is plain text, without anchor, alias or tag", _at(event))
            key = event.value
            if key in read:
                raise Unreadable(f"duplicate key {key!r}", _at(event), "keep one of the two")
            if self._keeps_places:
                self._path.append(key)
                self.keys[tuple(self._path)] = _at(event)
            read[key] = self._value(self._next(), depth)
            if self._keeps_places:
                self._path.pop()
        return read

    def _sequence(self, depth: int) -> list[Any]:
        read: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            if self._keeps_places:
                self._path.append(len(read))
            read.append(self._value(event, depth))
            if self._keeps_places:
                self._path.pop()
        return read


def _at(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(event: Any) -> Any:
    """Return what a plain scalar means in YAML 1.2's core schema: `no` and `12:30` are text."""
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789" or not (number := _NUMBER.fullmatch(text)):
        return text
    if number["int"] and len(text) <= 18:
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if number["float"] and len(text) <= 40 and math.isfinite(value := float(text)):
        return value
    raise Unreadable("a number that is too long or not finite", _at(event), "put it in quotes if it is text")


def _from_libyaml(error: yaml.MarkedYAMLError) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
    problem = error.problem or "cannot be read"
    hint = ""
    if "\\t" in problem or "cannot start any token" in problem:
        hint = "indent with spaces; text that begins with @, ` or % needs quotes"
    elif "mapping values are not allowed" in problem:
        hint = "text with a colon and a space needs quotes; check the indentation of this line"
    elif "block" in problem or "expected" in problem:
        hint = "check the indentation of this line and the one before, and that every bracket is closed"
    return Unreadable(f"not YAML: {problem}", place, hint)
