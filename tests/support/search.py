"""Compares two sets of arrays by what they mean: in names, whatever the order of kinds, masks and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from placement.candidates import PoolKey
from placement.graph import ANSWER, INPUT
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE
from placement.search.ways import hops, route

Spot = tuple[str, PoolKey | None]
Way = tuple[tuple[float, float, float], tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Reading:
    """A compiled problem, read in names."""

    of: Compiled

    def spots(self, work: int, slot: int) -> tuple[list[Spot], list[Spot]]:
        """Return the options of a slot at home and elsewhere."""
        works = self.of.layout.works
        at = works.first_slot[work] + slot
        home = range(works.own_first[at], works.own_first[at + 1])
        at = works.kind_slot[works.kind[work]] + slot
        away = range(works.remote_first[at], works.remote_first[at + 1])
        own = [self._spot(works.own_site[i], works.own_pool[i]) for i in home]
        others = [self._spot(works.remote_site[i], works.remote_pool[i]) for i in away]
        return own, [spot for spot in others if spot[0] != self.of.sites[works.origin[work]]]

    def _spot(self, site: int, pool: int) -> Spot:
        return self.of.sites[site], None if pool == NOWHERE else self.of.pools[pool]

    def way(self, work: int, flow: int, a: str, b: str) -> Way:
        """Return (round trip, price, bandwidth) and the hops of a flow between two sites."""
        works, ways = self.of.layout.works, self.of.layout.ways
        mask = works.mask[works.kind_flow[works.kind[work]] + flow]
        ends = self.of.sites.index(a), self.of.sites.index(b)
        out = np.zeros(ways.longest, np.int64)
        count = hops(ways, mask, *ends, out)
        return route(ways, mask, *ends), tuple(self.of.hops[hop] for hop in out[:count])

    def pool(self, key: PoolKey) -> tuple[Any, ...]:
        """Return a pool's numbers and the names of its site and group."""
        pools, at = self.of.layout.pools, self.of.pools.index(key)
        return (self.of.sites[pools.site[at]], self.of.groups[pools.group[at]], *(column[at] for column in pools[2:]))


def differences(fast: Compiled, plain: Compiled) -> Iterator[str]:
    """Yield what two compilations of one problem say differently; an option out of reach may be missing in `plain`."""
    for name in ("workloads", "sites", "pipelines", "groups", "slots", "flows", "hops"):
        if getattr(fast, name) != getattr(plain, name):
            yield name
            return
    for part in ("groups", "shapes", "spreads"):
        yield from _columns(part, getattr(fast.layout, part), getattr(plain.layout, part))
    same = ("pipeline", "origin", "rate", "priority", "limit_us", "wait", "first_slot", "wanted")
    yield from _columns("works", *([getattr(x.layout.works, name) for name in same] for x in (fast, plain)))
    one, other = Reading(fast), Reading(plain)
    for key in plain.pools:
        if one.pool(key)[:-1] != other.pool(key)[:-1] or one.pool(key)[-1] < other.pool(key)[-1]:
            yield f"{key}: {one.pool(key)} {other.pool(key)}"
    for work in range(len(fast.workloads)):
        yield from _of_work(one, other, work)


def _columns(name: str, ones: Any, others: Any) -> Iterator[str]:
    for index, (a, b) in enumerate(zip(ones, others, strict=True)):
        if a.dtype != b.dtype or not np.array_equal(a, b):
            yield f"{name} {index}: {a} {b}"


def _of_work(one: Reading, other: Reading, work: int) -> Iterator[str]:
    name, pipeline = one.of.workloads[work], one.of.layout.works.pipeline[work]
    origin = one.of.sites[one.of.layout.works.origin[work]]
    flows = one.of.flows[pipeline]
    places: dict[str, set[str]] = {INPUT: {origin}, ANSWER: {origin}}
    for slot, stage in enumerate(one.of.slots[pipeline]):
        (home, away), (its_home, its_away) = one.spots(work, slot), other.spots(work, slot)
        if home != its_home or [spot for spot in away if spot in its_away] != its_away:
            yield f"{name} {stage}: {home} {away}, not {its_home} {its_away}"
        places[stage] = {site for site, _ in (*home, *away)}
        for site in {site for site, _ in away} - {site for site, _ in its_away}:
            legs = [(flow, origin, site) for flow, ends in enumerate(flows) if ends == (INPUT, stage)]
            legs += [(flow, site, origin) for flow, ends in enumerate(flows) if ends == (stage, ANSWER)]
            if all(one.way(work, *leg)[0][0] >= 0 for leg in legs):
                yield f"{name} {stage}: {site} should not be an option"
    for flow, (source, target) in enumerate(flows):
        for a in sorted(places[source]):
            for b in sorted(places[target]):
                if one.way(work, flow, a, b) != other.way(work, flow, a, b):
                    yield f"{name} {source}-{target} {a} to {b}"
