"""A way to serve a workload that may be split: whole where that goes, else in up to three parts, the largest first.

The oracle knows whole workloads alone; a part is one with fewer requests. What is found holds in exact arithmetic and
need be neither the cheapest nor the only one: where nothing is found, nothing is proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from placement.exact.model import FEWEST_COPIES, possible
from placement.exact.serving import THOUSANDTHS
from placement.explanation.ledger import Room, added_cost
from placement.explanation.oracle import UnsureError, Way, best_way
from placement.graph import Graph
from placement.instance import Workload
from placement.problem import Problem
from placement.solution import Choice

MOST_PARTS = FEWEST_COPIES


def a_way(problem: Problem, workload: Workload, room: Room, graphs: Iterable[Graph]) -> Way | None:
    """Return a way over the first of `graphs` for which one is found, or None when there can be none.

    Args:
        room: what others take.
        graphs: in the order of preference.

    Raises UnsureError when there might be a way that was not found.
    """
    is_open = False
    for graph in graphs:
        if possible(workload, graph) is None:
            continue
        is_open = True
        if (choice := _Divided(problem, _unsplit(workload), graph).choice(room)) is not None:
            return Way(choice, added_cost(workload, choice, room))
    if is_open:
        raise UnsureError(workload.id)
    return None


def _unsplit(workload: Workload) -> Workload:
    """Return a workload as the oracle takes it: one that has to be served whole."""
    pipeline = workload.pipeline
    spec = pipeline.spec.model_copy(update={"split": False})
    return replace(workload, pipeline=pipeline.model_copy(update={"spec": spec}))


@dataclass(frozen=True, slots=True)
class _Divided:
    """One workload over one graph, any number of its thousandths at a time."""

    problem: Problem
    whole: Workload
    graph: Graph

    def choice(self, room: Room) -> Choice | None:
        """Return the parts that serve all of it beside what others take; None when none are found."""
        parts = list(self._parts(room))
        if sum(part.fraction for part in parts) < 1:
            return None
        return replace(parts[0], beside=tuple(parts[1:]))

    def _parts(self, room: Room) -> Iterator[Choice]:
        """Yield the largest part that goes, then the largest of the rest; the last has to take all of it."""
        left = THOUSANDTHS
        for open_ in range(MOST_PARTS, 0, -1):
            count = self._largest(room, left, ceil(left / open_))
            part = self._best(room, count) if count else None
            if part is None:
                return
            yield part
            room, left = room.plus(self.whole, part), left - count
            if not left:
                return

    def _largest(self, room: Room, left: int, least: int) -> int:
        """Return the most thousandths from `least` to `left` for which there is a way, or none.

        The largest of so many parts is no smaller than `least`; of more requests than have no way, none is looked for.
        """
        if not self._is_possible(room, least):
            return 0
        if self._is_possible(room, left):
            return left
        low, high = least, left
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._is_possible(room, middle) else (low, middle)
        return low

    def _is_possible(self, room: Room, count: int) -> bool:
        with suppress(UnsureError):
            return self._way(room, count, any_will_do=True) is not None
        return False

    def _best(self, room: Room, count: int) -> Choice | None:
        """Return the cheapest way for so many thousandths, or any where that is not known."""
        for any_will_do in (False, True):
            with suppress(UnsureError):
                way = self._way(room, count, any_will_do=any_will_do)
                return None if way is None else replace(way.choice, fraction=Fraction(count, THOUSANDTHS))
        return None

    def _way(self, room: Room, count: int, *, any_will_do: bool) -> Way | None:
        part = replace(self.whole, rate=self.whole.rate * Fraction(count, THOUSANDTHS))
        return best_way(self.problem, part, room, (self.graph,), any_will_do=any_will_do)
