"""Which limit a found solution breaks, in exact arithmetic: solvers compute with floats, plans do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from placement.candidates import PoolKey
from placement.capacity import Demand, Place, pack
from placement.domains import domain_of, most_at
from placement.instance import Instance, Workload
from placement.losses import after
from placement.solution import HOP_LIMIT, Choice, Failure, Tally, is_touched, latency_us, tally, tally_after


def too_slow(instance: Instance, choices: Mapping[str, Choice], failures: Iterable[Failure]) -> Iterator[str]:
    """Yield each workload that misses its latency objective, in normal running or after a loss."""
    for name, choice in choices.items():
        if _is_late(instance.workloads[name], choice):
            yield name
    for failure in failures:
        for name, choice in failure.choices.items():
            if _is_late(after(instance, instance.workloads[name], failure.loss), choice):
                yield name


def _is_late(workload: Workload, choice: Choice) -> bool:
    return workload.limit_us is not None and latency_us(workload, choice) > workload.limit_us


def are_wires_full(instance: Instance, total: Tally) -> bool:
    """Return whether more flows over some hop than it may carry."""
    wires = instance.problem.network.wires
    return any(load > wires[hop].bandwidth * HOP_LIMIT for hop, load in total.hops.items())


def concentration(instance: Instance, choices: Mapping[str, Choice]) -> dict[tuple[str, int, str | None], Fraction]:
    """Return requests per second by pipeline, place of one of its `spread` rules, and domain."""
    problem = instance.problem
    served: dict[tuple[str, int, str | None], Fraction] = {}
    for name, choice in choices.items():
        workload = instance.workloads[name]
        for index, spread in enumerate(workload.pipeline.spec.spread):
            for part in choice.parts:
                if (option := part.options.get(spread.stage)) is not None:
                    key = (workload.pipeline.name, index, domain_of(problem.sites[option.site], spread.by))
                    served[key] = served.get(key, Fraction(0)) + workload.rate * part.fraction
    return served


def is_concentrated(instance: Instance, choices: Mapping[str, Choice]) -> bool:
    """Return whether some domain serves more of a pipeline than its `spread` allows."""
    problem = instance.problem
    for (name, index, domain), rate in concentration(instance, choices).items():
        pipeline = problem.pipelines[name]
        if domain is None or rate > most_at(pipeline, pipeline.spec.spread[index], problem.sites):
            return True
    return False


def is_overfull(instance: Instance, choices: Mapping[str, Choice], failures: Iterable[Failure]) -> bool:
    """Return whether wires or domains take too much, in normal running or after a loss."""
    if are_wires_full(instance, tally(instance, choices)) or is_concentrated(instance, choices):
        return True
    for failure in failures:
        left = {n: c for n, c in choices.items() if not is_touched(instance.workloads[n], c, failure.loss)}
        if are_wires_full(instance, tally_after(instance, choices, failure)):
            return True
        if is_concentrated(instance, left | dict(failure.choices)):
            return True
    return False


def packed(total: Tally, found: Mapping[PoolKey, Sequence[Place]]) -> dict[PoolKey, tuple[Place, ...]] | None:
    """Return a place for every replica, as `found` where first fit fails; None when nodes do not hold them."""
    places, overfull = laid(total, found)
    return None if overfull else places


def laid(
    total: Tally, found: Mapping[PoolKey, Sequence[Place]]
) -> tuple[dict[PoolKey, tuple[Place, ...]], set[tuple[str, str]]]:
    """Return a place for every replica, as `found` where first fit fails, and the groups that do not hold theirs."""
    groups: dict[tuple[str, str], list[Demand]] = {}
    for key, load in total.pools.items():
        groups.setdefault((key.site, key.hardware), []).append(load.demand)
    places: dict[PoolKey, tuple[Place, ...]] = {}
    overfull = set()
    for where, demands in sorted(groups.items()):
        held = pack(demands[0].pool.group, demands, found)
        if held is None:
            overfull.add(where)
        else:
            places |= held
    return places, overfull
