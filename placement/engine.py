"""The one door of planning: a problem in, a plan out. It reads no file, no clock, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from placement import large
from placement.assembly import assemble
from placement.errors import PlacementError
from placement.exact import engine as exact
from placement.exact.faults import packed
from placement.exact.model import Current, Move
from placement.exact.reach import is_small
from placement.explanation.causes import Reason, kinds
from placement.explanation.repairs import explanations
from placement.explanation.second_look import second_look
from placement.instance import Instance, instance_of
from placement.plan import Plan
from placement.problem import Problem
from placement.solution import Solution, tally
from placement.watch import Progress, Watch


def plan(
    problem: Problem,
    *,
    current: Plan | None = None,
    rebalance: float | None = None,
    watch: Watch | None = None,
    is_explained: bool = True,
) -> Plan:
    """Return the plan of a problem: residency always, then least unplaced, least degraded, least cost.

    Args:
        current: the plan that runs now; with it, moves are fewest before cost is least.
        rebalance: percent of the cost that more moves than the fewest must save, all together, to be made.
        watch: who looks on, and may stop it; then the best plan so far is returned.
        is_explained: say why workloads are unplaced or degraded; who only compares plans need not know.

    Raises PlacementError when the solver fails, KeyboardInterrupt when it is stopped before there is any plan.
    """
    watch = watch or Watch()
    instance = instance_of(problem)
    held = None if current is None else places(current)
    name, solve = (exact.NAME, _proven) if is_small(problem) else (large.NAME, _searched)
    solution = looked_again(instance, solve(instance, held, watch))
    if held is not None and rebalance is not None and not watch.is_stopped:
        solution = cheaper(instance, solution, looked_again(instance, solve(instance, None, watch)), rebalance)
    watch.show(Progress("explaining", 0.0))
    reasons = _reasons(instance, solution, watch, is_explained=is_explained)
    if solution.impossible is not None and all(reason.kind == "impossible" for reason in reasons.values()):
        solution = replace(solution, bound_over="all")  # nobody could be served better: there is no other set
    return assemble(instance, solution, reasons, name)


def looked_again(instance: Instance, solution: Solution) -> Solution:
    """Return a solution with all that a search missed, or a proof that was stopped did not reach, and that still fits.

    The bound stays one: it holds for all plans that serve those who were served, and so for those that serve more.
    """
    if solution.is_proven or solution.failures:
        return solution
    choices = second_look(instance, solution.choices, solution.impossible or frozenset())
    if choices == solution.choices:
        return solution
    packing = packed(tally(instance, choices), solution.packing)
    return solution if packing is None else replace(solution, choices=choices, packing=packing)


def _reasons(instance: Instance, solution: Solution, watch: Watch, *, is_explained: bool) -> Mapping[str, Reason]:
    """Return why workloads are lacking; of a searched plan the kind alone, and `explain` finds the causes of one."""
    if is_explained and solution.impossible is None:
        return explanations(instance, solution.choices, solution.failures, lambda: watch.is_stopped)
    return kinds(instance, solution.choices, solution.impossible or frozenset(), lambda: watch.is_stopped)


def _searched(instance: Instance, held: Current | None, watch: Watch) -> Solution:
    return large.solve(instance, current=held, watch=watch)


def _proven(instance: Instance, held: Current | None, watch: Watch) -> Solution:
    solution = exact.solve(instance, current=held, watch=watch)
    if solution is None:
        raise PlacementError("the solver found no plan, not even an empty one; please report the fleet")
    return solution


def cheaper(instance: Instance, stays: Solution, moves: Solution, percent: float) -> Solution:
    """Return the one that moves when it serves as well and saves more than so many percent of the cost of staying."""
    if _lack(instance, moves) > _lack(instance, stays):
        return stays
    before, after = (tally(instance, one.choices, one.failures).per_hour for one in (stays, moves))
    return moves if after < before * (1 - Fraction(str(percent)) / 100) else stays


def _lack(instance: Instance, solution: Solution) -> tuple[Fraction, Fraction]:
    """Return the priority-weight of who is unplaced, and of who is degraded."""
    choices, found = solution.choices, instance.workloads.values()
    unplaced = (workload.priority for workload in found if workload.id not in choices)
    degraded = (workload.priority for workload in found if workload.id in choices and choices[workload.id].is_degraded)
    return sum(unplaced, Fraction(0)), sum(degraded, Fraction(0))


def places(plan: Plan) -> Current:
    """Return where each stage of each workload of a plan is: at one place, or at several where it is split."""
    found: dict[str, dict[str, set[Move]]] = {}
    for workload in plan.workloads:
        stages = found.setdefault(workload.id, {})
        for stage in (stage for assignment in workload.assignments for stage in assignment.stages):
            place = (stage.site, stage.model or "", stage.variant or "", stage.hardware or "")
            stages.setdefault(stage.stage, set()).add(place)
    return found
