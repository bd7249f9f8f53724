"""One component's solves: every solution is verified in exact arithmetic, and every loss leaves it standing.

What only a float allows is cut off and the goal is solved again. Losses that have to be survived enter the model when
what a solution reserves is not enough for them: one that the others leave standing is the optimum under all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from placement.errors import PlacementError
from placement.exact.aftermath import Aftermath
from placement.exact.faults import is_overfull, laid, too_slow
from placement.exact.highs import Look, Solved
from placement.exact.model import Model, as_floats, chosen, read
from placement.exact.recovery import recover
from placement.exact.serving import Serving
from placement.instance import Instance
from placement.losses import Loss, survives
from placement.solution import Choice, Failure, exposed, tally

MOST_CUTS = 50
MOST_NODES_OF_LOSSES = 1000
"""Fewer nodes for a model with losses, of which each costs more: what is not proved then has a bound all the same."""


def whole(values: Iterable[Fraction]) -> Fraction:
    """Return the factor that makes all values whole numbers."""
    return Fraction(lcm(*(value.denominator for value in values)))


class _TooRoughError(Exception):
    """Replicas within all nodes of some groups together do not lie on them one by one."""

    def __init__(self, groups: set[tuple[str, str]]) -> None:
        super().__init__(groups)
        self.groups = groups


@dataclass(slots=True)
class Run:
    """One component's solves so far, under the losses that are known to matter.

    Attributes:
        is_service_proven: whether every goal before cost was; a bound on cost then covers all plans.
    """

    model: Model
    aftermaths: list[Aftermath]
    work: int = 0
    is_proven: bool = True
    is_service_proven: bool = True
    cuts: int = 0

    @classmethod
    def of(
        cls,
        instance: Instance,
        members: Iterable[str],
        must: Collection[str],
        losses: Iterable[Loss],
        detailed: Collection[tuple[str, str]] = (),
    ) -> Run:
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

    def minimise(self, goal: Mapping[int, Fraction], scale: Fraction, look: Look | None = None) -> Solved | None:
        """Solve for a goal until what is found also holds exactly. Raises StoppedError when `look` ends it before."""
        self.model.programme.look = look
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
        scale = whole(goal.values())
        self.model.programme.row(
            [(column, float(value * scale)) for column, value in goal.items()], upper=float(reached * scale) + 0.5
        )

    def unplaced(self, solved: Solved) -> int:
        """Return how many workloads a solution leaves out."""
        return sum(solved.values[column] > 0.5 for column in self.model.unplaced.values())

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


def settled(
    instance: Instance, members: Collection[str], must: Collection[str], pursue: Callable[[Run], Solved | None]
) -> tuple[Run, Solved, tuple[Failure, ...]] | None:
    """Return a run whose solution every loss leaves standing, and what then happens; None when nothing is feasible."""
    losses: set[Loss] = set()
    detailed: set[tuple[str, str]] = set()
    work = 0
    while True:
        run = Run.of(instance, members, must, sorted(losses), detailed)
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
