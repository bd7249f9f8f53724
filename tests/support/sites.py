"""Honest builders of sites, policies, packs and fleets, with knobs to make one thing wrong at a time.

Every builder takes manifest spelling (camelCase, text with units) as keyword arguments that replace whole fields, so a
test shows its one deviation and nothing else.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from sites.data import Atom, Label
from sites.fleet import Fleet, Manifest
from sites.noun import Noun
from sites.policy import Pack, Policy
from sites.question import Window
from sites.site import Link, Site

WINDOW = Window(dt.date(2026, 12, 1), dt.date(2027, 2, 28))
HEALTH = Atom("user.health_and_medical", ("FR",), "identified", ("essential.service",))
OPERATIONS = Atom("system.operations", ("FR",))


def a_party(
    country: str | None = "FR", *controllers: dict[str, Any], name: str = "Clinique", **fields: Any
) -> dict[str, Any]:
    """Return a party of `country` that these parties control (nobody: declared independent)."""
    return {"name": name, "country": country, "controlledBy": list(controllers), **fields}


def a_site(
    name: str = "clinic", location: str | None = "FR", *, operator: dict[str, Any] | None = None, **spec: Any
) -> Site:
    """Return a site whose four roles are one local, independent party; `spec` replaces or adds fields.

    `operator` replaces that one party; `labels=` and `tenant=` go to the metadata.
    """
    party = a_party(None if location is None else location[:2])
    metadata = {"name": name, **{key: spec.pop(key) for key in ("labels", "tenant") if key in spec}}
    facts: dict[str, Any] = {
        "parties": dict.fromkeys(("operator", "owner", "keyCustodian", "support"), party),
        "access": {"support": "supervised"},
        "assurances": [],
        "hardware": [a_box()],
        "connectivity": {"mode": "connected", "links": []},
        **({} if location is None else {"location": location}),
        **spec,
    }
    if operator is not None:
        facts["parties"] = {**facts["parties"], "operator": operator}
    return Site.model_validate({"metadata": metadata, "spec": facts})


def a_box(**fields: Any) -> dict[str, Any]:
    """Return a hardware group of one eight-core machine."""
    box = {"name": "box", "count": 1, "arch": "x86_64", "isa": ["avx2"], "cpus": 8}
    return {**box, "memory": "32GiB", "disk": "500GiB", "price": "0.11 EUR/h", **fields}


def a_link(to: str = "dc", **fields: Any) -> dict[str, Any]:
    """Return a direct link whose TLS passes through."""
    link = {
        "to": to,
        "bandwidth": "20Mbit/s",
        "rtt": "18ms",
        "price": "0.02 EUR/GB",
        "transit": [],
        "tls": "passthrough",
    }
    return {**link, **fields}


def a_wire(to: str = "dc", **fields: Any) -> Link:
    """Return `a_link` as the noun."""
    return Link.model_validate(a_link(to, **fields))


def a_rule(name: str = "allow", effect: str = "permit", **fields: Any) -> dict[str, Any]:
    """Return a rule on all data and activities without a condition."""
    return {"id": name, "effect": effect, "data": "all", "activities": "all", "source": "Board decision", **fields}


def a_policy(*rules: dict[str, Any], name: str = "org", **spec: Any) -> Policy:
    """Return a policy of these rules (none given: one that permits everything), with no pack but `org-default`."""
    facts = {"rules": list(rules) or [a_rule()], **spec}
    return Policy.model_validate({"metadata": {"name": name}, "spec": facts})


def a_pack(*rules: dict[str, Any], name: str = "law", countries: Any = ("FR",), data: Any = "all", **spec: Any) -> Pack:
    """Return a pack of these rules in force in `countries`; its rules are of high confidence unless they say so."""
    region = list(countries) if isinstance(countries, tuple) else countries
    facts = {
        "scope": {"data": data, "countries": region},
        "jurisdiction": region if isinstance(region, list) else [],
        "rules": [{"confidence": "high", **rule} for rule in rules],
        **spec,
    }
    return Pack.model_validate({"metadata": {"name": name}, "spec": facts})


def packs(*given: Pack) -> dict[str, Pack]:
    """Return packs by name, with an empty `org-default` unless one is given."""
    return {pack.name: pack for pack in (a_pack(name="org-default", countries="all"), *given)}


def a_label(*data: str, law: tuple[str, ...] | None = ("FR",), **facts: Any) -> Label:
    """Return a label of these classes under one set of laws."""
    return tuple(Atom(key, law, **facts) for key in sorted(data or ("system.operations",)))


def a_fleet(*nouns: Noun, given: tuple[Pack, ...] = (), root: Path = Path("fleet")) -> Fleet:
    """Return a fleet of these nouns, each from a file of its own that does not exist."""
    names = [f"{getattr(noun, 'name')!s}.yaml" for noun in nouns]  # noqa: B009
    manifests = tuple(Manifest(noun, file, 1) for noun, file in zip(nouns, names, strict=True))
    return Fleet(root, manifests, packs(*given), dict.fromkeys(names, "sha256:" + "0" * 64))
