"""The proven optimum: one solve per goal, in their order, for each group of workloads that share anything.

Goals are solved in turn and each is then held by a row, without penalties. Every solution is verified in exact
arithmetic; what only a float allows is cut off and the goal is solved again. Losses that have to be survived enter the
model when what a solution reserves is not enough for them: one that the others leave standing is the optimum under all.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from placement.candidates import PoolKey
from placement.capacity import Place
from placement.errors import PlacementError
from placement.exact import twins
from placement.exact.components import components
from placement.exact.faults import packed
from placement.exact.highs import Solved, StoppedError
from placement.exact.lightness import Lightening
from placement.exact.lookout import SERVICE, Lookout
from placement.exact.model import Current, possible
from placement.exact.run import Run, settled, whole
from placement.exact.staying import staying
from placement.instance import Instance
from placement.losses import Loss
from placement.solution import Choice, Failure, Solution, tally
from placement.watch import Watch

__all__ = ["NAME", "Current", "can_all_be_placed", "components", "solve"]

NAME = "exact"
COST_SCALE = 1000
"""The dearest column of the cost goal becomes this, so that relative tolerances mean the same in every currency."""


def solve(
    instance: Instance, *, current: Current | None = None, must: Collection[str] = (), watch: Watch | None = None
) -> Solution | None:
    """Return the optimum of an instance, or None when a workload in `must` cannot be placed.

    Args:
        current: where stages are now; when given, moves are fewest before cost is least.
        must: ids of workloads that may not stay unplaced.
        watch: who looks on, and may stop it. What is solved by then stays; of the component in hand the best solution
            so far is taken; those not reached stay where they are now, or are unplaced.
    """
    whole_plan = _Whole()
    lookout = Lookout(watch or Watch(), len(instance.workloads))
    alike: dict[Hashable, tuple[list[str], Solution]] = {}
    for members in components(instance):
        likeness = twins.likeness(instance, members, current, must)
        if likeness in alike:
            found: Solution | None = twins.as_twin(instance, members, *alike[likeness])
        else:
            found = _solve_or_stay(instance, members, current, must, lookout)
        if found is None:
            return None
        if likeness is not None:
            alike.setdefault(likeness, (members, found))
        whole_plan.add(found)
        lookout.count(len(members), found, tally(instance, found.choices, found.failures).per_hour)
    return whole_plan.solution


@dataclass(slots=True)
class _Whole:
    """The solutions of all components so far, as one."""

    choices: dict[str, Choice] = field(default_factory=dict)
    packing: dict[PoolKey, tuple[Place, ...]] = field(default_factory=dict)
    failures: dict[Loss, dict[str, Choice]] = field(default_factory=dict)
    _rest: Solution = field(default_factory=lambda: Solution({}, {}, Fraction(0), True, 0))

    def add(self, found: Solution) -> None:
        """Add the solution of a component."""
        self.choices |= found.choices
        self.packing |= found.packing
        for failure in found.failures:
            self.failures.setdefault(failure.loss, {}).update(failure.choices)
        before = self._rest
        self._rest = replace(
            before,
            bound=before.bound + found.bound,
            is_proven=before.is_proven and found.is_proven,
            work=before.work + found.work,
            bound_over="all" if (before.bound_over, found.bound_over) == ("all", "all") else "set",
        )

    @property
    def solution(self) -> Solution:
        """Return all of it."""
        failures = tuple(Failure(loss, self.failures[loss]) for loss in sorted(self.failures, key=str))
        return replace(self._rest, choices=self.choices, packing=self.packing, failures=failures)


def can_all_be_placed(instance: Instance) -> bool:
    """Return whether every workload of an instance can be placed at once, at whatever cost."""
    for workload in instance.workloads.values():
        if all(possible(workload, graph) is None for graph in workload.graphs):
            return False
    for members in components(instance) if len(instance.workloads) > 1 else [list(instance.workloads)]:
        if settled(instance, members, set(members), lambda run: run.minimise({}, Fraction(1))) is None:
            return False
    return True


def _solve_or_stay(
    instance: Instance, members: Collection[str], current: Current | None, must: Collection[str], lookout: Lookout
) -> Solution | None:
    """Return the solution of a component; one that somebody stopped before there was any stays as it is."""
    if not lookout.is_stopped:
        try:
            return _solve_component(instance, members, current, must, lookout)
        except StoppedError:
            pass
    return staying(instance, members, current or {})


def _solve_component(
    instance: Instance, members: Collection[str], current: Current | None, must: Collection[str], lookout: Lookout
) -> Solution | None:
    workloads = [instance.workloads[name] for name in members]
    if all(possible(workload, graph) is None for workload in workloads for graph in workload.graphs):
        return None if any(name in must for name in members) else Solution({}, {}, Fraction(0), True, 0)
    reached = settled(instance, members, must, lambda run: _in_turn(run, current, lookout))
    if reached is None:
        return None
    run, solved, failures = reached
    choices, _ = run.choices(solved)
    packing = packed(tally(instance, choices, failures), run.model.read_places(solved.values))
    if packing is None:
        raise PlacementError("replicas that were counted do not lie on their nodes; please report the fleet")
    lightening = Lightening(instance, choices, failures, packing, current or {})
    if not lookout.is_stopped:
        lightening.lighten()
    choices, failures, packing = lightening.choices, lightening.failures, lightening.packing
    cost = tally(instance, choices, failures).per_hour
    # A proved optimum is one to the tolerance of the goal (1e-6); only an unproved one leaves a bound apart from it.
    bound = cost if run.is_proven else min(cost, Fraction(max(0.0, solved.bound)) / _scale(run))
    found = Solution(choices, packing, bound, run.is_proven, run.work, failures)
    return found if run.is_service_proven else replace(found, bound_over="set")


def _in_turn(run: Run, current: Current | None, lookout: Lookout) -> Solved | None:
    """Solve every goal in turn, and hold each; when stopped, return the last that holds, with a bound of nothing."""
    goals = [run.model.unplaced_goal, run.model.degraded_goal]
    if current is not None:
        goals.append(run.model.moves_goal(current))
    best: Solved | None = None
    try:
        for phase, goal in zip(SERVICE, goals, strict=False):
            if goal:
                best = run.minimise(goal, whole(goal.values()), lookout.of_service(phase))
                if best is None:
                    return None
                if best.is_stopped:
                    raise StoppedError
                run.hold(goal, best)
        run.is_service_proven, scale = run.is_proven, _scale(run)
        unplaced = 0 if best is None else run.unplaced(best)
        return run.minimise(run.model.cost_goal, scale, lookout.of_cost(scale, unplaced))
    except StoppedError:
        if best is None:
            raise
        run.is_proven = run.is_service_proven = False
        return replace(best, bound=0.0)


def _scale(run: Run) -> Fraction:
    return Fraction(COST_SCALE) / (max(run.model.cost_goal.values(), default=Fraction(0)) or 1)
