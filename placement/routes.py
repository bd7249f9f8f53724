"""Which way a flow takes: the least-RTT path whose every hop is permitted for its label.

Ties go to the cheaper path, then to the one whose hop names come first. Routes ignore load.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from sites.data import Label
from sites.site import Link, Site
from sites.verdict import Outcome, Verdict

Hop = tuple[str, str]
"""Two neighbouring sites, in the direction of the flow."""


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


@dataclass(frozen=True, slots=True)
class Network:
    """The wires of a fleet, by either direction of travel, and which sites may wait for a window of contact.

    Attributes:
        wires: the link between two sites, under both orders of their names.
        neighbours: sorted, by site.
        intermittent: sites whose links carry no synchronous flow.
    """

    wires: Mapping[Hop, Link]
    neighbours: Mapping[str, tuple[str, ...]]
    intermittent: frozenset[str]
    _left: dict[tuple[str, ...], Network] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, sites: Iterable[Site]) -> Network:
        """Return the network that the sites declare; one end of a link suffices."""
        wires: dict[Hop, Link] = {}
        found = sorted(sites, key=lambda site: site.name)
        for site in found:
            for link in site.spec.connectivity.links:
                wires[site.name, link.to] = wires[link.to, site.name] = link
        around: dict[str, list[str]] = {site.name: [] for site in found}
        for a, b in sorted(wires):
            around[a].append(b)
        modes = {site.name: site.spec.connectivity.mode for site in found}
        waiting = frozenset(name for name, mode in modes.items() if mode == "intermittent")
        return cls(wires, {name: tuple(names) for name, names in around.items()}, waiting)

    def without(self, lost: tuple[str, ...]) -> Network:
        """Return what is left when a site, or the wire between two, is gone; the same object for the same loss."""
        if lost not in self._left:
            one = lost[0]
            gone = {hop for hop in self.wires if (one in hop if len(lost) == 1 else tuple(sorted(hop)) == lost)}
            wires = {hop: link for hop, link in self.wires.items() if hop not in gone}
            around = {a: tuple(b for b in ends if (a, b) not in gone) for a, ends in self.neighbours.items()}
            self._left[lost] = Network(wires, around, self.intermittent)
        return self._left[lost]

    def carries(self, hop: Hop, is_async: bool) -> bool:
        """Return whether a hop carries such a flow: a synchronous one has no intermittent end."""
        return is_async or not self.intermittent.intersection(hop)

    def shortest(self, start: str, is_open: Callable[[str, str], bool] | None = None) -> dict[str, tuple[str, ...]]:
        """Return the best path from a site to every other that open hops reach (all are when `is_open` is None).

        Dijkstra over (round trip, price, names): each part only grows along a path, so the first visit is the best.
        """
        done: dict[str, tuple[str, ...]] = {}
        queue: list[tuple[int, Fraction, tuple[str, ...]]] = [(0, Fraction(0), (start,))]
        while queue:
            rtt, price, path = heapq.heappop(queue)
            here = path[-1]
            if here in done:
                continue
            done[here] = path
            for there in self.neighbours[here]:
                if there not in done and (is_open is None or is_open(here, there)):
                    link = self.wires[here, there]
                    heapq.heappush(queue, (rtt + link.rtt, price + link.price.amount, (*path, there)))
        return done


Ruling = Callable[[Label, Link, str, str], Verdict]
"""What the law says of a hop: (label, link, from, to), for one origin."""


@dataclass(slots=True)
class Router:
    """Routes of one origin's flows; every answer is remembered."""

    network: Network
    rule: Ruling
    _from: dict[tuple[str, Label, bool], dict[str, Route]] = field(default_factory=dict)
    _open: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    def route(self, a: str, b: str, label: Label, is_async: bool) -> Route | None:
        """Return the route from `a` to `b`, or None when no permitted path joins them."""
        if a == b:
            return Route((a,), 0, Fraction(0), 0, ())
        key = (a, label, is_async)
        if key not in self._from:
            self._from[key] = self._explore(a, label, is_async)
        return self._from[key].get(b)

    def obstacles(self, a: str, b: str, label: Label, is_async: bool) -> tuple[str, ...]:
        """Return what closes the way between two sites: names of rules, `link:intermittent`, or `link:none`.

        Asked of the path that would be taken if every hop were open.
        """
        if a not in self._open:
            self._open[a] = self.network.shortest(a)
        path = self._open[a].get(b)
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

    def _explore(self, start: str, label: Label, is_async: bool) -> dict[str, Route]:
        def is_open(a: str, b: str) -> bool:
            hop = (a, b)
            allowed = self.network.carries(hop, is_async)
            return allowed and self.rule(label, self.network.wires[hop], a, b).outcome == Outcome.permit

        return {end: self._route(path, label) for end, path in self.network.shortest(start, is_open).items()}

    def _route(self, path: tuple[str, ...], label: Label) -> Route:
        hops = tuple(pairwise(path))
        links = [self.network.wires[hop] for hop in hops]
        rules = {name for hop, link in zip(hops, links, strict=True) for name in self.rule(label, link, *hop).rules}
        return Route(
            path,
            sum(link.rtt for link in links),
            sum((link.price.amount for link in links), Fraction(0)),
            min((link.bandwidth for link in links), default=0),
            tuple(sorted(rules)),
        )
