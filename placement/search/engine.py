"""A placing of a whole layout, as cheap as so much work can make it; the same for the same input, to the byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search import sweeping
from placement.search.address import by_address
from placement.search.bench import RANKED, Bench, bench_of
from placement.search.index import Index, index_of
from placement.search.layout import Layout, Packing, Placing
from placement.search.state import (
    COST,
    DEGRADED,
    MOVES,
    UNPLACED,
    WORK,
    State,
    empty_state,
    packing_of,
    placing_of,
)

SLICE = 2_000_000
"""Units of work in one call of a kernel: a fraction of a second."""


class Progress(NamedTuple):
    """How far a search is: the goals of the best plan so far, and the work done of what there is."""

    cost: float
    unplaced_weight: int
    degraded_weight: int
    work: int
    of: int


Tick = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        cost: currency per hour, in floats. unplaced_weight, degraded_weight: in units of priority.
        moves: stages that are not where `held` had them.
        work: what was done, in units that no clock enters.
        is_cut: whether a KeyboardInterrupt from `tick` ended it early.
    """

    placing: Placing
    packing: Packing
    cost: float
    unplaced_weight: int
    degraded_weight: int
    moves: int
    work: int
    is_cut: bool = False


@dataclass(slots=True)
class Search:
    """A search under way: what it holds, and the same by address for the kernels."""

    layout: Layout
    of: int
    tick: Tick | None
    state: State
    index: Index = field(init=False)
    bench: Bench = field(init=False)
    by: tuple[Layout, State, Index, Bench] = field(init=False)

    def __post_init__(self) -> None:
        """Make the index and the scratch room."""
        self.index = index_of(self.layout)
        self.bench = bench_of(self.layout, self.index)
        self.by = (by_address(self.layout), by_address(self.state), by_address(self.index), by_address(self.bench))

    @property
    def work(self) -> int:
        """Return the work done."""
        return int(self.state.counts[WORK])

    @property
    def is_over(self) -> bool:
        """Return whether all work that was granted is done."""
        return self.work >= self.of

    def slices(self) -> Iterator[int]:
        """Yield until how much work the next call of a kernel goes, telling `tick` before each, till the last."""
        while not self.is_over:
            self.tell()
            yield min(self.of, self.work + SLICE)

    def tell(self) -> None:
        """Tell `tick` how far the search is."""
        if self.tick is not None:
            count = self.state.counts
            cost = float(self.state.money[COST])
            self.tick(Progress(cost, int(count[UNPLACED]), int(count[DEGRADED]), self.work, self.of))

    def blend(self, marginal: float, fair: float, share: float, move: float = 0.0) -> None:
        """Set what prices are made of."""
        self.bench.blend[:] = marginal, fair, share, move

    def insert(self, order: NDArray[np.int32], drawn: int = 0) -> None:
        """Bring in who is out, in this order."""
        at = 0
        for until in self.slices():
            at = sweeping.insert_many(*self.by, order, at, until, RANKED, drawn)
            if at == len(order):
                return

    def improve(self, order: NDArray[np.int32], drawn: int = 0, *, is_strict: bool = True) -> float:
        """Move who can be cheaper, in this order; return by how much the cost fell."""
        before, at = float(self.state.money[COST]), 0
        sweeping.rank_rows(*self.by)
        for until in self.slices():
            at = sweeping.improve_many(*self.by, order, at, until, RANKED, drawn, is_strict)
            if at == len(order):
                break
        return before - float(self.state.money[COST])

    def found(self, *, is_cut: bool) -> Found:
        """Return what the search has now."""
        count = self.state.counts
        return Found(
            placing_of(self.state),
            packing_of(self.state),
            float(self.state.money[COST]),
            int(count[UNPLACED]),
            int(count[DEGRADED]),
            int(count[MOVES]),
            self.work,
            is_cut,
        )


def search(
    layout: Layout,
    *,
    work: int,
    start: Placing | None = None,
    held: Placing | None = None,
    tick: Tick | None = None,
) -> Found:
    """Return a placing of everything that finds room, at the least cost that `work` units of effort find.

    Args:
        start: a placing to begin with. held: where stages are now: fewest moves come before cost.
        tick: told how far it is, a few times a second; a KeyboardInterrupt from it ends the search with what it has.
    """
    run = Search(layout, work, tick, empty_state(layout, held))
    try:
        _run(run)
    except KeyboardInterrupt:
        return run.found(is_cut=True)
    return run.found(is_cut=False)


def _run(run: Search) -> None:
    order = in_order(run.layout)
    at = 0
    for until in run.slices():
        at = sweeping.find_near(run.by[0], run.by[1], run.by[3], at, until)
        if at == len(order):
            break
    sweeping.rank_rows(*run.by)
    run.blend(0.2, 0.0, 0.8)
    run.insert(order)
    run.blend(1.0, 0.05, 0.0)
    while not run.is_over:
        if run.improve(order) <= 1e-9:
            break


def in_order(layout: Layout) -> NDArray[np.int32]:
    """Return workloads in the order in which they come in: by priority, then the largest."""
    works = layout.works
    return np.lexsort((np.arange(len(works.origin)), -works.rate, -works.priority)).astype(np.int32)
