"""Least-RTT paths over the hops of a network that are open, searched from each site as far as anybody asks.

What leaves one site for many others is searched once. Sites that serve only themselves, and lie between sites that
do not, are *stubs*: no search stops there, a path over one is a step of two hops. A wire of a stub takes time, so that
no best path is over one twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from placement.network import Network

Step = tuple[int, Fraction, tuple[str, ...]]
"""Round trip in microseconds, price per GB, and the sites in order: the less, the better."""


@dataclass(frozen=True, slots=True)
class Way:
    """A path: its sites, round trip in microseconds, price per GB, and the bit/s of its least full hop."""

    sites: tuple[str, ...]
    rtt_us: int
    price: Fraction
    bandwidth: int


IsOpen = Callable[[str, str], bool]

NOTHING = Fraction(0)


@dataclass(slots=True)
class _Reach:
    """A search from one site that is no stub; `done` is in the order of nearness, `queue` is what comes next."""

    paths: Paths
    done: dict[str, Step] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    queue: list[Step] = field(default_factory=list)

    def advance(self) -> bool:
        """Settle the next site; false when there is none."""
        queue, done = self.queue, self.done
        while queue:
            rtt, price, path = heapq.heappop(queue)
            here = path[-1]
            if here in done:
                continue
            done[here] = (rtt, price, path)
            self.order.append(here)
            for more, cost, further in self.paths.steps(here):
                if further[-1] not in done:
                    heapq.heappush(queue, (rtt + more, price + cost, path + further))
            return True
        return False

    def to(self, site: str, within: int | None) -> Step | None:
        """Return the best path to a site that is no stub; None when there is none, or none `within` microseconds."""
        while site not in self.done:
            if not self.queue or (within is not None and self.queue[0][0] > within):
                return None
            self.advance()
        return self.done[site]


@dataclass(slots=True)
class Paths:
    """The paths over open hops of one network.

    Attributes:
        is_open: whether a hop may be taken; it is asked again and again, and always says the same.
    """

    network: Network
    is_open: IsOpen
    _known: dict[tuple[str, str], Way | None] = field(default_factory=dict)
    _steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    _from: dict[str, _Reach] = field(default_factory=dict)
    _reached: dict[tuple[frozenset[str], bool], frozenset[str]] = field(default_factory=dict)

    def reached(self, starts: frozenset[str], *, backwards: bool = False) -> frozenset[str]:
        """Return the sites that open hops lead to from any of some, these included; backwards, those leading there."""
        key = (starts, backwards)
        if key not in self._reached:
            found, ahead = set(starts), list(starts)
            while ahead:
                here = ahead.pop()
                for there in self.network.neighbours[here]:
                    hop = (there, here) if backwards else (here, there)
                    if there not in found and self.is_open(*hop):
                        found.add(there)
                        ahead.append(there)
            self._reached[key] = frozenset(found)
        return self._reached[key]

    def best(self, a: str, b: str) -> tuple[str, ...] | None:
        """Return the sites on the best path between two different sites; None when open hops do not join them."""
        way = self.way(a, b)
        return None if way is None else way.sites

    def way(self, a: str, b: str) -> Way | None:
        """Return the best path between two different sites; None when open hops do not join them."""
        ends = (a, b)
        if ends not in self._known:
            step = self._from_stub(a, b) if a in self.network.stubs else self._to(a, b)
            self._known[ends] = None if step is None else self._whole(step)
        return self._known[ends]

    def _whole(self, step: Step) -> Way:
        rtt, price, sites = step
        return Way(sites, rtt, price, min(self.network.wires[hop].bandwidth for hop in pairwise(sites)))

    def near(self, start: str) -> Iterator[tuple[int, str]]:
        """Yield (round trip, site) for every site but stubs that open hops reach, the nearest first."""
        if start not in self.network.stubs:
            yield from self._by_nearness(start, 0)
            return
        seen: set[str] = set()
        ways = (self._by_nearness(n, self.network.wires[start, n].rtt) for n in self._open_from(start))
        for rtt, site in heapq.merge(*ways):
            if site not in seen:
                seen.add(site)
                yield rtt, site

    def _by_nearness(self, start: str, already: int) -> Iterator[tuple[int, str]]:
        reach, index = self._reach(start), 0
        while index < len(reach.order) or reach.advance():
            site = reach.order[index]
            yield already + reach.done[site][0], site
            index += 1

    def steps(self, here: str) -> tuple[Step, ...]:
        """Return the best step to every next site that is no stub: one hop, or two over a stub."""
        if here not in self._steps:
            best: dict[str, Step] = {}
            for step in self._tried(here):
                end = step[2][-1]
                if end not in best or step < best[end]:
                    best[end] = step
            self._steps[here] = tuple(best.values())
        return self._steps[here]

    def _tried(self, here: str) -> Iterator[Step]:
        wires, stubs = self.network.wires, self.network.stubs
        for there in self._open_from(here):
            first = wires[here, there]
            if there not in stubs:
                yield first.rtt, first.price.amount, (there,)
                continue
            for end in self._open_from(there):
                if end != here:
                    second = wires[there, end]
                    yield first.rtt + second.rtt, first.price.amount + second.price.amount, (there, end)

    def _open_from(self, here: str) -> Iterator[str]:
        return (there for there in self.network.neighbours[here] if self.is_open(here, there))

    def _reach(self, start: str) -> _Reach:
        if start not in self._from:
            self._from[start] = _Reach(self, queue=[(0, NOTHING, (start,))])
        return self._from[start]

    def _to(self, a: str, b: str) -> Step | None:
        """Return the best path from a site that is no stub."""
        reach = self._reach(a)
        if b not in self.network.stubs:
            return reach.to(b, None)
        best: Step | None = None
        for near in self.network.neighbours[b]:
            if self.is_open(near, b):
                step = reach.to(near, None if best is None else best[0])
                if step is not None:
                    best = _less(best, self._longer(step, b))
        return best

    def _longer(self, step: Step, b: str) -> Step:
        rtt, price, path = step
        link = self.network.wires[path[-1], b]
        return rtt + link.rtt, price + link.price.amount, (*path, b)

    def _from_stub(self, a: str, b: str) -> Step | None:
        best: Step | None = None
        for near in self._open_from(a):
            link = self.network.wires[a, near]
            step = (0, NOTHING, (near,)) if near == b else self._to(near, b)
            if step is None:
                continue
            best = _less(best, (step[0] + link.rtt, step[1] + link.price.amount, (a, *step[2])))
        return best


def _less(a: Step | None, b: Step) -> Step:
    return b if a is None or b < a else a
