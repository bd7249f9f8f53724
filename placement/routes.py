"""Which way a flow takes: the least-RTT path whose every hop is permitted for its label.

Ties go to the cheaper path, then to the one whose hop names come first. Routes ignore load.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from placement.network import Hop, Network
from placement.paths import Paths, Way
from sites.data import Label
from sites.site import Link
from sites.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Route:
    """The way from the first of `sites` to the last.

    Attributes:
        sites: every site on the way; one alone for a flow that stays.
        rtt_us: round trip, added up.
        price: currency per GB, added up.
        bandwidth: bit/s of the least full hop; 0 for a flow that stays.
        rules: what permits its hops.
    """

    sites: tuple[str, ...]
    rtt_us: int
    price: Fraction
    bandwidth: int
    rules: tuple[str, ...]

    @property
    def hops(self) -> tuple[Hop, ...]:
        """Return the pairs of neighbours on the way."""
        return tuple(pairwise(self.sites))


class Law(Protocol):
    """What the law says of hops, to one who asks from one origin."""

    def hop(self, label: Label, link: Link, a: str, b: str) -> Verdict:
        """Return whether a flow with that label may cross the wire between two sites."""

    def permit(self, label: Label, link: Link, a: str, b: str) -> Verdict | None:
        """Return the same verdict if it is a permit; None otherwise."""

    def paths(self, label: Label, *, is_async: bool) -> Paths:
        """Return the paths over hops that are open to such a flow."""

    def alike(self, label: Label) -> int:
        """Return the class of a label: the law permits what has the same, and for the same reasons."""


@dataclass(slots=True)
class Router:
    """Routes of the flows of origins that the law does not tell apart; every answer is remembered."""

    network: Network
    law: Law
    _known: dict[tuple[int, bool], tuple[Label, Ways]] = field(default_factory=dict)
    _by_class: dict[tuple[int, bool], Ways] = field(default_factory=dict)
    _staying: dict[str, Route] = field(default_factory=dict)
    _wired: Paths | None = None

    def route(self, a: str, b: str, label: Label, is_async: bool) -> Route | None:
        """Return the route from `a` to `b`, or None when no permitted path joins them."""
        return self.ways(label, is_async).route(a, b)

    def paths(self, label: Label, is_async: bool) -> Paths:
        """Return the paths that such flows may take, without what permits them: for who asks about many."""
        return self.ways(label, is_async).paths

    def rule(self, label: Label, link: Link, a: str, b: str) -> Verdict:
        """Return what the law says of a hop."""
        return self.law.hop(label, link, a, b)

    def obstacles(self, a: str, b: str, label: Label, is_async: bool) -> tuple[str, ...]:
        """Return what closes the way between two sites: names of rules, `link:intermittent`, or `link:none`.

        Asked of the path that would be taken if every hop were open.
        """
        if self._wired is None:
            self._wired = Paths(self.network, lambda a, b: True)
        path = self._wired.best(a, b)
        if path is None:
            return ("link:none",)
        found = set()
        for hop in pairwise(path):
            if not self.network.carries(hop, is_async):
                found.add("link:intermittent")
            verdict = self.rule(label, self.network.wires[hop], *hop)
            if verdict.outcome != Outcome.permit:
                found.update(f"residency:{name}" for name in verdict.rules)
        return tuple(sorted(found))

    def ways(self, label: Label, is_async: bool) -> Ways:
        """Return the routes of such flows: for who asks about many."""
        # Labels are few and each stays the same object: its identity is a key for as long as it is kept.
        key = (id(label), is_async)
        if (known := self._known.get(key)) is None:
            alike = (self.law.alike(label), is_async)
            if alike not in self._by_class:
                self._by_class[alike] = Ways(self.law, label, self.law.paths(label, is_async=is_async), self._staying)
            known = self._known[key] = (label, self._by_class[alike])
        return known[1]


@dataclass(slots=True)
class Ways:
    """The routes of flows with labels of one class, of which `label` is one; every answer is remembered."""

    law: Law
    label: Label
    paths: Paths
    _staying: dict[str, Route]
    _routes: dict[Hop, Route | None] = field(default_factory=dict)

    def route(self, a: str, b: str) -> Route | None:
        """Return the route from `a` to `b`, or None when no permitted path joins them."""
        if a == b:
            if a not in self._staying:
                self._staying[a] = Route((a,), 0, Fraction(0), 0, ())
            return self._staying[a]
        hop = (a, b)
        if hop not in self._routes:
            way = self.paths.way(a, b)
            self._routes[hop] = None if way is None else self._permitted(way)
        return self._routes[hop]

    def _permitted(self, way: Way) -> Route:
        wires = self.paths.network.wires
        verdicts = (self.law.permit(self.label, wires[hop], *hop) for hop in pairwise(way.sites))
        rules = united(tuple([verdict.rules for verdict in verdicts if verdict is not None]))
        return Route(way.sites, way.rtt_us, way.price, way.bandwidth, rules)


@lru_cache(maxsize=1 << 14)
def united(names: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return every name once, sorted; the same object for the same names, of which a fleet has few."""
    return tuple(sorted({name for some in names for name in some}))
