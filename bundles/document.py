"""Reads JSON that nobody has verified yet, strictly: one meaning or none.

Refused: duplicate keys, floats, NaN, integers without a canonical form (RFC 8785: beyond 2^53 - 1), invalid UTF-8,
depth over 32, anything over the caller's cap. Two parsers that disagree about one document are how signatures get
bypassed; this is the only parser in front of verification.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, TypeVar

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from bundles.errors import MediumError

DOCUMENT_CAP = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_INT = 2**53 - 1


class Noun(BaseModel):
    """A noun read from a file: frozen, camelCase on disk, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


N = TypeVar("N", bound=Noun)


def _refuse(what: str, why: str) -> MediumError:
    return MediumError("DOCUMENT", f"{what}: {why}", advice="fetch the medium again from headquarters")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key[:80]!r}")
        found[key] = value
    return found


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is no integer; signed documents hold no floats")


def _int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError(f"{text[:40]} is beyond {MAX_INT}, the last integer that has one canonical form")
    return int(text)


def _depth(value: Any, limit: int = MAX_DEPTH) -> None:
    if limit == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _depth(child, limit - 1)


def parse(data: bytes, *, what: str, cap: int = DOCUMENT_CAP) -> dict[str, Any]:
    """Return the one JSON object in `data` (bytes, at most `cap`).

    Raises:
        MediumError: the bytes have no single strict meaning; `what` names the document.
    """
    if len(data) > cap:
        raise _refuse(what, f"{len(data)} bytes, more than the {cap} allowed")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_int=_int, parse_float=_no_float,
            parse_constant=_no_float,
        )  # fmt: skip
        _depth(value)
        if b"\\u" in data:  # half a surrogate has no UTF-8, so nothing that was ever signed
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _refuse(what, f"nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise _refuse(what, str(error)) from None
    if not isinstance(value, dict):
        raise _refuse(what, "not a JSON object")
    return value


def read(noun: type[N], data: bytes, *, what: str, cap: int = DOCUMENT_CAP) -> N:
    """Return `data` as a `noun`: parsed strictly, then validated without any coercion.

    Raises:
        MediumError: not strict JSON, or not that noun; the message names the field.
    """
    parse(data, what=what, cap=cap)
    try:
        return noun.model_validate_json(data, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refuse(what, f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from None


def canonical(value: Any) -> bytes:
    """Return RFC 8785 bytes of `value`, a Noun or plain data without floats."""
    return rfc8785.dumps(plain(value) if isinstance(value, Noun) else value)


def plain(noun: Noun) -> dict[str, Any]:
    """Return `noun` as plain data, spelt as on disk; absent optional fields stay absent."""
    return noun.model_dump(mode="json", by_alias=True, exclude_none=True)


def digest(data: bytes) -> str:
    """Return `sha256:<hex>` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def stamp(moment: datetime) -> str:
    """Return `moment` as `YYYY-MM-DDTHH:MM:SSZ`, the one form of time in signed documents."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unstamp(text: object, *, what: str) -> datetime:
    """Return the moment that `text` names.

    Raises:
        MediumError: not of the form `YYYY-MM-DDTHH:MM:SSZ`.
    """
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _refuse(what, f"{text!r} is no time of the form YYYY-MM-DDTHH:MM:SSZ") from None
