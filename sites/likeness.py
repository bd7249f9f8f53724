"""What no rule of a policy tells apart: places, labels, sites and origins fall into classes under which verdicts agree.

A class holds whatever the evaluator could read: every fact of a noun is in it, except names that the policy does not
mention, and places are told apart only by the regions that policy and packs name (and, for `ORIGIN`, by being home). A
fact that a later version adds makes classes finer, never wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from sites.country import BLOCS, country_of, is_country, within
from sites.data import UNLABELLED, Atom, Label, is_or_descends
from sites.noun import Noun
from sites.policy import ORG_DEFAULT, Pack, Policy, Rule
from sites.site import Party, Site

PLACES = ("location", "country", "telemetry", "transit", "activities")
"""Fields that hold places."""

Facts = tuple[Any, ...]
"""A noun as nested tuples; a place in it is a `Spot`."""


class Spot(str):
    """The code of a place among facts."""

    __slots__ = ()


class Likeness:
    """The classes of one tenant."""

    def __init__(self, policy: Policy, packs: Mapping[str, Pack]) -> None:
        """Read which regions, names and origins the policy and its packs ask about."""
        used = [packs[ORG_DEFAULT], *(packs[name] for name in policy.spec.packs if name != ORG_DEFAULT)]
        rules: list[Rule] = [*policy.spec.rules, *(rule for pack in used for rule in pack.spec.rules)]
        spoken = [value for name, value in vars(policy.spec).items() if name != "no_pack"]
        self._regions = tuple(dict.fromkeys(_regions([*spoken, *(pack.spec for pack in used)])))
        self._mentioned = frozenset(_strings(policy.spec))
        self._no_pack = policy.spec.no_pack
        self._at_home = tuple(rule.data for rule in rules if "ORIGIN" in (rule.countries or ()))
        self.names_origins = any(rule.instrument is not None for rule in rules) and bool(policy.spec.instruments)
        self._tokens: dict[str, int] = {}
        self._seen: dict[tuple[Any, ...], int] = {}

    def token(self, place: str) -> int:
        """Return the class of a place: of those that lie within the same regions and are excused alike."""
        if place not in self._tokens:
            country = country_of(place)
            inside = tuple((within(place, named), within(country, named)) for named in self._regions)
            excused = tuple(sorted((str(w.data), w.until) for w in self._no_pack if w.country == country))
            self._tokens[place] = self._seen.setdefault((inside, excused), len(self._seen))
        return self._tokens[place]

    def label(self, label: Label) -> Facts:
        """Return the class of a label."""
        return tuple(tuple(self._of_atom(atom, field.name) for field in fields(atom)) for atom in label)

    def _of_atom(self, atom: Atom, field: str) -> Any:
        if field == "law" and atom.law is not None:
            return frozenset(map(self.token, atom.law))
        return getattr(atom, field)

    def reads_home(self, label: Label) -> bool:
        """Return whether a rule that names `ORIGIN` may be about a label."""
        return any(_concerns(data, atom.data) for data in self._at_home for atom in label) or not label

    def origin(self, origin: Site) -> Facts:
        """Return what rules can know of an origin besides where it lies: names that instruments name."""
        return self._names(origin) if self.names_origins else ()

    def site(self, site: Site) -> Facts:
        """Return what rules can know of a site, its places as they are; hardware and wires are left out."""
        known = tuple(
            (name, self.facts(value, name)) for name, value in vars(site.spec).items() if name not in _NO_FACTS
        )
        return self._names(site), site.spec.connectivity.mode == "disconnected", known

    def _names(self, site: Site) -> Facts:
        operator = site.spec.parties.get("operator")
        return self._name(site.name), None if operator is None else self._name(operator.name)

    def _name(self, name: str) -> str:
        return name if name in self._mentioned else ""

    def facts(self, value: Any, field: str) -> Any:
        """Return a value as something that can be a key."""
        if isinstance(value, str):
            return Spot(value) if field in PLACES and value != "none" else value
        if isinstance(value, Noun):
            named = vars(value).items()
            if isinstance(value, Party):
                return tuple(self._name(v) if k == "name" else self.facts(v, k) for k, v in named)
            return tuple(self.facts(v, k) for k, v in named)
        if isinstance(value, tuple):
            return tuple([self.facts(item, field) for item in value])
        if isinstance(value, dict):
            return tuple(
                (key, self.facts(value[key], "country" if field == "activities" else key)) for key in sorted(value)
            )
        return value

    def under(self, facts: Any, home: str | None) -> Any:
        """Return facts with every place as its class, and whether it lies in the country `home`."""
        if isinstance(facts, Spot):
            return self.token(facts), country_of(facts) == home
        if isinstance(facts, tuple):
            return tuple([self.under(fact, home) for fact in facts])
        return facts


_NO_FACTS = ("hardware", "connectivity", "serves")


def countries_in(facts: Any) -> Iterator[str]:
    """Yield the country of every place among facts."""
    if isinstance(facts, Spot):
        yield country_of(facts)
    elif isinstance(facts, tuple):
        for fact in facts:
            yield from countries_in(fact)


def _concerns(wanted: str | tuple[str, ...], data: str) -> bool:
    if data == UNLABELLED or wanted == "all":
        return True
    return any(is_or_descends(data, key) or is_or_descends(key, data) for key in wanted)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in a noun."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Noun, dict)):
        for item in (vars(value) if isinstance(value, Noun) else value).values():
            yield from _strings(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _strings(item)


def _regions(value: Any) -> Iterator[tuple[str, ...]]:
    """Yield every list of regions in nouns; a region that stands alone is a list of itself."""
    if isinstance(value, str):
        if _is_region(value):
            yield (value,)
    elif isinstance(value, (Noun, dict)):
        for item in (vars(value) if isinstance(value, Noun) else value).values():
            yield from _regions(item)
    elif isinstance(value, tuple) and value and all(isinstance(item, str) for item in value):
        named = tuple(item for item in value if _is_region(item))
        if named:
            yield named
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _regions(item)


def _is_region(text: str) -> bool:
    return text in BLOCS or (len(text) >= 2 and is_country(country_of(text)) and (len(text) == 2 or text[2] == "-"))
