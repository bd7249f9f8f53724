"""The one door of planning: a problem in, a plan out. It reads no file, no clock, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from placement import exact
from placement.assembly import assemble
from placement.causes import Reason
from placement.errors import PlacementError
from placement.instance import Instance, instance_of
from placement.model import Current, Move
from placement.plan import Plan
from placement.problem import Problem
from placement.repairs import explanations
from placement.solution import Solution, tally
from placement.watch import Watch


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
    solution = _solved(instance, held, watch)
    if held is not None and rebalance is not None and not watch.is_stopped:
        solution = _cheaper(instance, solution, _solved(instance, None, watch), rebalance)
    return assemble(instance, solution, _reasons(instance, solution, is_explained=is_explained), exact.NAME)


def _reasons(instance: Instance, solution: Solution, *, is_explained: bool) -> Mapping[str, Reason]:
    if is_explained:
        return explanations(instance, solution.choices, solution.failures)
    return dict.fromkeys(instance.workloads, Reason("crowded", (), is_complete=False))


def _solved(instance: Instance, held: Current | None, watch: Watch) -> Solution:
    solution = exact.solve(instance, current=held)
    if solution is None:
        raise PlacementError("the solver found no plan, not even an empty one; please report the fleet")
    return solution


def _cheaper(instance: Instance, stays: Solution, moves: Solution, percent: float) -> Solution:
    """Return the one that moves when it saves more than so many percent of the cost of the one that stays."""
    before, after = (tally(instance, one.choices, one.failures).per_hour for one in (stays, moves))
    return moves if after < before * (1 - Fraction(str(percent)) / 100) else stays


def places(plan: Plan) -> Current:
    """Return where each stage of each workload of a plan is: at one place, or at several where it is split."""
    found: dict[str, dict[str, set[Move]]] = {}
    for workload in plan.workloads:
        stages = found.setdefault(workload.id, {})
        for stage in (stage for assignment in workload.assignments for stage in assignment.stages):
            place = (stage.site, stage.model or "", stage.variant or "", stage.hardware or "")
            stages.setdefault(stage.stage, set()).add(place)
    return found
