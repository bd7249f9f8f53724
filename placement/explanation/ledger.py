"""What everybody else takes of pools and wires: the room in which one workload is tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from placement.candidates import PoolKey
from placement.cost import egress_per_hour
from placement.instance import Instance, Workload
from placement.network import Hop
from placement.problem import Problem
from placement.solution import HOP_LIMIT, Choice, PoolLoad, routed, taken, tally

GroupKey = tuple[str, str]
"""A site and one of its hardware groups."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is taken when one workload is away.

    Attributes:
        pools: load by hardware group and pool.
        hops: bits per second by hop and direction.
    """

    pools: Mapping[GroupKey, Mapping[PoolKey, PoolLoad]]
    hops: Mapping[Hop, Fraction]

    def pool(self, key: PoolKey) -> PoolLoad | None:
        """Return what others take of a pool; None when nobody does."""
        return self.pools.get((key.site, key.hardware), {}).get(key)

    def plus(self, workload: Workload, choice: Choice) -> Room:
        """Return what is taken when a workload is served so, too."""
        own, pools = taken(workload, choice), dict(self.pools)
        for key, load in own.pools.items():
            here = pools[key.site, key.hardware] = dict(pools.get((key.site, key.hardware), {}))
            there = here.get(key, PoolLoad(load.pool))
            wanted, stores = there.wanted + load.wanted, {**there.stores, **load.stores}
            here[key] = PoolLoad(load.pool, load=there.load + load.load, wanted=wanted, stores=stores)
        hops = {hop: self.hops.get(hop, Fraction(0)) + bits for hop, bits in own.hops.items()}
        return Room(pools, {**self.hops, **hops})


EMPTY = Room({}, {})
"""The empty fleet, in which a workload is alone."""


@dataclass(slots=True)
class Ledger:
    """The loads of all choices, added up once; each workload's own are taken out when it is asked about."""

    instance: Instance
    choices: Mapping[str, Choice]
    _own: dict[str, Choice] = field(init=False)
    _whole: Room = field(init=False)
    _readers: Counter[tuple[PoolKey, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Add everything up."""
        self._own = dict(self.choices)
        total = tally(self.instance, self._own)
        self._whole = Room(_grouped(total.pools), total.hops)
        self._readers = Counter()
        for name in self.choices if any(load.stores for load in total.pools.values()) else ():
            self._readers.update(self._reads(name))

    def _reads(self, name: str) -> Iterable[tuple[PoolKey, str]]:
        own = tally(self.instance, {name: self._own[name]})
        return [(key, store) for key, load in own.pools.items() for store in load.stores]

    def without(self, name: str) -> Room:
        """Return what is taken when this workload is away."""
        if name not in self._own:
            return self._whole
        own = tally(self.instance, {name: self._own[name]})
        gone = {pair for pair in self._reads(name) if self._readers[pair] == 1}
        pools = dict(self._whole.pools)
        for key, load in own.pools.items():
            here = pools[key.site, key.hardware] = dict(pools[key.site, key.hardware])
            left = here[key].wanted - load.wanted
            stores = {store: size for store, size in here[key].stores.items() if (key, store) not in gone}
            here[key] = PoolLoad(load.pool, load=here[key].load - load.load, wanted=left, stores=stores)
            if left <= 0:
                del here[key]
        left_of = {hop: self._whole.hops[hop] - bits for hop, bits in own.hops.items()}
        return Room(pools, {**self._whole.hops, **left_of})

    def put(self, name: str, choice: Choice) -> None:
        """Let a workload be served so from now on."""
        before = self.without(name)
        if name in self._own:
            self._readers.subtract(self._reads(name))
        self._own[name] = choice
        self._readers.update(self._reads(name))
        self._whole = before.plus(self.instance.workloads[name], choice)


def _grouped(pools: Mapping[PoolKey, PoolLoad]) -> dict[GroupKey, dict[PoolKey, PoolLoad]]:
    found: dict[GroupKey, dict[PoolKey, PoolLoad]] = {}
    for key, load in pools.items():
        found.setdefault((key.site, key.hardware), {})[key] = load
    return found


def link_loads(
    problem: Problem, workload: Workload, choice: Choice, room: Room
) -> Iterator[tuple[tuple[str, str], Fraction, Fraction]]:
    """Yield (hop, load with everybody else's, limit) in bits per second for each hop that a choice uses."""
    own: dict[tuple[str, str], Fraction] = {}
    for edge, route in routed(workload, choice):
        for hop in route.hops:
            own[hop] = own.get(hop, Fraction(0)) + workload.rate * edge.share * edge.bytes * 8
    for hop, load in sorted(own.items()):
        limit = problem.network.wires[hop].bandwidth * HOP_LIMIT
        yield hop, load + room.hops.get(hop, Fraction(0)), limit


def added_cost(workload: Workload, choice: Choice, room: Room) -> Fraction:
    """Return what a workload's choice costs more per hour than what others take already."""
    own: dict[PoolKey, Fraction] = {}
    cost, pools = Fraction(0), {}
    for part in choice.parts:
        for stage in part.graph.stages:
            if (pool := part.options[stage.name].pool) is not None:
                pools[pool.key] = pool
                wanted = workload.stage_rate(stage) * part.fraction / workload.utilisation
                own[pool.key] = own.get(pool.key, Fraction(0)) + wanted
        for edge, route in routed(workload, part):
            cost += egress_per_hour(workload.rate * edge.share * part.fraction, edge.bytes, route.price)
    for key, wanted in own.items():
        other = room.pool(key)
        there, throughput = other.wanted if other else Fraction(0), pools[key].throughput
        cost += (ceil((there + wanted) / throughput) - ceil(there / throughput)) * pools[key].per_hour
    return cost
