"""The wires of a fleet and who may wait at their ends: what a flow could take before any law is asked."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from sites.site import Link, Site

Hop = tuple[str, str]
"""Two neighbouring sites, in the direction of the flow."""

MOST_WIRES = 8
"""A site with more is never a stub: pairs of its wires would be many."""


@dataclass(frozen=True, slots=True)
class Network:
    """The wires of a fleet, by either direction of travel, and which sites may wait for a window of contact.

    Attributes:
        wires: the link between two sites, under both orders of their names.
        neighbours: sorted, by site.
        intermittent: sites whose links carry no synchronous flow.
        stubs: sites that serve only themselves, and have few wires: each takes time, and none leads to another stub.
    """

    wires: Mapping[Hop, Link]
    neighbours: Mapping[str, tuple[str, ...]]
    intermittent: frozenset[str]
    stubs: frozenset[str] = frozenset()
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
        own = (site.name for site in found if site.spec.serves == "own")
        return cls(wires, {name: tuple(names) for name, names in around.items()}, waiting, _stubs(own, around, wires))

    def without(self, lost: tuple[str, ...]) -> Network:
        """Return what is left when a site, or the wire between two, is gone; the same object for the same loss."""
        if lost not in self._left:
            one = lost[0]
            gone = {hop for hop in self.wires if (one in hop if len(lost) == 1 else tuple(sorted(hop)) == lost)}
            wires = {hop: link for hop, link in self.wires.items() if hop not in gone}
            around = {a: tuple(b for b in ends if (a, b) not in gone) for a, ends in self.neighbours.items()}
            self._left[lost] = Network(wires, around, self.intermittent, self.stubs)
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


def _stubs(own: Iterable[str], around: Mapping[str, Sequence[str]], wires: Mapping[Hop, Link]) -> frozenset[str]:
    found: set[str] = set()
    for name in own:
        ends = around[name]
        if len(ends) <= MOST_WIRES and found.isdisjoint(ends) and all(wires[name, end].rtt for end in ends):
            found.add(name)
    return frozenset(found)
