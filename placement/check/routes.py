"""Routes: the least round trip over permitted hops, found again by the checker.

Two things keep this linear in the plan. The shortest of all routes, where every hop of it is permitted, is the shortest
permitted one: so the law is asked about one route, and hops are searched under it only where that route is refused.
And of the two ends of a link one lies in the *cover*: a site outside has all its neighbours inside, so its routes are
one hop and then its neighbour's. Searches go from one site of the cover to the next, directly or by one site outside;
they are shared, and stop where they have been asked to.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from placement.check.questions import Decisions, Questions
from placement.check.recent import Recent
from placement.check.snapshot import Snapshot
from sites.data import Label
from sites.site import Link, Site

Route = tuple[str, ...]
"""The sites passed, both ends included; one site for a local flow."""

Lost = frozenset[str]
"""What a failure takes away: a site, or the two ends of a link; nothing in normal running."""

Open = Callable[[str, str], bool]
Length = tuple[int, int, Route]
"""Round trip in microseconds, scaled price per GB, and the sites: routes are compared in this order."""

Trunks = Mapping[str, tuple[tuple[str, tuple[Length, ...]], ...]]
"""From each site of the cover: the next ones of it, each with all ways there, the best first."""

NOTHING: Lost = frozenset()
NO_ROUTE: Route = ()

MOST_SEARCHES, MOST_ROUTES = 2048, 1 << 15
"""So many are remembered at a time, at least: neighbours in a plan ask for the same ones."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A route's round trip (microseconds) and least full bandwidth (bit/s; None for a local flow)."""

    rtt: int
    bandwidth: int | None

    def microseconds(self, bits: int) -> float:
        """Return how long one request's bits are under way."""
        return self.rtt / 2 + (bits * 10**6 / self.bandwidth if self.bandwidth else 0.0)


class Search:
    """The best routes from one site of the cover to the others, found as far as they are asked for."""

    def __init__(self, start: str, trunks: Trunks, is_open: Open) -> None:
        self._trunks, self._open = trunks, is_open
        self._waiting: list[Length] = [(0, 0, (start,))]
        self._settled: dict[str, Length] = {}

    def to(self, target: str) -> Length | None:
        """Return the best route to a site of the cover, or None."""
        while target not in self._settled and self._waiting:
            rtt, price, route = length = heapq.heappop(self._waiting)
            here = route[-1]
            if here in self._settled:
                continue
            self._settled[here] = length
            for there, ways in self._trunks.get(here, ()):
                if there not in self._settled:
                    for more, costs, path in ways:
                        if self._open(here, path[0]) and (len(path) == 1 or self._open(path[0], there)):
                            heapq.heappush(self._waiting, (rtt + more, price + costs, route + path))
                            break
        return self._settled.get(target)


class Routes:
    """Finds and measures routes under one tenant's law; remembers."""

    def __init__(self, snapshot: Snapshot, questions: Questions) -> None:
        self._snapshot, self._questions = snapshot, questions
        self._searches: Recent[tuple[object, ...], Search] = Recent(MOST_SEARCHES)
        self._free: Recent[tuple[str, str, bool], Route] = Recent(MOST_ROUTES)
        self._lawful: Recent[tuple[object, ...], Route] = Recent(MOST_ROUTES)
        self._permitted: dict[tuple[Label, int | None], dict[int, bool]] = {}
        self._measures: Recent[Route, Measure] = Recent(MOST_ROUTES)

    def links(self, route: Route) -> list[Link] | None:
        """Return the links of a route; None when two neighbours on it are not linked."""
        found = [self._snapshot.links.get(frozenset(ends)) for ends in itertools.pairwise(route)]
        return None if None in found else [link for link in found if link is not None]

    def measure(self, route: Route) -> Measure:
        """Return what a route of existing links costs in time and money."""
        known = self._measures.get(route)
        if known is not None:
            return known
        links = self.links(route) or []
        measure = Measure(sum(link.rtt for link in links), min((link.bandwidth for link in links), default=None))
        return self._measures.put(route, measure)

    def decisions(self, label: Label, route: Route, origin: Site) -> tuple[Decisions, ...]:
        """Return the decisions of each hop of a route of existing links."""
        return tuple(self._questions.crossing(label, a, b, origin) for a, b in itertools.pairwise(route))

    def best(
        self, label: Label, source: str, target: str, origin: Site, *, waits: bool, lost: Lost = NOTHING
    ) -> Route | None:
        """Return the permitted route of least round trip (ties: price, then names), or None.

        Args:
            waits: the flow is synchronous and takes no hop with an intermittent end.
            lost: what the route must do without.
        """
        if source == target:
            return None if lost == {source} else (source,)
        route = self._shortest(source, target, waits)
        if route is None or (not passes(route, lost) and self._permitted_all(label, route, origin)):
            return route
        key = (label, source, target, self._questions.law_of(origin), waits, lost)
        known = self._lawful.get(key)
        if known is None:
            known = self._lawful.put(key, self._lawfully(label, source, target, origin, waits, lost) or NO_ROUTE)
        return known or None

    def _shortest(self, source: str, target: str, waits: bool) -> Route | None:
        """Return the best route when no law is asked."""
        key = (source, target, waits)
        known = self._free.get(key)
        if known is None:
            found = self._from(source, target, self._connected if waits else _always, (waits,))
            known = self._free.put(key, found or NO_ROUTE)
        return known or None

    def _lawfully(
        self, label: Label, source: str, target: str, origin: Site, waits: bool, lost: Lost
    ) -> Route | None:  # fmt: skip
        permits = self._permits(label, origin)

        def is_open(a: str, b: str) -> bool:
            return (not waits or self._connected(a, b)) and not (lost and passes((a, b), lost)) and permits(a, b)

        if lost & {source, target} and len(lost) == 1:
            return None
        return self._from(source, target, is_open, (label, self._questions.law_of(origin), waits, lost))

    def _from(self, source: str, target: str, is_open: Open, key: tuple[object, ...]) -> Route | None:
        """Return the best route over open hops; `key` names which hops these are."""
        before, after = ends = [() if end in self._cover else (end,) for end in (source, target)]
        lengths: list[Length] = []
        for door, rtt, price in self._doors(source, is_open):
            search = self._search(door, is_open, key)
            for last, more, costs in self._doors(target, is_open):
                onward = search.to(last)
                if onward and not any(end[0] in onward[2] for end in ends if end):
                    lengths.append((rtt + onward[0] + more, price + onward[1] + costs, before + onward[2] + after))
        return min(lengths)[2] if lengths else None

    def _doors(self, end: str, is_open: Open) -> tuple[tuple[str, int, int], ...] | list[tuple[str, int, int]]:
        """Return where a route enters or leaves the cover, with the round trip and price of getting there."""
        if end in self._cover:
            return ((end, 0, 0),)
        return [wire for wire in self._snapshot.wires.get(end, ()) if is_open(end, wire[0])]

    def _search(self, start: str, is_open: Open, key: tuple[object, ...]) -> Search:
        whole = (start, *key)
        return self._searches.get(whole) or self._searches.put(whole, Search(start, self._trunks, is_open))

    @cached_property
    def _cover(self) -> frozenset[str]:
        """One end of every link, the one with more of them; and both ends of one that costs neither time nor money."""
        degree: Mapping[str, tuple[str, ...]] = self._snapshot.neighbours
        found: set[str] = set()
        for ends, link in self._snapshot.links.items():
            free = not link.rtt and not link.price.amount
            found |= ends if free else {max(ends, key=lambda name: (len(degree[name]), name))}
        return frozenset(found)

    @cached_property
    def _trunks(self) -> Trunks:
        """From each site of the cover to others of it: directly, or by one site outside; the best way first."""
        wires, cover = self._snapshot.wires, self._cover
        found: dict[str, dict[str, list[Length]]] = {name: {} for name in cover}
        for here in cover:
            for there, rtt, price in wires[here]:
                if there in cover:
                    found[here].setdefault(there, []).append((rtt, price, (there,)))
                    continue
                for beyond, more, costs in wires[there]:
                    if beyond != here:
                        way = (rtt + more, price + costs, (there, beyond))
                        found[here].setdefault(beyond, []).append(way)
        return {
            here: tuple((there, tuple(sorted(ways))) for there, ways in sorted(others.items()))
            for here, others in found.items()
        }  # fmt: skip

    def _connected(self, a: str, b: str) -> bool:
        return not self.intermittent(a, b)

    def intermittent(self, a: str, b: str) -> bool:
        """Return whether a hop has an intermittent end."""
        return a in self._snapshot.intermittent or b in self._snapshot.intermittent

    def _permitted_all(self, label: Label, route: Route, origin: Site) -> bool:
        permits = self._permits(label, origin)
        return all(permits(a, b) for a, b in itertools.pairwise(route))

    def _permits(self, label: Label, origin: Site) -> Open:
        """Return what tells whether the law lets a label cross a hop; each kind of hop is asked about once."""
        crossing, known = (
            self._snapshot.crossing,
            self._permitted.setdefault((label, self._questions.law_of(origin)), {}),
        )

        def permits(a: str, b: str) -> bool:
            kind = crossing(a, b) if a < b else crossing(b, a)
            if kind not in known:
                known[kind] = not self._questions.crossing(label, a, b, origin).refused
            return known[kind]

        return permits


def _always(a: str, b: str) -> bool:
    return True


def passes(route: Route, lost: Lost) -> bool:
    """Return whether a route passes a lost site, or takes the lost link."""
    if not lost:
        return False
    if len(lost) == 2:
        return any(lost == {a, b} for a, b in itertools.pairwise(route))
    return not lost.isdisjoint(route)
