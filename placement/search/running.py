"""A search under way: what it holds, and the calls of kernels that it makes, each short enough to be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search import ruining, sweeping
from placement.search.address import by_address
from placement.search.bench import Bench, bench_of
from placement.search.index import Index, index_of
from placement.search.layout import NOWHERE, Layout, Packing, Placing
from placement.search.state import (
    COST,
    DEGRADED,
    HOLLOW,
    MOVES,
    SMOOTH,
    UNPLACED,
    WORK,
    State,
    copy_of,
    empty_state,
    packing_of,
    placing_of,
    restore,
)

SLICE = 2_000_000
"""Units of work in one call of a kernel: some 0.1 s."""


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
class Run:
    """One search.

    Attributes:
        of: units of work that it may do. by: layout, state, index and bench by address, as kernels take them.
        best: what was best before a state that may have become worse.
    """

    layout: Layout
    of: int
    tick: Tick | None
    state: State
    index: Index
    bench: Bench
    by: tuple[Layout, State, Index, Bench]
    best: State | None = None

    @classmethod
    def of_layout(cls, layout: Layout, work: int, held: Placing | None, tick: Tick | None) -> Run:
        """Return a search that has placed nothing yet."""
        state, index = empty_state(layout, held), index_of(layout)
        bench = bench_of(layout, index)
        by = by_address(layout), by_address(state), by_address(index), by_address(bench)
        return cls(layout, work, tick, state, index, bench, by)

    @property
    def work(self) -> int:
        """Return the work done."""
        return int(self.state.counts[WORK])

    @property
    def cost(self) -> float:
        """Return currency per hour."""
        return float(self.state.money[COST])

    @property
    def is_over(self) -> bool:
        """Return whether all work that was granted is done."""
        return self.work >= self.of

    @property
    def has_unplaced(self) -> bool:
        """Return whether anything is out."""
        return bool((self.state.shape == NOWHERE).any())

    @property
    def a_move(self) -> float:
        """Return what a move weighs in the price of one workload: more than anything that it could save."""
        return 1.0 + 1e3 * float(self.layout.pools.price.max(initial=1.0))

    def keep(self) -> None:
        """Keep this state as the best, or go back to the best when it is not as good."""
        if self.best is None or _goals(self.state) <= _goals(self.best):
            self.best = copy_of(self.state)
        else:
            restore(self.state, self.best)

    def slices(self) -> Iterator[int]:
        """Yield until how much work the next call of a kernel goes, telling `tick` before each, till the last."""
        while not self.is_over:
            self.tell()
            yield min(self.of, self.work + SLICE)

    def tell(self) -> None:
        """Tell `tick` how far the search is."""
        if self.tick is not None:
            unplaced, degraded, _, cost = _goals(self.state)
            if self.best is not None:
                unplaced, degraded, _, cost = min(_goals(self.state), _goals(self.best))
            self.tick(Progress(cost, unplaced, degraded, self.work, self.of))

    def blend(self, marginal: float, fair: float, share: float, move: float = 0.0) -> None:
        """Set what prices are made of."""
        self.bench.blend[:] = marginal, fair, share, move

    @property
    def softness(self) -> float:
        """Return how much of what replicas of shared pools cost beyond a fair price of their load does not count."""
        return float(self.state.money[SMOOTH])

    def smooth(self, part: float) -> None:
        """Let so much of what replicas of shared pools cost beyond a fair price of their load not count."""
        state, price = self.state, self.layout.pools.price
        is_shared = self.index.part > 0
        state.money[SMOOTH] = part
        state.money[HOLLOW] = (price * state.replicas)[is_shared].sum() - (self.index.part * state.load).sum()

    def each(self, kernel: Callable[..., int], *arguments: Any, to: int, then: tuple[int, ...] = ()) -> None:
        """Call a kernel that goes from a place until some work is done, till it is through; `then` follows those."""
        at = 0
        for until in self.slices():
            if at == to:
                return
            at = kernel(*arguments, at, until, *then)

    def insert(self, order: NDArray[np.int32], most: int, drawn: int = 0) -> None:
        """Bring in who is out, in this order, each with `most` candidate sites."""
        self.each(sweeping.insert_many, *self.by, order, to=len(order), then=(most, drawn))

    def improve(self, order: NDArray[np.int32], most: int, drawn: int = 0) -> float:
        """Move who can be cheaper, in this order; return by how much the cost fell."""
        before = self.cost
        sweeping.rank_rows(*self.by)
        self.each(sweeping.improve_many, *self.by, order, to=len(order), then=(most, drawn, 1))
        return before - self.cost

    def close(self, which: NDArray[np.bool_] | None = None) -> float:
        """Try every open pool (of `which`) with one replica less, the emptiest first; return what that saved."""
        before, pools, state = self.cost, self.layout.pools, self.state
        sweeping.rank_rows(*self.by)
        open_ = np.flatnonzero(state.replicas if which is None else (state.replicas > 0) & which).astype(np.int32)
        over = state.load[open_] - (state.replicas[open_] - 1) * pools.throughput[open_]
        order = open_[np.lexsort((open_, over / (pools.throughput[open_] * pools.price[open_] + 1e-300)))]
        self.each(ruining.close_many, *self.by, order, to=len(order))
        return before - self.cost

    def found(self, *, is_cut: bool) -> Found:
        """Return what the search has now."""
        counts = self.state.counts
        return Found(
            placing_of(self.state),
            packing_of(self.state),
            self.cost,
            int(counts[UNPLACED]),
            int(counts[DEGRADED]),
            int(counts[MOVES]),
            self.work,
            is_cut,
        )


def _goals(state: State) -> tuple[int, int, int, float]:
    counts = state.counts
    return int(counts[UNPLACED]), int(counts[DEGRADED]), int(counts[MOVES]), float(state.money[COST])
