"""Which way a flow takes: the least-RTT path whose every hop is permitted for its label.

Ties go to the cheaper path, then to the one whose hop names come first. Routes ignore load.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
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

    def carries(self, hop: Hop, is_async: bool) -> bool:
        """Return whether a hop carries such a flow: a synchronous one has no intermittent end."""
        return is_async or not self.intermittent.intersection(hop)


Ruling = Callable[[Label, Link, str, str], Verdict]
"""What the law says of a hop: (label, link, from, to), for one origin."""


@dataclass(slots=True)
class Router:
    """Routes of one origin's flows; every answer is remembered."""

    network: Network
    rule: Ruling
    _from: dict[tuple[str, Label, bool], dict[str, Route]] = field(default_factory=dict)
    _closed: dict[tuple[Label, bool], tuple[str, ...]] = field(default_factory=dict)

    def route(self, a: str, b: str, label: Label, is_async: bool) -> Route | None:
        """Return the route from `a` to `b`, or None when no permitted path joins them."""
        if a == b:
            return Route((a,), 0, Fraction(0), 0, ())
        key = (a, label, is_async)
        if key not in self._from:
            self._from[key] = self._explore(a, label, is_async)
        return self._from[key].get(b)

    def refusals(self, label: Label, is_async: bool) -> tuple[str, ...]:
        """Return why hops are closed to such a flow: names of rules, and `link:intermittent`."""
        if (label, is_async) not in self._closed:
            self._closed[label, is_async] = tuple(sorted(set(self._refusals(label, is_async))))
        return self._closed[label, is_async]

    def _refusals(self, label: Label, is_async: bool) -> Iterator[str]:
        for hop, link in self.network.wires.items():
            if not self.network.carries(hop, is_async):
                yield "link:intermittent"
            if hop[0] < hop[1] and (verdict := self.rule(label, link, *hop)).outcome != Outcome.permit:
                yield from (f"residency:{name}" for name in verdict.rules)

    def _explore(self, start: str, label: Label, is_async: bool) -> dict[str, Route]:
        """Dijkstra over (round trip, price, names): each part only grows along a path, so the first visit is best."""
        done: dict[str, Route] = {}
        queue: list[tuple[int, Fraction, tuple[str, ...]]] = [(0, Fraction(0), (start,))]
        while queue:
            rtt, price, path = heapq.heappop(queue)
            here = path[-1]
            if here in done:
                continue
            done[here] = self._route(path, rtt, price, label)
            for there in self.network.neighbours[here]:
                link = self.network.wires[here, there]
                if there not in done and self._open(link, here, there, label, is_async):
                    heapq.heappush(queue, (rtt + link.rtt, price + link.price.amount, (*path, there)))
        return done

    def _open(self, link: Link, a: str, b: str, label: Label, is_async: bool) -> bool:
        return self.network.carries((a, b), is_async) and self.rule(label, link, a, b).outcome == Outcome.permit

    def _route(self, path: tuple[str, ...], rtt: int, price: Fraction, label: Label) -> Route:
        hops = tuple(pairwise(path))
        links = [self.network.wires[hop] for hop in hops]
        rules = {name for hop, link in zip(hops, links, strict=True) for name in self.rule(label, link, *hop).rules}
        bandwidth = min((link.bandwidth for link in links), default=0)
        return Route(path, rtt, price, bandwidth, tuple(sorted(rules)))
