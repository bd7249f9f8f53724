"""What an engine hands back: one choice per workload, with the exact loads and costs that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from placement.candidates import Option, Pool, PoolKey
from placement.capacity import Demand, Place
from placement.cost import egress_per_hour
from placement.graph import Edge, Graph
from placement.instance import Instance, Workload
from placement.latency import slowest_us
from placement.routes import Hop, Route

HOP_LIMIT = Fraction(7, 10)
"""How much of a hop's bandwidth flows may fill in one direction."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How one workload is served: a graph (the declared one unless degraded) and an option for each of its stages."""

    graph: Graph
    options: Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class Solution:
    """What an engine found.

    Attributes:
        choices: by workload id; who is missing is unplaced.
        packing: node and device of every replica.
        bound: cost per hour that no plan with as little unplaced, degraded and moved can beat.
        is_proven: whether every goal was proved optimal.
        work: a measure of effort that no clock enters.
    """

    choices: Mapping[str, Choice]
    packing: Mapping[PoolKey, tuple[Place, ...]]
    bound: Fraction
    is_proven: bool
    work: int


@dataclass(slots=True)
class PoolLoad:
    """What falls on one pool: requests per second, the same over each workload's utilisation, knowledge beside it."""

    pool: Pool
    load: Fraction = Fraction(0)
    wanted: Fraction = Fraction(0)
    stores: dict[str, int] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """Return how many whole replicas it takes."""
        return ceil(self.wanted / self.pool.throughput)

    @property
    def demand(self) -> Demand:
        """Return what it asks of nodes."""
        return Demand(self.pool, self.replicas, self.stores)


@dataclass(slots=True)
class Tally:
    """Everything that a set of choices takes, added up exactly.

    Attributes:
        hops: bits per second by hop and direction.
        egress: currency per hour.
    """

    pools: dict[PoolKey, PoolLoad] = field(default_factory=dict)
    hops: dict[Hop, Fraction] = field(default_factory=dict)
    egress: Fraction = Fraction(0)

    @property
    def pools_per_hour(self) -> Fraction:
        """Return what all replicas cost per hour."""
        return sum((entry.replicas * entry.pool.per_hour for entry in self.pools.values()), Fraction(0))

    @property
    def per_hour(self) -> Fraction:
        """Return what everything costs per hour."""
        return self.pools_per_hour + self.egress


def tally(instance: Instance, choices: Mapping[str, Choice]) -> Tally:
    """Return what a set of choices takes of pools and wires."""
    total = Tally()
    for name, choice in sorted(choices.items()):
        _add(total, instance.workloads[name], choice)
    return total


def _add(total: Tally, workload: Workload, choice: Choice) -> None:
    _add_stages(total, workload, choice)
    for edge, route in routed(workload, choice):
        rate = workload.rate * edge.share
        total.egress += egress_per_hour(rate, edge.bytes, route.price)
        for hop in route.hops:
            total.hops[hop] = total.hops.get(hop, Fraction(0)) + rate * edge.bytes * 8


def _add_stages(total: Tally, workload: Workload, choice: Choice) -> None:
    for stage in choice.graph.stages:
        pool = choice.options[stage.name].pool
        if pool is None:
            continue
        entry = total.pools.setdefault(pool.key, PoolLoad(pool))
        rate = workload.stage_rate(stage)
        entry.load += rate
        entry.wanted += rate / workload.utilisation
        if stage.knowledge is not None:
            entry.stores[stage.knowledge] = workload.stored[stage.knowledge]


def share_of(workload: Workload, choice: Choice, total: Tally) -> Fraction:
    """Return a workload's part of the cost per hour: of each pool by its part of the load, and its own egress."""
    own = Tally()
    _add(own, workload, choice)
    shares = (
        total.pools[key].replicas * entry.pool.per_hour * entry.wanted / total.pools[key].wanted
        for key, entry in own.pools.items()
    )
    return sum(shares, own.egress)


def routed(workload: Workload, choice: Choice) -> Iterator[tuple[Edge, Route]]:
    """Yield every flow of a choice with its route. Raises LookupError when an engine chose what no route joins."""
    for edge in choice.graph.edges:
        route = workload.route(edge, *workload.ends(edge, choice.options))
        if route is None:
            raise LookupError(f"{workload.id}: no permitted route for {edge.source} to {edge.target}")
        yield edge, route


def latency_us(workload: Workload, choice: Choice) -> Fraction:
    """Return the latency of a choice's slowest path, in microseconds."""
    times = {name: workload.stage_time(option) for name, option in choice.options.items()}
    ways = {(edge.source, edge.target): route for edge, route in routed(workload, choice)}
    return slowest_us(choice.graph, times, ways)
