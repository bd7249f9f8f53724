"""The proven optimum: one solve per goal, in their order, for each group of workloads that share anything.

Goals are solved in turn and each is then held by a row, without penalties. Every solution is verified in exact
arithmetic; what only a float allows is cut off and the goal is solved again. Losses that have to be survived enter the
model when what a solution reserves is not enough for them: one that the others leave standing is the optimum under all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from placement.candidates import PoolKey
from placement.capacity import Place
from placement.errors import PlacementError
from placement.exact import twins
from placement.exact.aftermath import Aftermath
from placement.exact.components import components
from placement.exact.faults import is_overfull, laid, packed, too_slow
from placement.exact.highs import Solved
from placement.exact.lightness import Lightening
from placement.exact.model import Current, Model, as_floats, chosen, possible, read
from placement.exact.recovery import recover
from placement.exact.serving import Serving
from placement.instance import Instance
from placement.losses import Loss, survives
from placement.solution import Choice, Failure, Solution, exposed, tally

__all__ = ["NAME", "Current", "can_all_be_placed", "components", "solve"]

NAME = "exact"
MOST_CUTS = 50
MOST_NODES_OF_LOSSES = 1000
"""Fewer nodes for a model with losses, of which each costs more: what is not proved then has a bound all the same."""

COST_SCALE = 1000
"""The dearest column of the cost goal becomes this, so that relative tolerances mean the same in every currency."""


def solve(instance: Instance, *, current: Current | None = None, must: Collection[str] = ()) -> Solution | None:
    """Return the optimum of an instance, or None when a workload in `must` cannot be placed.

    Args:
        current: where stages are now; when given, moves are fewest before cost is least.
        must: ids of workloads that may not stay unplaced.
    """
    choices: dict[str, Choice] = {}
    packing: dict[PoolKey, tuple[Place, ...]] = {}
    failures: dict[Loss, dict[str, Choice]] = {}
    bound, is_proven, work = Fraction(0), True, 0
    alike: dict[Hashable, tuple[list[str], Solution]] = {}
    for members in components(instance):
        likeness = twins.likeness(instance, members, current, must)
        if likeness in alike:
            found: Solution | None = twins.as_twin(instance, members, *alike[likeness])
        else:
            found = _solve_component(instance, members, current, must)
        if found is None:
            return None
        if likeness is not None:
            alike.setdefault(likeness, (members, found))
        choices |= found.choices
        packing |= found.packing
        for failure in found.failures:
            failures.setdefault(failure.loss, {}).update(failure.choices)
        bound, is_proven, work = bound + found.bound, is_proven and found.is_proven, work + found.work
    together = tuple(Failure(loss, failures[loss]) for loss in sorted(failures, key=str))
    return Solution(choices, packing, bound, is_proven, work, together)


def can_all_be_placed(instance: Instance) -> bool:
    """Return whether every workload of an instance can be placed at once, at whatever cost."""
    for workload in instance.workloads.values():
        if all(possible(workload, graph) is None for graph in workload.graphs):
            return False
    for members in components(instance) if len(instance.workloads) > 1 else [list(instance.workloads)]:
        if _settled(instance, members, set(members), lambda run: run.minimise({}, Fraction(1))) is None:
            return False
    return True


class _TooRoughError(Exception):
    """Replicas within all nodes of some groups together do not lie on them one by one."""

    def __init__(self, groups: set[tuple[str, str]]) -> None:
        super().__init__(groups)
        self.groups = groups


@dataclass(slots=True)
class _Run:
    """One component's solves so far, under the losses that are known to matter."""

    model: Model
    aftermaths: list[Aftermath]
    work: int = 0
    is_proven: bool = True
    cuts: int = 0

    @classmethod
    def of(
        cls,
        instance: Instance,
        members: Iterable[str],
        must: Collection[str],
        losses: Iterable[Loss],
        detailed: Collection[tuple[str, str]] = (),
    ) -> _Run:
        """Return the run of a component's model."""
        model = Model(instance, detailed=detailed)
        for name in members:
            model.add(instance.workloads[name], must=name in must)
        aftermaths = [Aftermath(model, loss) for loss in losses]
        if aftermaths:
            model.programme.most_nodes = MOST_NODES_OF_LOSSES
        for aftermath in aftermaths:
            aftermath.add()
        model.close()
        return cls(model, aftermaths)

    def minimise(self, goal: Mapping[int, Fraction], scale: Fraction) -> Solved | None:
        """Solve for a goal until what is found also holds exactly."""
        while True:
            solved = self.model.programme.minimise(as_floats(goal, scale))
            if solved is None:
                return None
            self.work += solved.work
            self.is_proven = self.is_proven and solved.is_optimal
            wrong = self._wrong(solved)
            if not wrong:
                return solved
            self.cuts += 1
            if self.cuts > MOST_CUTS:
                raise PlacementError(
                    "the solver's tolerances and the exact limits do not meet; please report the fleet"
                )
            # Other fractions at the same places might do: a cut cannot tell them apart, and nothing is proved then.
            self.is_proven = self.is_proven and not any(serving.is_split for serving in wrong)
            columns = chosen(wrong, solved.values)
            self.model.programme.row([(column, 1.0) for column in columns], upper=len(columns) - 1.0)

    def hold(self, goal: Mapping[int, Fraction], solved: Solved) -> None:
        """Let no later goal undo this one; weights are whole numbers here, so half of one parts better from equal."""
        reached = sum((value for column, value in goal.items() if solved.values[column] > 0.5), Fraction(0))
        scale = _whole(goal.values())
        self.model.programme.row(
            [(column, float(value * scale)) for column, value in goal.items()], upper=float(reached * scale) + 0.5
        )

    def choices(self, solved: Solved) -> tuple[dict[str, Choice], tuple[Failure, ...]]:
        """Return what the solver found: choices, and those after each loss that touches somebody who survives."""
        found = ((aftermath.loss, read(aftermath.served, solved.values)) for aftermath in self.aftermaths)
        failures = tuple(Failure(loss, choices) for loss, choices in found if choices)
        return read(self.model.served, solved.values), failures

    def survived(self, solved: Solved) -> tuple[tuple[Failure, ...], set[Loss]]:
        """Return what happens after each loss that touches somebody who has to survive it, and the losses too many."""
        choices, failures = self.choices(solved)
        instance = self.model.instance
        held, modelled = tally(instance, choices, failures), {failure.loss: failure for failure in failures}
        lasting = {name: choice for name, choice in choices.items() if survives(instance.workloads[name])}
        losses = {loss for name, choice in lasting.items() for loss in exposed(instance.workloads[name], choice)}
        found, fatal = [], set()
        for loss in sorted(losses, key=str):
            failure = recover(instance, choices, held, loss) or modelled.get(loss)
            if failure is None:
                fatal.add(loss)
            else:
                found.append(failure)
        return tuple(found), fatal

    def _wrong(self, solved: Solved) -> list[Serving]:
        """Return the servings that together break an exact limit; empty when all hold. Raises _TooRoughError."""
        instance = self.model.instance
        choices, failures = self.choices(solved)
        views = [self.model.served, *(aftermath.served for aftermath in self.aftermaths)]
        everywhere = [serving for view in views for servings in view.values() for serving in servings]
        for name in too_slow(instance, choices, failures):
            return [serving for serving in everywhere if serving.workload.id == name]
        if is_overfull(instance, choices, failures):
            return everywhere
        _, overfull = laid(tally(instance, choices, failures), self.model.read_places(solved.values))
        if rough := overfull.difference(self.model.detailed):
            raise _TooRoughError(rough)
        return everywhere if overfull else []


def _settled(
    instance: Instance, members: Collection[str], must: Collection[str], pursue: Callable[[_Run], Solved | None]
) -> tuple[_Run, Solved, tuple[Failure, ...]] | None:
    """Return a run whose solution every loss leaves standing, and what then happens; None when nothing is feasible."""
    losses: set[Loss] = set()
    detailed: set[tuple[str, str]] = set()
    work = 0
    while True:
        run = _Run.of(instance, members, must, sorted(losses), detailed)
        run.work = work
        try:
            solved = pursue(run)
        except _TooRoughError as rough:
            detailed |= rough.groups
            work = run.work
            continue
        if solved is None:
            return None
        failures, fatal = run.survived(solved)
        if not fatal:
            return run, solved, failures
        # What a lost site asks for is often enough for the links as well.
        losses |= {loss for loss in fatal if len(loss.lost) == 1} or fatal
        work = run.work


def _solve_component(
    instance: Instance, members: Collection[str], current: Current | None, must: Collection[str]
) -> Solution | None:
    workloads = [instance.workloads[name] for name in members]
    if all(possible(workload, graph) is None for workload in workloads for graph in workload.graphs):
        return None if any(name in must for name in members) else Solution({}, {}, Fraction(0), True, 0)
    found = _settled(instance, members, must, lambda run: _in_turn(run, current))
    if found is None:
        return None
    run, solved, failures = found
    choices, _ = run.choices(solved)
    packing = packed(tally(instance, choices, failures), run.model.read_places(solved.values))
    if packing is None:
        raise PlacementError("replicas that were counted do not lie on their nodes; please report the fleet")
    lightening = Lightening(instance, choices, failures, packing, current or {})
    lightening.lighten()
    choices, failures, packing = lightening.choices, lightening.failures, lightening.packing
    cost = tally(instance, choices, failures).per_hour
    # A proved optimum is one to the tolerance of the goal (1e-6); only an unproved one leaves a bound apart from it.
    bound = cost if run.is_proven else max(Fraction(0), min(cost, Fraction(solved.bound) / _scale(run)))
    return Solution(choices, packing, bound, run.is_proven, run.work, failures)


def _in_turn(run: _Run, current: Current | None) -> Solved | None:
    """Solve every goal in turn, and hold each."""
    goals = [run.model.unplaced_goal, run.model.degraded_goal]
    if current is not None:
        goals.append(run.model.moves_goal(current))
    for goal in goals:
        if goal:
            solved = run.minimise(goal, _whole(goal.values()))
            if solved is None:
                return None
            run.hold(goal, solved)
    return run.minimise(run.model.cost_goal, _scale(run))


def _scale(run: _Run) -> Fraction:
    return Fraction(COST_SCALE) / (max(run.model.cost_goal.values(), default=Fraction(0)) or 1)


def _whole(values: Iterable[Fraction]) -> Fraction:
    """Return the factor that makes all values whole numbers."""
    return Fraction(lcm(*(value.denominator for value in values)))
