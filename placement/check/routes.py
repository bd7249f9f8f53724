"""Routes: the least round trip over permitted hops, found again by the checker."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from fractions import Fraction

from placement.check.questions import Decision, Questions
from placement.check.snapshot import Snapshot
from sites.data import Label
from sites.site import Link, Site

Route = tuple[str, ...]
"""The sites passed, both ends included; one site for a local flow."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A route's round trip (microseconds), price per GB and least full bandwidth (bit/s; None for a local flow)."""

    rtt: int
    price: Fraction
    bandwidth: int | None


class Routes:
    """Finds and measures routes; remembers by label, ends and whether the flow waits for an answer."""

    def __init__(self, snapshot: Snapshot, questions: Questions) -> None:
        self._snapshot, self._questions = snapshot, questions
        self._known: dict[tuple[object, ...], Route | None] = {}

    def links(self, route: Route) -> list[Link] | None:
        """Return the links of a route; None when two neighbours on it are not linked."""
        found = [self._snapshot.links.get(frozenset(ends)) for ends in itertools.pairwise(route)]
        return None if None in found else [link for link in found if link is not None]

    def measure(self, route: Route) -> Measure:
        """Return what a route of existing links costs in time and money."""
        links = self.links(route) or []
        return Measure(
            sum(link.rtt for link in links),
            sum((link.price.amount for link in links), Fraction(0)),
            min((link.bandwidth for link in links), default=None),
        )

    def decisions(self, label: Label, route: Route, origin: Site) -> tuple[Decision, ...]:
        """Return the decisions of every hop of a route of existing links."""
        hops = itertools.pairwise(route)
        return tuple(decision for a, b in hops for decision in self._questions.crossing(label, a, b, origin))

    def intermittent(self, a: str, b: str) -> bool:
        """Return whether a hop has an intermittent end."""
        return any(self._snapshot.site(name).spec.connectivity.mode == "intermittent" for name in (a, b))

    def best(self, label: Label, source: str, target: str, origin: Site, *, waits: bool) -> Route | None:
        """Return the permitted route of least round trip (ties: price, then names), or None; `waits`: synchronous."""
        key = (label, source, target, origin.name, waits)
        if key not in self._known:
            self._known[key] = self._search(label, source, target, origin, waits)
        return self._known[key]

    def _search(self, label: Label, source: str, target: str, origin: Site, waits: bool) -> Route | None:
        queue: list[tuple[int, Fraction, Route]] = [(0, Fraction(0), (source,))]
        settled: set[str] = set()
        while queue:
            rtt, price, route = heapq.heappop(queue)
            here = route[-1]
            if here == target:
                return route
            if here in settled:
                continue
            settled.add(here)
            for there in self._snapshot.neighbours.get(here, ()):
                if there not in settled and self._open(label, here, there, origin, waits):
                    link = self._snapshot.links[frozenset((here, there))]
                    heapq.heappush(queue, (rtt + link.rtt, price + link.price.amount, (*route, there)))
        return None

    def _open(self, label: Label, a: str, b: str, origin: Site, waits: bool) -> bool:
        if waits and self.intermittent(a, b):
            return False
        decisions = self._questions.crossing(label, a, b, origin)
        return all(decision.judgement.outcome == "permit" for decision in decisions)
