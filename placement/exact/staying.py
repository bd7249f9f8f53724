"""What of a current plan still holds where nothing better was found in time: it stays where it is, or is unplaced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from placement.candidates import Option
from placement.domains import binding, domain_of
from placement.exact.faults import is_overfull, packed, too_slow
from placement.exact.model import Current, Move
from placement.instance import Instance, Workload
from placement.losses import survives
from placement.solution import Choice, Solution, routed, tally


def staying(instance: Instance, members: Collection[str], current: Current) -> Solution:
    """Return the solution in which workloads are where the current plan has them, if together they may be.

    Who survives losses is left out, because nothing is reserved for them, and so is who is split: the fractions are
    not in `current`.
    """
    here = {name: instance.workloads[name] for name in members if name in current}
    choices = {name: _stays(workload, current[name]) for name, workload in here.items()}
    kept = {n: c for n, c in choices.items() if c is not None and _is_apart(instance, here[n], c)}
    packing = None if _breaks(instance, kept) else packed(tally(instance, kept), {})
    if packing is None:
        kept, packing = {}, {}
    return Solution(kept, packing, Fraction(0), False, 0, (), "set")


def _is_apart(instance: Instance, workload: Workload, choice: Choice) -> bool:
    """Return whether stages that may not share a domain do not."""
    for rule in binding(workload.pipeline, choice.graph):
        domains = [domain_of(instance.problem.sites[choice.options[name].site], rule.by) for name in rule.stages]
        if None in domains or len(set(domains)) < len(domains):
            return False
    return True


def _breaks(instance: Instance, choices: Mapping[str, Choice]) -> bool:
    return any(too_slow(instance, choices, ())) or is_overfull(instance, choices, ())


def _stays(workload: Workload, stages: Mapping[str, Collection[Move]]) -> Choice | None:
    """Return the choice that has every stage where it is; None where that is no longer possible."""
    graph = next((g for g in workload.graphs if {stage.name for stage in g.stages} == set(stages)), None)
    if graph is None or survives(workload) or workload.pipeline.spec.split:
        return None
    options: dict[str, Option] = {}
    for stage, places in stages.items():
        here = [option for option in workload.options[stage] if option.key[:4] in places]
        if not here:
            return None
        options[stage] = here[0]
    choice = Choice(graph, options)
    try:
        list(routed(workload, choice))
    except LookupError:
        return None
    return choice
