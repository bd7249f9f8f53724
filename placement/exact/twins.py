"""Sites that have only themselves, and are alike: one of them is solved, and the others are served in the same way."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace

from placement.candidates import Option
from placement.exact.model import Current
from placement.instance import Instance, Workload
from placement.solution import Choice, Solution


def likeness(
    instance: Instance, members: Sequence[str], current: Current | None, must: Collection[str]
) -> Hashable | None:
    """Return what a group of workloads has in common with its twins; None when it has any place but its one origin.

    Everything that an engine looks at is in it: machines with their prices, pipelines, rates, options, current places.
    """
    workloads = [instance.workloads[name] for name in members]
    home = workloads[0].origin
    entries: list[Hashable] = []
    for workload in workloads:
        places = [(stage, option) for stage, options in workload.options.items() for option in options]
        if workload.origin.name != home.name or any(option.site != home.name for _, option in places):
            return None
        here = {} if current is None else current.get(workload.id, {})
        if any(place[0] != home.name for where in here.values() for place in where):
            return None
        moves = tuple((stage, tuple(sorted(place[1:] for place in where))) for stage, where in sorted(here.items()))
        options = tuple((stage, option.key[1:]) for stage, option in places)
        shapes = tuple(graph.replaced for graph in workload.graphs)
        entries.append((workload.pipeline.name, workload.rate, shapes, options, moves, workload.id in must))
    return (current is None, home.spec.hardware, tuple(entries))


def as_twin(instance: Instance, members: Sequence[str], others: Sequence[str], solution: Solution) -> Solution:
    """Return the solution of a group from that of its twin, whose workloads stand in the same order."""
    home = instance.workloads[members[0]].origin.name
    choices = {}
    for name, other in zip(members, others, strict=True):
        if other in solution.choices:
            workload, choice = instance.workloads[name], solution.choices[other]
            first, *beside = (_moved(workload, part) for part in choice.parts)
            choices[name] = replace(first, beside=tuple(beside))
    packing = {replace(key, site=home): places for key, places in solution.packing.items()}
    return replace(solution, choices=choices, packing=packing, work=0)


def _moved(workload: Workload, part: Choice) -> Choice:
    def there(stage: str, option: Option) -> Option:
        return next(other for other in workload.options[stage] if other.key[1:] == option.key[1:])

    graph = next(graph for graph in workload.graphs if graph.replaced == part.graph.replaced)
    return Choice(graph, {stage: there(stage, option) for stage, option in part.options.items()}, part.fraction)
