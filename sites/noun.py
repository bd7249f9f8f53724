"""The common form of every noun that is read from a manifest: frozen, strict, camelCase outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


class Noun(BaseModel):
    """A frozen value that refuses unknown keys; Python's snake_case is the manifest's camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"expected a name of lower-case letters, digits, '-' and '.' (at most 63), found {text!r}")
    return text


def _person(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a person or a named board, found nobody")
    return text


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _tuple(value)


@dataclass(frozen=True, slots=True)
class Described:
    """Gives an annotated type the JSON Schema that `describe` makes of its plain one, when an editor asks for it."""

    describe: Callable[[dict[str, Any]], dict[str, Any]]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema (pydantic's hook)."""
        return self.describe(dict(handler(core)))


@dataclass(frozen=True)
class OneOrManyOf(BeforeValidator):
    """A list that may be written as its only item."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema (pydantic's hook): the list, or one item of it."""
        return with_single(dict(handler(core)))


def with_single(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list that may be written as its only item."""
    ways = schema.get("anyOf", [schema])
    return {"anyOf": [*ways, *(way["items"] for way in ways if way.get("type") == "array")]}


Called = Annotated[str, Field(max_length=253)]
"""What something outside the fleet is called: free text, no longer than a name in the DNS may be."""

Name = Annotated[str, AfterValidator(_name), Described(lambda plain: {**plain, "pattern": f"^{NAME.pattern}$"})]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
AsTuple = BeforeValidator(_tuple)
OneOrMany = OneOrManyOf(_one_or_many)
Person = Annotated[str, AfterValidator(_person)]
"""Somebody who answers for a decision: a person or a named board, never nobody."""
Names = Annotated[tuple[Name, ...], AsTuple]
Strings = Annotated[tuple[Called, ...], AsTuple]


class Metadata(Noun):
    """What a manifest is called: a name unique among its kind, labels for selectors, a tenant."""

    name: Name
    labels: dict[Called, Called] = {}
    tenant: Name = "default"


Selector = dict[str, str]
"""Labels that must all match; `{}` selects every site."""


def matches(selector: Selector, labels: dict[str, str]) -> bool:
    """Return whether every label of `selector` stands in `labels`."""
    return all(labels.get(key) == value for key, value in selector.items())
