"""What the law says of all sites and all hops at once: one question per class that it can tell apart.

The evaluator is asked about real nouns, one of each class, through `placement.rulings`, so that what a permit rests on
is remembered as if everything had been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement import safeguards
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.rulings import Rulings
from sites.country import country_of
from sites.data import Label
from sites.likeness import Facts, Likeness, countries_in
from sites.policy import Policy
from sites.site import Link, Site

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]

NOT_LEGAL = ("name", "models", "quality", "after", "output", "fallback", "share", "answer", "owner", "sites")
"""Fields of a stage of which no rule of residency or retention asks."""

WIRE = ("to", "bandwidth", "rtt", "price")
"""Fields of a link of which none does."""

UNKNOWN = -1


@dataclass(slots=True)
class Classes:
    """Things by their class: which class each is of, one example per class, and how classes look from a home.

    Attributes:
        of: by thing, its class. keys: by class, what its things have in common. examples: by class, a thing.
        look: what is left of a key when places are told apart by class, and by being home. countries: in a key.
    """

    of: Ids
    keys: Sequence[Any]
    examples: Sequence[int]
    look: Callable[[Any, str | None], Hashable]
    countries: Callable[[Any], Iterable[str]]
    _seen: dict[Hashable, int] = field(default_factory=dict)
    _views: dict[str | None, Ids] = field(default_factory=dict)
    _abroad: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def by(
        cls, keys: Iterable[Any], look: Callable[[Any, str | None], Hashable], countries: Callable[[Any], Iterable[str]]
    ) -> Classes:
        """Return the classes of things with these keys."""
        ids: dict[Any, int] = {}
        of = np.array([ids.setdefault(key, len(ids)) for key in keys], dtype=np.int64)
        _, examples = np.unique(of, return_index=True)
        found = cls(of, list(ids), examples.tolist(), look, countries)
        for index, key in enumerate(ids):
            for country in set(countries(key)):
                found._abroad.setdefault(country, []).append(index)
        return found

    def view(self, home: str | None) -> Ids:
        """Return by class what is left of it when places are told apart by class, and by being home."""
        if home not in self._views:
            if home is None:
                self._views[home] = np.array([self._left(key, None) for key in self.keys], dtype=np.int64)
            else:
                view = self.view(None).copy()
                for index in self._abroad.get(home, ()):
                    view[index] = self._left(self.keys[index], home)
                self._views[home] = view
        return self._views[home]

    def _left(self, key: Any, home: str | None) -> int:
        return self._seen.setdefault(self.look(key, home), len(self._seen))

    @property
    def views(self) -> int:
        """Return how many views there are so far."""
        return len(self._seen)


@dataclass(slots=True)
class Verdicts:
    """The law of one tenant over a fleet.

    Attributes:
        sites: in the order of their ids. ends: by wire, its two sites. links: by wire.
        profiles: classes of sites. wires: classes of wires.
        countries: by site, a number for its country; -1 for none. laws: the same for countries that rules tell apart.
        names: by site, a number for what instruments know of an origin there.
    """

    problem: Problem
    rulings: Rulings
    tenant: str
    likeness: Likeness
    sites: Sequence[Site]
    ends: NDArray[Any]
    links: Sequence[Link]
    profiles: Classes
    wires: Classes
    countries: Ids
    laws: Ids
    names: Ids
    _answers: dict[Hashable, NDArray[np.int8]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, problem: Problem, rulings: Rulings, tenant: str, sites: Sequence[Site], ends: Ids, links: Sequence[Link]
    ) -> Verdicts:
        """Return the law of a tenant, nothing asked yet."""
        likeness = Likeness(problem.policies[tenant], problem.packs)
        profiles = Classes.by((likeness.site(site) for site in sites), likeness.under, countries_in)
        wires = _wires(likeness, profiles, ends, links)
        homes = [None if site.spec.location is None else country_of(site.spec.location) for site in sites]
        laws = np.array([-1 if home is None else likeness.token(home) for home in homes], dtype=np.int64)
        names = numbers([likeness.origin(site) for site in sites])
        return cls(
            problem, rulings, tenant, likeness, sites, ends, links, profiles, wires, numbers(homes), laws, names
        )  # fmt: skip

    @property
    def policy(self) -> Policy:
        """Return the tenant's policy."""
        return self.problem.policies[self.tenant]

    def home(self, labels: Sequence[Label], origin: Site) -> str | None:
        """Return the country that an origin's questions about these labels are asked from; None when all ask alike."""
        place = origin.spec.location
        if place is None or not any(self.likeness.reads_home(label) for label in labels):
            return None
        return country_of(place)

    def stage(self, pipeline: Pipeline, stage: Stage, label: Label, origin: Site, wanted: Ids) -> Bools:
        """Return by profile whether a site of it may run a stage, for the profiles in `wanted`; false for others."""
        is_spare = stage in pipeline.spec.fallbacks
        known = tuple(self.likeness.facts(v, k) for k, v in vars(stage).items() if k not in NOT_LEGAL)

        def ask(site: Site) -> bool:
            if self.rulings.permit(pipeline, stage, label, site, origin, failover=is_spare) is None:
                return False
            return not any(safeguards.against(stage, label, site, self.policy, self.problem.stores))

        return self._answer(
            (known, is_spare), label, origin, self.profiles, wanted, lambda index: ask(self.sites[index])
        )

    def hops(self, label: Label, origin: Site) -> Bools:
        """Return by wire whether a flow with a label may cross it."""
        law = self.rulings.router(self.tenant, self.problem.network, origin).law

        def ask(index: int) -> bool:
            a, b = (self.sites[end].name for end in self.ends[index])
            return law.permit(label, self.links[index], a, b) is not None

        every = np.arange(len(self.wires.keys))
        return self._answer("hop", label, origin, self.wires, every, ask)[self.wires.of]

    def _answer(
        self, about: Hashable, label: Label, origin: Site, classes: Classes, wanted: Ids, ask: Callable[[int], bool]
    ) -> Bools:
        """Return by class what `ask` says of one of it; what is known of the same view is not asked again."""
        home = self.home([label], origin)
        view = classes.view(home)
        is_lost = home is None and origin.spec.location is None and self.likeness.reads_home(label)
        key = (about, self.likeness.label(label), self.likeness.origin(origin), is_lost)
        known = self._answers.get(key, np.empty(0, np.int8))
        if len(known) < classes.views:
            known = np.concatenate([known, np.full(classes.views - len(known), UNKNOWN, np.int8)])
            self._answers[key] = known
        open_questions, first = np.unique(view[wanted], return_index=True)
        for left, index in zip(open_questions.tolist(), wanted[first].tolist(), strict=True):
            if known[left] == UNKNOWN:
                known[left] = ask(classes.examples[index])
        answers: Bools = known[view] == 1
        return answers


def numbers(values: Iterable[Hashable]) -> Ids:
    """Return a number for each value, the same for equal ones; -1 for None."""
    seen: dict[Hashable, int] = {None: -1}
    return np.array([seen.setdefault(value, len(seen) - 1) for value in values], dtype=np.int64)


def _wires(likeness: Likeness, profiles: Classes, ends: Ids, links: Sequence[Link]) -> Classes:
    """Return the classes of wires: the profiles of the two ends, in either direction, and the facts of the link."""

    def look(key: tuple[int, int, Facts], home: str | None) -> Hashable:
        view = profiles.view(home)
        a, b = int(view[key[0]]), int(view[key[1]])
        return min(a, b), max(a, b), likeness.under(key[2], home)

    def countries(key: tuple[int, int, Facts]) -> Iterable[str]:
        a, b, known = key
        return chain(countries_in(profiles.keys[a]), countries_in(profiles.keys[b]), countries_in(known))

    def keys() -> Iterator[tuple[int, int, Facts]]:
        for (a, b), link in zip(profiles.of[ends].tolist(), links, strict=True):
            known = tuple([likeness.facts(value, name) for name, value in vars(link).items() if name not in WIRE])
            yield min(a, b), max(a, b), known

    return Classes.by(keys(), look, countries)
