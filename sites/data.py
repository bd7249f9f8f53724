"""What data is: data classes, atoms and labels.

A data class is a key of the Fides taxonomy. An atom is one class under a set of laws, with identifiability, key,
purposes and regimes. A label is a set of atoms, one per class; the join of labels is their union, in which atoms of one
class become one that says no more than all of them do. The unlabelled atom stands for data of which nothing is known:
it meets every requirement and prohibition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator

from sites.country import CountryCode
from sites.noun import AsTuple, Called, Described, Noun, Strings

Identifiability = Literal["identified", "pseudonymised", "anonymised"]
_IDENTIFIED_FIRST = get_args(Identifiability)
UNLABELLED = "unlabelled"


@cache
def _taxonomy() -> tuple[frozenset[str], frozenset[str]]:
    table = json.loads((files("sites") / "tables" / "fides.json").read_text(encoding="utf-8"))
    return frozenset(table["dataClasses"]), frozenset(table["purposes"])


def _data_class(key: str) -> str:
    if key not in _taxonomy()[0]:
        raise ValueError(f"{key!r} is no data class of the Fides taxonomy ({_closest(key, 0)})")
    return key


def _purpose(key: str) -> str:
    if key not in _taxonomy()[1]:
        raise ValueError(f"{key!r} is no data use of the Fides taxonomy ({_closest(key, 1)})")
    return key


def _closest(key: str, table: int) -> str:
    close = get_close_matches(key, sorted(_taxonomy()[table]), n=1)
    return f"did you mean {close[0]!r}?" if close else f"such as {('user.contact', 'essential.service')[table]}"


DataClass = Annotated[str, AfterValidator(_data_class), Described(lambda _: {"enum": sorted(_taxonomy()[0])})]
Purpose = Annotated[str, AfterValidator(_purpose), Described(lambda _: {"enum": sorted(_taxonomy()[1])})]


def is_or_descends(key: str, ancestor: str) -> bool:
    """Return whether a dotted key equals `ancestor` or lies below it."""
    return key == ancestor or key.startswith(ancestor + ".")


class DeclaredAtom(Noun):
    """An atom as `trainedOn` and Knowledge declare it; None is unknown."""

    data: DataClass
    law: Annotated[tuple[CountryCode, ...] | None, AsTuple] = None
    identifiability: Identifiability | None = None
    purposes: Annotated[tuple[Purpose, ...] | None, AsTuple] = None
    key_ref: Called | None = None
    regimes: Strings = ()


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """One data class with what the rules ask about it.

    Attributes:
        data: a Fides key, or `UNLABELLED`.
        law: countries whose law applies, sorted; None when unknown.
        identifiability: None when unknown.
        purposes: Fides data uses, sorted; None when unknown.
        key_ref: the key that joins pseudonymised data with persons, several joined by `+`; None when not given.
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


def label_of(declared: Iterable[DeclaredAtom] | None) -> Label:
    """Return the label that a manifest declares: None (omitted) is the unlabelled atom, `[]` nothing restricted."""
    if declared is None:
        return UNKNOWN_LABEL
    return _normal(Atom.declared(atom) for atom in declared)


def join(labels: Iterable[Label]) -> Label:
    """Return the label of what is made from all of `labels`; of nothing at all it is the unlabelled atom.

    Laws become one set, shared by every atom. Atoms of one class become one: regimes are united; what is identified
    outweighs what is not; purposes are those that every one of them allows; a fact unknown to one is unknown.
    """
    return _normal(atom for label in labels for atom in label) or UNKNOWN_LABEL


def keys_of(atom: Atom) -> frozenset[str]:
    """Return the keys that join an atom with persons."""
    return frozenset(() if atom.key_ref is None else atom.key_ref.split("+"))


def reidentified(label: Label) -> Label:
    """Return, as identified, the pseudonymised atoms of a label that meet their key in it (invariant 17).

    An atom meets its key where another one under the same key is identified, or nobody says that it is not.
    """
    known = [atom for atom in label if atom.identifiability in (None, "identified")]
    open_keys = frozenset().union(*map(keys_of, known))
    met = (atom for atom in label if atom.identifiability == "pseudonymised" and keys_of(atom) & open_keys)
    return tuple(replace(atom, identifiability="identified") for atom in met)


def covers(wider: Label, narrower: Label) -> bool:
    """Return whether `wider` says at least what `narrower` says: joining the two adds nothing to it."""
    return join((wider, narrower)) == join((wider,))


def _normal(atoms: Iterable[Atom]) -> Label:
    """Return atoms as a label: one per class, sorted, under one set of laws."""
    by_class: dict[str, Atom] = {}
    laws: set[str] | None = set()
    for atom in atoms:
        by_class[atom.data] = _merged(by_class.get(atom.data, atom), atom)
        laws = None if laws is None or atom.law is None else laws | set(atom.law)
    law = None if laws is None else tuple(sorted(laws))
    return tuple(replace(by_class[data], law=law) for data in sorted(by_class))


def _merged(a: Atom, b: Atom) -> Atom:
    identified = None
    if a.identifiability is not None and b.identifiability is not None:
        identified = min(a.identifiability, b.identifiability, key=_IDENTIFIED_FIRST.index)
    return Atom(
        a.data,
        None,  # the label's laws follow
        identified,
        None if a.purposes is None or b.purposes is None else _allowed_by_both(a.purposes, b.purposes),
        "+".join(sorted(keys_of(a) | keys_of(b))) or None,
        tuple(sorted({*a.regimes, *b.regimes})),
    )


def _allowed_by_both(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    """Return the purposes that lie at or below one of each, the narrower of a pair, without those below another."""
    pairs = [(p, q) for p in a for q in b]
    both = {p for p, q in pairs if is_or_descends(p, q)} | {q for p, q in pairs if is_or_descends(q, p)}
    return tuple(sorted(p for p in both if not any(p != q and is_or_descends(p, q) for q in both)))
