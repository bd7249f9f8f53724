"""The one door of planning: a problem in, a plan out. It reads no file, no clock, and changes nothing."""

from __future__ import annotations

from placement import exact
from placement.assembly import assemble
from placement.causes import reasons
from placement.errors import PlacementError
from placement.instance import instance_of
from placement.model import Current, Move
from placement.plan import Plan
from placement.problem import Problem


def plan(problem: Problem, *, current: Plan | None = None) -> Plan:
    """Return the plan of a problem: residency always, then least unplaced, least degraded, least cost.

    Args:
        current: the plan that runs now; with it, moves are fewest before cost is least.

    Raises PlacementError when the solver fails.
    """
    instance = instance_of(problem)
    solution = exact.solve(instance, current=None if current is None else places(current))
    if solution is None:
        raise PlacementError("the solver found no plan, not even an empty one; please report the fleet")
    return assemble(instance, solution, reasons(instance, solution.choices), exact.NAME)


def places(plan: Plan) -> Current:
    """Return where each stage of each workload of a plan is: at one place, or at several where it is split."""
    found: dict[str, dict[str, set[Move]]] = {}
    for workload in plan.workloads:
        stages = found.setdefault(workload.id, {})
        for stage in (stage for assignment in workload.assignments for stage in assignment.stages):
            place = (stage.site, stage.model or "", stage.variant or "", stage.hardware or "")
            stages.setdefault(stage.stage, set()).add(place)
    return found
