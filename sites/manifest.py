"""Turns the text of a manifest file into nouns, or into findings that each name their line and column.

Fast while all is well: places are looked up only for what is wrong. A literal secret is a finding whose line is not
shown again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from sites.document import Document, Path, Place, Unreadable, places_of, read
from sites.finding import Finding, source_line
from sites.noun import Noun

API_VERSION = "hybrid/v1"

_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}|\bsk-[A-Za-z0-9_-]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{20,}"
)
_SECRET_KEY = re.compile(r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|(?:private|secret|access)[_-]?key)", re.I)
# Plain words that a text with a secret holds: looking for them costs a twentieth of the expressions above.
_MAYBE_VALUE = ("PRIVATE KEY", "AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox", "eyJ", "sk-", "AGE-SECRET-KEY")
_MAYBE_KEY = (
    "password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "privatekey", "private_key",
    "private-key", "accesskey", "access_key", "access-key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manifest:
    """One noun with the file (relative to the fleet) and line it was read from."""

    noun: Noun
    file: str
    line: int


def read_manifests(data: bytes, file: str, kinds: Mapping[str, type[Noun]]) -> tuple[list[Manifest], list[Finding]]:
    """Return the manifests of one file, and everything that is wrong in it.

    Args:
        data: the file's bytes, UTF-8.
        file: its name in messages.
        kinds: the kinds that may stand in it.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        return [], [Finding(file, place.line, place.column, "the file is not UTF-8", "save it as UTF-8")]
    try:
        documents = read(text)
        findings = list(_secrets(text, file, documents))
    except Unreadable as error:
        shown = "" if _SECRET_VALUE.search(text) else source_line(text, error.place.line)
        return [], [Finding(file, error.place.line, error.place.column, str(error), error.hint, shown)]
    manifests: list[Manifest] = []
    for document in documents:
        noun, wrong = _noun(text, file, document, kinds)
        findings += wrong
        if noun is not None:
            manifests.append(Manifest(noun, file, document.line))
    return manifests, findings


def finding_at(text: str, file: str, line: int, path: Path, message: str, hint: str = "") -> Finding:
    """Return a finding at the value under `path` of the document that begins on `line`, or at its nearest parent."""
    values, keys = places_of(text, line)
    return _finding(text, file, line, _nearest(values, path) or _nearest(keys, path), message, hint)


def _finding(text: str, file: str, line: int, place: Place | None, message: str, hint: str) -> Finding:
    at = place or Place(line, 1)
    return Finding(file, at.line, at.column, message, hint, source_line(text, at.line))


def _nearest(places: Mapping[Path, Place], path: Path) -> Place | None:
    return next((places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in places), None)


def _noun(
    text: str, file: str, document: Document, kinds: Mapping[str, type[Noun]]
) -> tuple[Noun | None, list[Finding]]:
    value = document.value
    wrong = _envelope(value, kinds)
    if wrong is not None:
        path, message, hint = wrong
        return None, [finding_at(text, file, document.line, path, message, hint)]
    model = kinds[value["kind"]]
    rest = {key: part for key, part in value.items() if key not in ("apiVersion", "kind")}
    try:
        return model.model_validate(rest), []
    except ValidationError as error:
        return None, list(_explain(error, text, file, document, model))


def _envelope(value: Any, kinds: Mapping[str, type[Noun]]) -> tuple[Path, str, str] | None:
    """Return what is wrong with `apiVersion` and `kind`, if anything: path, message, hint."""
    known = ", ".join(kinds)
    if not isinstance(value, dict):
        return (), "a manifest is a mapping", "begin with apiVersion, kind, metadata and spec"
    if "apiVersion" not in value or "kind" not in value:
        missing = "apiVersion" if "apiVersion" not in value else "kind"
        return (), f"missing key {missing!r}", f"every manifest has apiVersion: {API_VERSION} and a kind: {known}"
    if value["apiVersion"] != API_VERSION:
        return ("apiVersion",), f"unknown apiVersion {value['apiVersion']!r}", f"this version reads {API_VERSION}"
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        return ("kind",), f"unknown kind {kind!r}", _did_you_mean(str(kind), kinds) or f"expected one of {known}"
    return None


def _explain(error: ValidationError, text: str, file: str, document: Document, model: type[Noun]) -> Iterator[Finding]:
    """Yield one finding per place that pydantic complains about; branches of a union at one place become one."""
    values, keys = places_of(text, document.line)
    complaints = [_complaint(dict(raw), document.value, model) for raw in error.errors(include_url=False)]
    by_path: dict[tuple[Path, bool], list[_Complaint]] = {}
    for found in complaints:
        deeper = any(other.path[: len(found.path)] == found.path != other.path for other in complaints)
        if not (found.is_branch and deeper):
            by_path.setdefault((found.path, found.of_key), []).append(found)
    for (path, of_key), same in by_path.items():
        place = keys.get(path) if of_key else _nearest(values, path)
        message = "; or ".join(dict.fromkeys(found.message for found in same))
        hint = next((found.hint for found in same if found.hint), "")
        shown = path[:-1] if of_key else path
        yield _finding(text, file, document.line, place, f"{_dotted(shown)}: {message}" if shown else message, hint)


@dataclass(frozen=True, slots=True)
class _Complaint:
    """One of pydantic's errors in our words; `is_branch` where it is one way out of several to read a value."""

    path: Path
    of_key: bool
    is_branch: bool
    message: str
    hint: str


def _complaint(raw: dict[str, Any], value: Any, model: type[Noun]) -> _Complaint:
    path, found, skipped = [], value, False
    for step in raw["loc"]:
        inside = isinstance(found, dict) and step in found
        if inside or (isinstance(found, list) and isinstance(step, int) and step < len(found)):
            found = found[step]
            path.append(step)
        else:
            skipped = True
    kind, last = raw["type"], str(raw["loc"][-1]) if raw["loc"] else ""
    if kind == "extra_forbidden":
        allowed = _keys_at(model, tuple(path[:-1]))
        hint = _did_you_mean(last, allowed) or f"expected one of {', '.join(sorted(allowed))}"
        return _Complaint(tuple(path), True, False, f"unknown key {last!r}", hint)
    if kind == "missing":
        return _Complaint(tuple(path), False, False, f"missing key {last!r}", "a missing fact is never guessed")
    message, hint = _words(raw, found)
    # Pydantic counts a list's items without those that are wrong: then too few are none of its own faults.
    return _Complaint(tuple(path), False, skipped or kind == "too_short", message, hint or _MEANT.get(last, ""))


_PLAIN = {
    "string_type": "expected text", "int_type": "expected a whole number", "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number", "float_type": "expected a number",
    "float_parsing": "expected a number", "bool_type": "expected true or false", "tuple_type": "expected a list",
    "dict_type": "expected a mapping", "model_type": "expected a mapping",
    "greater_than": "expected more than {gt:g}", "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected less than {lt:g}", "less_than_equal": "expected at most {le:g}",
    "too_short": "expected at least {min_length}", "too_long": "expected at most {max_length}",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected the form {pattern}",
}  # fmt: skip
"""What pydantic says of a value that has the wrong type or size, by its name for it, in our words."""


_MEANT = {
    "share": "give the fraction of requests that reach the stage, or leave the stage out",
    "most": "give the fraction of the requests that one place may serve at most",
    "utilisation": "give the fraction of its throughput that a replica may be asked for",
}
"""What to write in a field whose name alone does not say it."""


def _words(raw: dict[str, Any], found: Any) -> tuple[str, str]:
    """Return pydantic's message in our words, and a hint."""
    message = str(raw["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    if raw["type"] == "value_error":
        return message, ""
    message = _PLAIN.get(raw["type"], message).format(**raw.get("ctx", {}))
    said = "nothing" if found is None else repr(found) if isinstance(found, (str, int, float)) else _shape(found)
    hint = ""
    if raw["type"] == "string_too_long":
        said = f"{len(found)}"
    if raw["type"] == "string_type" and isinstance(found, (int, float)):
        hint = f'write it in quotes: "{found}"'
    elif raw["type"] == "literal_error":
        hint = _did_you_mean(str(found), re.findall(r"'([^']+)'", raw["ctx"]["expected"]))
    return f"{message}, found {said}", hint


def _shape(found: Any) -> str:
    if isinstance(found, list):
        return "a list" if found else "an empty list"
    return "a mapping" if isinstance(found, dict) else type(found).__name__


def _dotted(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def _keys_at(model: type[Noun], path: Path) -> set[str]:
    """Return the keys that may stand in the mapping under `path`, as far as the model says."""
    nouns = [model]
    for step in path:
        if isinstance(step, int):
            continue
        fields = [field for noun in nouns for field in noun.model_fields.values() if field.alias == step]
        # A step that is no field is a free name (a party's role): the noun under it is the one already found.
        nouns = [inner for field in fields for inner in _nouns_in(field.annotation)] or nouns
    return {str(field.alias) for noun in nouns for field in noun.model_fields.values()}


def _nouns_in(annotation: Any) -> list[type[Noun]]:
    if isinstance(annotation, type) and issubclass(annotation, Noun):
        return [annotation]
    return [noun for part in get_args(annotation) for noun in _nouns_in(part)]


def _secrets(text: str, file: str, documents: list[Document]) -> Iterator[Finding]:
    """Yield a finding for every literal secret; the line is not shown, because logs and screens keep it."""
    advice = "take it out, make it void where it was issued, and name it: secretRef: {env: NAME} (or file, command)"
    for hit in _SECRET_VALUE.finditer(text) if any(word in text for word in _MAYBE_VALUE) else ():
        before = text[: hit.start()]
        column = len(before) - before.rfind("\n")
        yield Finding(file, before.count("\n") + 1, column, "a literal secret", advice)
    lowered = text.lower()
    if not any(word in lowered for word in _MAYBE_KEY):
        return
    for document in documents:
        values, keys = places_of(text, document.line)
        for path, place in keys.items():
            literal = _value_at(document.value, path)
            if _SECRET_KEY.fullmatch(str(path[-1])) and isinstance(literal, (str, int, float)) and path in values:
                yield Finding(file, place.line, place.column, f"{_dotted(path)}: a literal secret", advice)


def _value_at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value
