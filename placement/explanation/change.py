"""Something about a fleet that is otherwise than it is: what a trial supposes, and what a repair proposes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from placement.explanation.legal_relaxations import LEGAL
from placement.explanation.relaxations import relax
from placement.problem import Problem


@dataclass(frozen=True, slots=True)
class Change:
    """Something about the fleet that is otherwise.

    Attributes:
        text: as people read it.
        altered: what comes after the families are set aside; None when that is all.
        rate: requests per second of the workload that is tried; None leaves it as it is.
        legal: residency rules that are set aside; such a change is tried and never proposed.
        families: of rules, sorted, that are set aside first.
    """

    text: str
    altered: Callable[[Problem], Problem] | None = None
    rate: Fraction | None = None
    legal: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()

    def of(self, problem: Problem) -> Problem:
        """Return the problem with it."""
        problem = relax(problem, self.families)
        return problem if self.altered is None else self.altered(problem)

    def then(self, other: Change) -> Change:
        """Return both changes, this one first."""
        text = " and ".join(part for part in (self.text, other.text) if part)
        rate, legal = self.rate if other.rate is None else other.rate, self.legal | other.legal
        first = self.altered
        if first is not None:
            return Change(text, lambda problem: other.of(first(problem)), rate, legal, self.families)
        if other.altered is not None:
            return Change(text, other.of, rate, legal, self.families)
        return Change(text, None, rate, legal, tuple(sorted({*self.families, *other.families})))


AS_IT_IS = Change("")


def without(families: Iterable[str]) -> Change:
    """Return the change that sets families of rules aside."""
    named = tuple(sorted(families))
    return Change("", None, None, frozenset(family for family in named if family.startswith(LEGAL)), named)
