"""Honest builders for the checker: nouns from the shapes that manifests have, a fleet and a plan by hand."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from placement.catalogue import Model
from placement.knowledge import Knowledge
from placement.pipeline import Pipeline
from sites.data import Atom
from sites.fleet import Fleet, Manifest
from sites.noun import Noun
from sites.policy import Pack, Policy
from sites.site import Party, Site

SINCE, UNTIL = dt.date(2026, 12, 1), dt.date(2027, 3, 31)
ZERO = "sha256:" + "0" * 64
KINDS: dict[str, type[Noun]] = {
    "Site": Site, "Pipeline": Pipeline, "Model": Model, "Knowledge": Knowledge, "Policy": Policy,
}  # fmt: skip

Shape = dict[str, Any]
"""A manifest as its YAML reads."""


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Shape:
    """Return `base` with `changes` laid over it, dict by dict; None takes a key away."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def a_party(name: str = "Group", country: str = "FR", **changes: Any) -> Shape:
    """Return an independent party."""
    return merged({"name": name, "country": country, "controlledBy": []}, changes)


def a_site(name: str = "clinic", location: str = "FR-69", **changes: Any) -> Shape:
    """Return the spec of a connected site whose four parties are one independent group of its country."""
    party = a_party(f"Group {location[:2]}", location[:2])
    spec = {
        "location": location,
        "parties": dict.fromkeys(("operator", "owner", "keyCustodian", "support"), party),
        "access": {"support": "supervised"},
        "telemetry": "none",
        "connectivity": {"mode": "connected"},
    }
    return {"metadata": {"name": name}, "spec": merged(spec, changes)}


def noun(kind: type[Any], shape: Shape) -> Any:
    """Return the noun of a shape."""
    return kind.model_validate({key: value for key, value in shape.items() if key in ("metadata", "spec")})


def a_rule(rule: str = "yes", effect: str = "permit", **changes: Any) -> Shape:
    """Return a rule about all data and activities, without conditions."""
    return merged({"id": rule, "effect": effect, "data": "all", "activities": "all", "source": "test"}, changes)


def a_policy(*rules: Shape, **spec: Any) -> Shape:
    """Return a policy with these rules; with none, one that permits everything."""
    return {"metadata": {"name": "org"}, "spec": {"rules": list(rules) or [a_rule()], **spec}}


def a_pack(name: str, *rules: Shape, data: Any = "all", countries: Any = "all", jurisdiction: Any = ("EU",)) -> Shape:
    """Return a pack; its rules are of high confidence unless they say otherwise."""
    sure = [{"confidence": "high", **rule} for rule in rules]
    scope = {"data": data, "countries": countries if countries == "all" else list(countries)}
    return {"metadata": {"name": name}, "spec": {"scope": scope, "jurisdiction": list(jurisdiction), "rules": sure}}


def packs_of(*shapes: Shape) -> dict[str, Pack]:
    """Return packs by name."""
    return {shape["metadata"]["name"]: noun(Pack, shape) for shape in shapes}


def an_atom(data: str = "user.health_and_medical", **facts: Any) -> Atom:
    """Return an atom; sets may be given as lists."""
    shaped = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return Atom(data, **{"law": ("FR",), **shaped})


def party_noun(shape: Shape | None) -> Party | None:
    """Return the party of a shape; None stays the unknown party."""
    return None if shape is None else Party.model_validate(shape)


def a_fleet(documents: Mapping[str, Shape], packs: Mapping[str, Shape]) -> Fleet:
    """Return a fleet of shapes by file name, with the digests of their canonical text."""
    nouns = tuple(Manifest(noun(KINDS[shape["kind"]], shape), file, 1) for file, shape in sorted(documents.items()))
    digests = {file: digest_of(shape) for file, shape in documents.items()}
    digests |= {f"pack:{name}": digest_of(shape) for name, shape in packs.items()}
    return Fleet(Path("/nowhere"), nouns, packs_of(*packs.values()), digests)


def digest_of(shape: Any) -> str:
    """Return a digest of a shape's canonical JSON."""
    return "sha256:" + hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def vectors() -> list[tuple[str, Shape]]:
    """Return every published verdict vector with a name for the test."""
    folder = Path(__file__).parents[1] / "vectors" / "verdicts"
    return [
        (f"{file.stem}[{index}]", vector)
        for file in sorted(folder.glob("*.json"))
        for index, vector in enumerate(json.loads(file.read_text(encoding="utf-8")))
    ]


def question_atom(shape: Shape) -> Atom:
    """Return the atom of a vector, written as plans write atoms."""
    names = {"keyRef": "key_ref"}
    facts = {names.get(key, key): tuple(value) if isinstance(value, list) else value for key, value in shape.items()}
    return Atom(**facts)
