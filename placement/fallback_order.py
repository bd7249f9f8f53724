"""What is tried when a stage does not answer, in a fixed and permitted order: other pools, fallback stages, queues.

Every target has the `failover` verdict and permitted routes to its neighbours, which stay where they are. Nothing is
reserved for it, unless the workload survives losses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from placement.candidates import Option, PoolKey
from placement.graph import Edge, Graph
from placement.instance import Instance, Workload
from placement.pipeline import Stage
from placement.routes import Route
from placement.solution import Choice, latency_us, routed
from sites.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Target:
    """One place that takes over, with the flows that then run to and from it."""

    stage: str
    option: Option
    is_queue: bool
    flows: tuple[tuple[Edge, Route], ...]


def orders(
    instance: Instance,
    workload: Workload,
    choice: Choice,
    running: Mapping[PoolKey, object],
    reserved: Collection[tuple[str, PoolKey]] = (),
) -> Iterator[tuple[str, list[Target]]]:
    """Yield (stage, targets) for each stage of a choice that has any.

    Args:
        running: the pools that have replicas.
        reserved: stages and the pools that keep room for them in some failure; they come first.
    """
    for stage in choice.graph.stages:
        found = _elsewhere(instance, workload, choice, stage, running)
        targets = [
            *sorted(found, key=lambda t: t.option.pool is None or (stage.name, t.option.pool.key) not in reserved),
            *_instead(workload, choice, stage, running),
        ]
        if targets:
            yield stage.name, targets


def _elsewhere(
    instance: Instance, workload: Workload, choice: Choice, stage: Stage, running: Collection[PoolKey]
) -> list[Target]:
    """Return the other running pools that may take over a stage, the nearest by latency first."""
    taken = choice.options[stage.name]
    found = []
    for option in workload.options[stage.name]:
        if option.pool is None or option.pool.key not in running or option.key == taken.key:
            continue
        if _may_take_over(instance, workload, stage, option):
            moved = Choice(choice.graph, {**choice.options, stage.name: option})
            target = _target(workload, moved, stage, option)
            if target is not None:
                found.append((latency_us(workload, moved), option.key, target))
    return [target for _, _, target in sorted(found, key=lambda entry: entry[:2])]


def _may_take_over(instance: Instance, workload: Workload, stage: Stage, option: Option) -> bool:
    label = workload.labels.stages[stage.name]
    site = instance.problem.sites[option.site]
    verdict = instance.rulings.stage(workload.pipeline, stage, label, site, workload.origin, failover=True)
    return verdict.outcome == Outcome.permit


def _instead(workload: Workload, choice: Choice, stage: Stage, running: Collection[PoolKey]) -> Iterator[Target]:
    """Yield the declared fallbacks of a stage, in order, each at its origin if it may run there, else by name."""
    by_name = {fallback.name: fallback for fallback in workload.pipeline.spec.fallbacks}
    for name in stage.fallback:
        graph = _with(workload, choice.graph, stage.name, name)
        if graph is None or not {s.name for s in graph.stages} <= {*choice.options, name}:
            continue
        home = workload.origin.name
        for option in sorted(workload.options[name], key=lambda o: (o.site != home, o.key)):
            if option.pool is None or option.pool.key in running:
                kept = {s.name: choice.options.get(s.name, option) for s in graph.stages}
                target = _target(workload, Choice(graph, {**kept, name: option}), by_name[name], option)
                if target is not None:
                    yield target
                    break


def _with(workload: Workload, graph: Graph, stage: str, fallback: str) -> Graph | None:
    wanted = {*graph.replaced, (stage, fallback)}
    return next((other for other in workload.graphs if set(other.replaced) == wanted), None)


def _target(workload: Workload, choice: Choice, stage: Stage, option: Option) -> Target | None:
    """Return the target, or None where a route is missing or the latency objective would not hold."""
    try:
        flows = tuple(way for way in routed(workload, choice) if stage.name in (way[0].source, way[0].target))
        within = workload.limit_us is None or latency_us(workload, choice) <= workload.limit_us
    except LookupError:
        return None
    return Target(stage.name, option, stage.task == "queue", flows) if within else None
