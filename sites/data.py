"""What data is: data classes, atoms and labels.

A data class is a key of the Fides taxonomy. An atom is one class under a set of laws, with identifiability, key,
purposes and regimes. A label is a set of atoms, one per class; the join of two labels is their union. The unlabelled
atom stands for data of which nothing is known: it meets every requirement and prohibition.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from sites.country import CountryCode
from sites.noun import AsTuple, Noun, Strings

Identifiability = Literal["identified", "pseudonymised", "anonymised"]
UNLABELLED = "unlabelled"


@cache
def _taxonomy() -> tuple[frozenset[str], frozenset[str]]:
    table = json.loads((files("sites") / "tables" / "fides.json").read_text(encoding="utf-8"))
    return frozenset(table["dataClasses"]), frozenset(table["purposes"])


def _data_class(key: str) -> str:
    if key not in _taxonomy()[0]:
        raise ValueError(f"{key!r} is no data class of the Fides taxonomy (such as user.health_and_medical)")
    return key


def _purpose(key: str) -> str:
    if key not in _taxonomy()[1]:
        raise ValueError(f"{key!r} is no data use of the Fides taxonomy (such as essential.service)")
    return key


DataClass = Annotated[str, AfterValidator(_data_class)]
Purpose = Annotated[str, AfterValidator(_purpose)]


def is_or_descends(key: str, ancestor: str) -> bool:
    """Return whether a dotted key equals `ancestor` or lies below it."""
    return key == ancestor or key.startswith(ancestor + ".")


class DeclaredAtom(Noun):
    """An atom as `trainedOn` and Knowledge declare it; None is unknown."""

    data: DataClass
    law: Annotated[tuple[CountryCode, ...] | None, AsTuple] = None
    identifiability: Identifiability | None = None
    purposes: Annotated[tuple[Purpose, ...] | None, AsTuple] = None
    key_ref: str | None = None
    regimes: Strings = ()


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """One data class with what the rules ask about it.

    Attributes:
        data: a Fides key, or `UNLABELLED`.
        law: countries whose law applies, sorted; None when unknown.
        identifiability: None when unknown.
        purposes: Fides data uses, sorted; None when unknown.
        key_ref: the key that joins pseudonymised data with persons; None when not given.
        regimes: sorted names of further regimes.
    """

    data: str
    law: tuple[str, ...] | None = None
    identifiability: Identifiability | None = None
    purposes: tuple[str, ...] | None = None
    key_ref: str | None = None
    regimes: tuple[str, ...] = ()

    @classmethod
    def declared(cls, atom: DeclaredAtom) -> Atom:
        """Return the atom that a manifest declares, its sets sorted."""
        return cls(
            atom.data,
            None if atom.law is None else tuple(sorted(set(atom.law))),
            atom.identifiability,
            None if atom.purposes is None else tuple(sorted(set(atom.purposes))),
            atom.key_ref,
            tuple(sorted(set(atom.regimes))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan's form: known facts only, sets as sorted lists."""
        known = {
            "data": self.data, "law": self.law, "identifiability": self.identifiability,
            "purposes": self.purposes, "keyRef": self.key_ref, "regimes": self.regimes or None,
        }  # fmt: skip
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in known.items() if value is not None
        }


Label = tuple[Atom, ...]
"""Atoms sorted by class, one per class; laws are one set, shared by every atom of the label."""

UNKNOWN_LABEL: Label = (Atom(UNLABELLED),)
