"""Which sites, and which links, no check can tell apart: a number for each, equal where every fact is.

Why that is enough. A check of one assignment is a function of the plan's words about it (its outline) and of what the
manifests say of its pipeline, its origin and the sites it names. Of a site the checks read: its facts of law (all of
`spec` but `hardware`, `serves` and `connectivity`: every field, also one that is added later); whom it serves; what
kind of machine a group is that a stage runs on; which of the fleet's selectors select it; and its name, but only to
compare it with names that manifests say: so the name is part of the profile where any other manifest says it, and is
none otherwise. The same holds for the names of parties. Of a link they read all but its numbers. Modes, sizes, prices,
bandwidths and round trips are weighed for each assignment by itself, and are not judged once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from placement.pipeline import Pipeline
from sites.noun import Noun, Selector, matches
from sites.site import Hardware, Link, Party, Site

APART = frozenset({"hardware", "serves", "connectivity"})
"""Fields of a site that are not facts of law."""

NUMBERS = frozenset({"to", "bandwidth", "rtt", "price"})
"""Fields of a link that no check reads that is asked once."""


class Numbers(dict[Hashable, int]):
    """Numbers things in the order in which they are first asked for; equal ones have one number."""

    def __missing__(self, key: Hashable) -> int:
        """Return the next number, and keep it."""
        self[key] = len(self)
        return self[key]


class Profiles:
    """The profiles of a fleet's sites and links.

    Args:
        others: every noun of the fleet that is no site, its packs included: where names may be said.
    """

    def __init__(self, sites: Mapping[str, Site], others: Iterable[Noun]) -> None:
        self._sites, self._others = sites, tuple(others)
        self._laws, self._kinds, self._machines, self._crossings = Numbers(), Numbers(), Numbers(), Numbers()
        self._known_machines: dict[tuple[str, str], int] = {}
        self._known_laws: dict[str, int] = {}
        self._known_kinds: dict[str, int] = {}

    @cached_property
    def words(self) -> frozenset[str]:
        """Every text that any manifest but a site says, and every site that a site names."""
        said = {text for noun in self._others for text in _texts(noun)}
        named = (text for site in self._sites.values() for text in _texts(_facts_only(site)))
        hardware = {group.name for site in self._sites.values() for group in site.spec.hardware}
        return frozenset(said | hardware | (set(named) & self._sites.keys()))

    @cached_property
    def _selectors(self) -> tuple[Selector, ...]:
        """Every selector of the fleet, but those of origins: the plan's word on them is checked by itself."""
        found = [selector for noun in self._others for selector in _selectors_of(noun)]
        found += [site.spec.serves for site in self._sites.values() if isinstance(site.spec.serves, dict)]
        return tuple({repr(sorted(selector.items())): selector for selector in found}.values())

    @cached_property
    def _operators_count(self) -> bool:
        """Whether some rule compares the operators of two sites, so that their names tell sites apart."""
        pipelines = (noun for noun in self._others if isinstance(noun, Pipeline))
        by = {domain for p in pipelines for rules in (p.spec.apart, p.spec.spread) for domain in (r.by for r in rules)}
        return "operator" in by

    def law(self, name: str) -> int:
        """Return the number of a site's facts of law. Raises KeyError when the fleet has no such site."""
        if name not in self._known_laws:
            site = self._sites[name]
            facts = self._facts({field: value for field, value in site.spec if field not in APART})
            own = name if name in self.words else None
            self._known_laws[name] = self._laws[(facts, own)]
        return self._known_laws[name]

    def kind(self, name: str) -> int:
        """Return the number of everything about a site that a check reads which is asked once, but its machines."""
        if name not in self._known_kinds:
            site = self._sites[name]
            selected = tuple(matches(selector, site.metadata.labels) for selector in self._selectors)
            serves = site.spec.serves if isinstance(site.spec.serves, str) else tuple(sorted(site.spec.serves.items()))
            self._known_kinds[name] = self._kinds[(self.law(name), selected, serves)]
        return self._known_kinds[name]

    def machine(self, name: str, hardware: str) -> int:
        """Return the number of what a hardware group is, whatever its size; 0 when the site has no such group."""
        if (name, hardware) not in self._known_machines:
            groups = (group for group in self._sites[name].spec.hardware if group.name == hardware)
            self._known_machines[name, hardware] = next((1 + self._machines[_kind_of(g)] for g in groups), 0)
        return self._known_machines[name, hardware]

    def crossing(self, a: str, b: str, link: Link) -> int:
        """Return the number of what a hop between two neighbours is to the law, in either direction."""
        facts = self._facts({field: value for field, value in link if field not in NUMBERS})
        return self._crossings[(facts, *sorted((self.law(a), self.law(b))))]

    def _facts(self, value: Any) -> Hashable:
        """Return a noun's facts as one value; of a party without a name that any manifest says."""
        if isinstance(value, Noun):
            unnamed = isinstance(value, Party) and value.name not in self.words and not self._operators_count
            return tuple(None if unnamed and field == "name" else self._facts(found) for field, found in value)
        if isinstance(value, Mapping):
            return tuple((key, self._facts(found)) for key, found in value.items())
        return tuple(map(self._facts, value)) if isinstance(value, tuple) else value


def _facts_only(site: Site) -> dict[str, Any]:
    return {field: value for field, value in site.spec if field not in APART}


def _kind_of(group: Hardware) -> Hashable:
    devices = group.accelerators
    return group.arch, group.isa, None if devices is None else devices.kind


def _texts(value: Any) -> Iterator[str]:
    """Yield every text within a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Noun):
        for _, found in value:
            yield from _texts(found)
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for part in pair for text in _texts(part))
    elif isinstance(value, tuple):
        yield from (text for item in value for text in _texts(item))


def _selectors_of(noun: Noun) -> Iterator[Selector]:
    """Yield the selectors within a manifest: of a pipeline its rates' and pins', of Knowledge its sites'."""
    if isinstance(noun, Pipeline):
        yield from (override.sites for override in noun.spec.rates)
        stages = (*noun.spec.stages, *noun.spec.fallbacks)
        yield from (stage.sites for stage in stages if isinstance(stage.sites, dict))
    else:
        sites = getattr(getattr(noun, "spec", None), "sites", None)
        if isinstance(sites, dict):
            yield sites
