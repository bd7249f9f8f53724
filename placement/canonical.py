"""RFC 8785 JSON of nouns and plain values, byte for byte what `rfc8785` writes, many times as fast.

Strings are escaped by the interpreter's own JSON encoder, whose escapes are the standard's. Numbers whose Python form
is not the standard's at once are left to `rfc8785`. What a large document repeats is written out once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from operator import attrgetter
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

SAFE_INTEGER = 2**53 - 1
MOST_KEPT = 1 << 16
"""Texts that are kept at a time."""

AT_ONCE = 500
"""Items of a list that are written at once."""

Field = tuple[str, str, Callable[[Any], Any], Any]
"""Name outside, the same quoted and with a colon, what reads the value, its default."""


class Canonical:
    """Writes values; it keeps the texts of tuples that it meets again, and the tuples with them."""

    def __init__(self) -> None:
        """Begin with nothing kept."""
        self._kept: dict[int, tuple[object, str]] = {}
        self._rows: dict[tuple[Any, ...], str] = {}
        self._ways: dict[type, Callable[[Any], str]] = {
            str: quoted, float: number, int: whole, bool: _truth, type(None): _null, tuple: self._tuple,
            list: self._list, dict: self._dict, dt.date: _day,
        }  # fmt: skip

    def text(self, value: Any) -> str:
        """Return the text of a value: JSON, a tuple, a day, or a dataclass without the fields that have defaults."""
        way = self._ways.get(type(value))
        if way is None:
            way = self._ways[type(value)] = self._way(type(value))
        return way(value)

    def pieces(self, value: Any) -> Iterator[bytes]:
        """Yield the text of one member, that of a long list a few hundred items at a time."""
        if not isinstance(value, tuple) or not value:
            yield self.text(value).encode()
            return
        for start in range(0, len(value), AT_ONCE):
            items = ",".join([self.text(item) for item in value[start : start + AT_ONCE]])
            yield (("," if start else "[") + items).encode()
        yield b"]"

    def members(self, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Yield (name, quoted name with a colon, value) of each field of a dataclass that is written, in order."""
        for name, prefix, get, default in written(type(value)):  # type: ignore[arg-type]
            member = get(value)
            if default is MISSING or member != default:
                yield name, prefix, member

    def _way(self, kind: type) -> Callable[[Any], str]:
        if not is_dataclass(kind):
            raise TypeError(f"{kind.__name__} has no canonical form")
        known = tuple((prefix, get, default) for _, prefix, get, default in written(kind))
        text = self.text

        def write(value: Any) -> str:
            parts = []
            for prefix, get, default in known:
                member = get(value)
                if default is MISSING or member != default:
                    parts.append(prefix + text(member))
            return "{" + ",".join(parts) + "}"

        return write

    def _tuple(self, value: tuple[Any, ...]) -> str:
        """Write a tuple; one of strings is known by its value, one of mappings by its identity."""
        if not value:
            return "[]"
        first = type(value[0])
        if first is str:
            if value not in self._rows:
                if len(self._rows) >= MOST_KEPT:
                    self._rows.clear()
                self._rows[value] = self._list(value)
            return self._rows[value]
        if first is not dict:
            return self._list(value)
        if id(value) not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[id(value)] = value, self._list(value)
        return self._kept[id(value)][1]

    def _list(self, value: Iterable[Any]) -> str:
        return "[" + ",".join([self.text(item) for item in value]) + "]"

    def _dict(self, value: dict[str, Any]) -> str:
        keys = sorted(value, key=_utf16)
        return "{" + ",".join([f"{quoted(key)}:{self.text(value[key])}" for key in keys]) + "}"


@lru_cache(maxsize=256)
def written(kind: type) -> tuple[Field, ...]:
    """Return the fields of a dataclass in the order in which they are written."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in fields(kind):
        name = _alias(hints[each.name]) or to_camel(each.name)
        found.append((name, f"{quoted(name)}:", attrgetter(each.name), each.default))
    return tuple(sorted(found, key=lambda field: _utf16(field[0])))


def _alias(hint: Any) -> str | None:
    given = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((info.alias for info in given if isinstance(info, FieldInfo) and info.alias), None)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16be")


def number(value: float) -> str:
    """Return a float with nine significant digits, as ECMAScript writes it. Raises rfc8785.FloatDomainError."""
    text = repr(float(f"{value:.9g}"))
    # From 0.0001 up to 10**16 Python and ECMAScript write the same digits, but for the zero that makes a float.
    if "e" in text or "n" in text or text == "-0.0":
        return _by_the_book(float(text))
    return text[:-2] if text.endswith(".0") else text


def whole(value: int) -> str:
    """Return an integer. Raises rfc8785.IntegerDomainError beyond 2**53."""
    return str(value) if -SAFE_INTEGER <= value <= SAFE_INTEGER else _by_the_book(value)


def _by_the_book(value: float) -> str:
    import rfc8785

    return rfc8785.dumps(value).decode()


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _null(value: None) -> str:
    return "null"


def _day(value: dt.date) -> str:
    return quoted(value.isoformat())


def significant(number: float) -> float:
    """Return a float with nine significant digits."""
    return float(f"{number:.9g}")


def rounded(value: Any) -> Any:
    """Return a JSON value in which every float has nine significant digits."""
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value
