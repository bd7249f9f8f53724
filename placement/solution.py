"""What an engine hands back: one choice per workload, with the exact loads and costs that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Literal

from placement.candidates import Option, Pool, PoolKey
from placement.capacity import Demand, Place
from placement.cost import egress_per_hour
from placement.graph import Edge, Graph, exact
from placement.instance import Instance, Workload
from placement.latency import slowest_us
from placement.losses import Loss, after, losses_on
from placement.network import Hop
from placement.routes import Route

NOTHING = Fraction(0)
HOP_LIMIT = Fraction(7, 10)
"""How much of a hop's bandwidth flows may fill in one direction."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How one workload is served: a graph (the declared one unless degraded) and an option for each of its stages.

    Attributes:
        fraction: of the workload's requests; below one only where the pipeline may be split.
        beside: how the other fractions are served, each without anything beside it.
    """

    graph: Graph
    options: Mapping[str, Option]
    fraction: Fraction = Fraction(1)
    beside: tuple[Choice, ...] = ()

    @property
    def parts(self) -> tuple[Choice, ...]:
        """Return every assignment of the workload, this one first."""
        return (self, *self.beside)

    @property
    def is_degraded(self) -> bool:
        """Return whether any fraction is served with a fallback."""
        return any(part.graph.replaced for part in self.parts)


@dataclass(frozen=True, slots=True)
class Failure:
    """How the workloads that survive a loss, and that it touches, are served then."""

    loss: Loss
    choices: Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Solution:
    """What an engine found.

    Attributes:
        choices: by workload id; who is missing is unplaced.
        packing: node and device of every replica.
        bound: cost per hour that no plan with as little unplaced, degraded and moved can beat.
        is_proven: whether every goal was proved optimal.
        work: a measure of effort that no clock enters.
        failures: what happens after each loss that touches a workload with `survive: 1`, in order.
        bound_over: whether the bound covers all plans, or those that serve the same workloads.
        impossible: ids of workloads that are lacking and proved to be so in an empty fleet; None when nobody looked.
    """

    choices: Mapping[str, Choice]
    packing: Mapping[PoolKey, tuple[Place, ...]]
    bound: Fraction
    is_proven: bool
    work: int
    failures: tuple[Failure, ...] = ()
    bound_over: Literal["all", "set"] = "all"
    impossible: frozenset[str] | None = None


@dataclass(slots=True)
class PoolLoad:
    """What falls on one pool: requests per second, the same over each workload's utilisation, knowledge beside it.

    Attributes:
        spare: replicas that it takes after the loss that asks most of it.
    """

    pool: Pool
    load: Fraction = Fraction(0)
    wanted: Fraction = Fraction(0)
    stores: dict[str, int] = field(default_factory=dict)
    spare: int = 0

    @property
    def replicas(self) -> int:
        """Return how many whole replicas it takes."""
        return max(ceil(self.wanted / self.pool.throughput), self.spare)

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
        standby: of each pool that some failure needs, who would then bring how much, over all failures.
    """

    pools: dict[PoolKey, PoolLoad] = field(default_factory=dict)
    hops: dict[Hop, Fraction] = field(default_factory=dict)
    egress: Fraction = Fraction(0)
    standby: dict[PoolKey, dict[str, Fraction]] = field(default_factory=dict)

    @property
    def pools_per_hour(self) -> Fraction:
        """Return what all replicas cost per hour."""
        return sum((entry.replicas * entry.pool.per_hour for entry in self.pools.values()), Fraction(0))

    @property
    def per_hour(self) -> Fraction:
        """Return what everything costs per hour."""
        return self.pools_per_hour + self.egress


def tally(instance: Instance, choices: Mapping[str, Choice], failures: Iterable[Failure] = ()) -> Tally:
    """Return what a set of choices takes of pools and wires; pools cover the failures too, wires and egress do not.

    After a loss, only what somebody is moved to is asked for more than normally: nothing else is added up again.
    """
    total, failures = Tally(), tuple(failures)
    for name, choice in sorted(choices.items()):
        _add(total, instance.workloads[name], choice)
    touched = _touched(instance, choices, {failure.loss for failure in failures}) if failures else {}
    for failure in failures:
        gone, moved = Tally(), Tally()
        for name in touched.get(failure.loss, ()):
            _add_pools(gone, instance.workloads[name], choices[name])
        for name, choice in failure.choices.items():
            _add_pools(moved, instance.workloads[name], choice)
            _stand_by(total, instance.workloads[name], choice)
        for key, entry in moved.pools.items():
            own = total.pools.setdefault(key, PoolLoad(entry.pool))
            less = gone.pools[key].wanted if key in gone.pools else NOTHING
            own.spare = max(own.spare, ceil((own.wanted - less + entry.wanted) / entry.pool.throughput))
            own.stores |= entry.stores
    return total


def taken(workload: Workload, choice: Choice) -> Tally:
    """Return what one workload takes."""
    total = Tally()
    _add(total, workload, choice)
    return total


def _touched(instance: Instance, choices: Mapping[str, Choice], losses: Collection[Loss]) -> dict[Loss, list[str]]:
    """Return who is touched by each of these losses."""
    found: dict[Loss, list[str]] = {}
    for name, choice in choices.items():
        workload = instance.workloads[name]
        for loss in {Loss((workload.origin.name,)), *exposed(workload, choice)}:
            if loss in losses:
                found.setdefault(loss, []).append(name)
    return found


def _stand_by(total: Tally, workload: Workload, choice: Choice) -> None:
    own = Tally()
    _add_pools(own, workload, choice)
    for key, entry in own.pools.items():
        who = total.standby.setdefault(key, {})
        who[workload.id] = who.get(workload.id, Fraction(0)) + entry.wanted


def tally_after(instance: Instance, choices: Mapping[str, Choice], failure: Failure) -> Tally:
    """Return what is taken after a loss: by all that it does not touch, and by those that survive it."""
    total = Tally()
    for name, choice in sorted(choices.items()):
        workload = instance.workloads[name]
        if name in failure.choices:
            _add(total, after(instance, workload, failure.loss), failure.choices[name])
        elif not is_touched(workload, choice, failure.loss):
            _add(total, workload, choice)
    return total


def is_touched(workload: Workload, choice: Choice, loss: Loss) -> bool:
    """Return whether a workload loses its origin, a stage or a flow; it then ends unless it survives."""
    return loss.takes(workload.origin.name) or loss in exposed(workload, choice)


def exposed(workload: Workload, choice: Choice) -> set[Loss]:
    """Return every loss, its origin's apart, that a choice does not outlive as it is."""
    home = workload.origin.name
    found = {Loss((option.site,)) for part in choice.parts for option in part.options.values()}
    found.update(loss for part in choice.parts for _, route in routed(workload, part) for loss in losses_on(route))
    return found - {Loss((home,))}


def _add_pools(total: Tally, workload: Workload, choice: Choice) -> None:
    for part in choice.parts:
        _add_stages(total, workload, part)


def _add(total: Tally, workload: Workload, choice: Choice) -> None:
    for part in choice.parts:
        _add_stages(total, workload, part)
        for edge, route in routed(workload, part):
            if len(route.sites) == 1:
                continue  # most flows of a large fleet stay where they are, and take no wire
            rate = _part(workload.rate, edge.share, part.fraction)
            total.egress += egress_per_hour(rate, edge.bytes, route.price)
            for hop in route.hops:
                total.hops[hop] = total.hops.get(hop, NOTHING) + rate * edge.bytes * 8


def _part(rate: Fraction, share: Fraction, fraction: Fraction) -> Fraction:
    """Return the product; a share or fraction with nothing below its line is one, and most are."""
    if share.denominator != 1:
        rate *= share
    return rate if fraction.denominator == 1 else rate * fraction


def _add_stages(total: Tally, workload: Workload, part: Choice) -> None:
    for stage in part.graph.stages:
        pool = part.options[stage.name].pool
        if pool is None:
            continue
        entry = total.pools.setdefault(pool.key, PoolLoad(pool))
        rate = _part(workload.rate, exact(stage.share), part.fraction)
        entry.load += rate
        entry.wanted += rate / workload.utilisation
        if stage.knowledge is not None:
            entry.stores[stage.knowledge] = workload.stored[stage.knowledge]


def routed(workload: Workload, part: Choice) -> Iterator[tuple[Edge, Route]]:
    """Yield every flow of one assignment with its route. Raises LookupError when no route joins what was chosen."""
    for edge in part.graph.edges:
        route = workload.route(edge, *workload.ends(edge, part.options))
        if route is None:
            raise LookupError(f"{workload.id}: no permitted route for {edge.source} to {edge.target}")
        yield edge, route


def latency_us(workload: Workload, choice: Choice) -> Fraction:
    """Return the latency of the slowest path of a choice's slowest part, in microseconds."""
    return max(_slowest_us(workload, part) for part in choice.parts)


def _slowest_us(workload: Workload, part: Choice) -> Fraction:
    times = {name: workload.stage_time(option) for name, option in part.options.items()}
    ways = {(edge.source, edge.target): route for edge, route in routed(workload, part)}
    return slowest_us(part.graph, times, ways)
