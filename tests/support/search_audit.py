"""Weighs what a search found in exact arithmetic, from the objects of the exact engine: nothing of the kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction

from placement.candidates import PoolKey
from placement.capacity import Node, Place
from placement.instance import Instance, Workload
from placement.search.compiled import Compiled
from placement.search.decoding import decode
from placement.search.engine import Found
from placement.search.layout import NOWHERE, PRIORITY
from placement.solution import HOP_LIMIT, Choice, Tally, latency_us, tally
from sites.site import Hardware


def faults(compiled: Compiled, instance: Instance, found: Found) -> list[str]:
    """Return everything that is wrong with what a search found."""
    choices, packing = decode(compiled, instance, found.placing, found.packing)
    total = tally(instance, choices)
    wrong = [*_of_workloads(instance, choices), *_of_pools(total, packing), *_of_domains(compiled, found)]
    limits = instance.problem.network.wires
    wrong += [f"{hop} is full" for hop, load in total.hops.items() if load > limits[hop].bandwidth * HOP_LIMIT]
    if abs(float(total.per_hour) - found.cost) > 1e-6 * (1 + found.cost):
        wrong.append(f"cost {found.cost}, not {float(total.per_hour)}")
    unplaced, degraded = weights(instance, choices)
    if (found.unplaced_weight, found.degraded_weight) != (unplaced * PRIORITY, degraded * PRIORITY):
        wrong.append(f"weights {found.unplaced_weight}, {found.degraded_weight}, not {unplaced}, {degraded}")
    return wrong


def weights(instance: Instance, choices: Mapping[str, Choice]) -> tuple[Fraction, Fraction]:
    """Return the priority that is unplaced, and that is degraded."""
    out = (w.priority for name, w in instance.workloads.items() if name not in choices)
    less = (instance.workloads[name].priority for name, choice in choices.items() if choice.is_degraded)
    return sum(out, Fraction(0)), sum(less, Fraction(0))


def _of_workloads(instance: Instance, choices: Mapping[str, Choice]) -> Iterator[str]:
    for name, choice in choices.items():
        workload = instance.workloads[name]
        if set(choice.options) != {stage.name for stage in choice.graph.stages}:
            yield f"{name} has {set(choice.options)}"
        limit = workload.limit_us
        if limit is not None and latency_us(workload, choice) > limit:
            yield f"{name} takes {latency_us(workload, choice)} us of {limit}"
        yield from _of_options(workload, choice)


def _of_options(workload: Workload, choice: Choice) -> Iterator[str]:
    for stage, option in choice.options.items():
        if option not in workload.options[stage]:
            yield f"{workload.id}: {stage} may not be at {option.site}"


def _of_pools(total: Tally, packing: Mapping[PoolKey, tuple[Place, ...]]) -> Iterator[str]:
    nodes: dict[tuple[str, str, int], Node] = {}
    for key, load in total.pools.items():
        places = packing.get(key, ())
        if len(places) != load.replicas:
            yield f"{key} has {len(places)} replicas of {load.replicas}"
        group: Hardware = load.pool.group
        for node, device in places:
            here = nodes.setdefault((key.site, key.hardware, node), Node(group))
            if node >= group.count or not here.fits(load.demand, device):
                yield f"{key} does not fit node {node}"
            else:
                here.take(load.demand, device)
    yield from (f"{key} serves nobody" for key in packing if key not in total.pools)


def _of_domains(compiled: Compiled, found: Found) -> Iterator[str]:
    works, shapes, spreads = compiled.layout.works, compiled.layout.shapes, compiled.layout.spreads
    taken: Counter[tuple[int, int]] = Counter()
    for work, shape in enumerate(found.placing.shape):
        if shape == NOWHERE:
            continue
        first, pipeline = int(works.first_slot[work]), works.pipeline[work]
        slots = shapes.stage_slot[shapes.first_stage[shape] : shapes.first_stage[shape + 1]].tolist()
        sites = {slot: found.placing.site[first + slot] for slot in slots}
        for row in range(len(spreads.slot)):
            if spreads.pipeline[row] == pipeline and spreads.slot[row] in sites:
                taken[row, int(spreads.domain[spreads.by[row], sites[spreads.slot[row]]])] += round(
                    works.rate[work] * 1e9
                )
        for row in range(len(spreads.apart_slot)):
            a, b = sites.get(spreads.apart_slot[row]), sites.get(spreads.apart_other[row])
            domain = spreads.domain[spreads.apart_by[row]]
            if spreads.apart_pipeline[row] == pipeline and None not in (a, b) and domain[a] == domain[b]:
                yield f"{compiled.workloads[work]}: two stages share a domain"
    yield from (f"limit {row} is passed" for (row, _), load in taken.items() if load > spreads.most[row])
