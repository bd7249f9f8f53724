"""What an exact plan reports while it is made: the phase, the cost of what is planned so far, and the bound on it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from placement.exact.highs import Look
from placement.solution import Solution
from placement.watch import Progress, Watch

SERVICE, COST = ("placing", "placing as declared", "moving little"), "least cost"
"""The phases of a component: its goals, in their order."""


@dataclass(slots=True)
class Lookout:
    """One plan being made, component by component.

    Attributes:
        workloads: how many there are. `done`: of those, in components that are solved.
        cost, bound: per hour, of these components.
        unplaced: of these components, and of the one in hand as far as that is known.
    """

    watch: Watch
    workloads: int
    done: int = 0
    cost: Fraction = Fraction(0)
    bound: Fraction = Fraction(0)
    unplaced: int = 0

    @property
    def is_stopped(self) -> bool:
        """Return whether somebody said stop."""
        return self.watch.is_stopped

    def of_service(self, phase: str) -> Look:
        """Return what looks on while a goal before cost is pursued: of that only the phase is told."""

        def look(objective: float, bound: float) -> bool:
            self.watch.show(Progress(phase, self._done, unplaced=self.unplaced))
            return self.watch.is_stopped

        return look

    def of_cost(self, scale: Fraction, unplaced: int) -> Look:
        """Return what looks on at the goal of cost, whose objective is `scale` times what is paid per hour."""

        def look(objective: float, bound: float) -> bool:
            cost = float(self.cost) + objective / float(scale) if isfinite(objective) else None
            lower = float(self.bound) + max(0.0, bound) / float(scale)
            self.watch.show(Progress(COST, self._done, cost, lower, self.unplaced + unplaced))
            return self.watch.is_stopped

        return look

    def count(self, members: int, solution: Solution, cost: Fraction) -> None:
        """Add a component that is solved."""
        self.done += members
        self.unplaced += members - len(solution.choices)
        self.cost, self.bound = self.cost + cost, self.bound + solution.bound

    @property
    def _done(self) -> float:
        return self.done / max(1, self.workloads)
