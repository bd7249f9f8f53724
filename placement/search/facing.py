"""Faces a placing with every loss, until each workload with `survive: 1` is served after all that touch it, or is out.

Losses are faced one by one, the one that touches most survivors first. Who is touched is counted out, and survivors are
served within what is left; replicas that this opens are reserved, and free to every other loss. Who finds no cover is
placed anew where that loss does not touch it, with fallbacks if it must be, and at last not at all; then all losses are
faced again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search import losing, settling, sweeping
from placement.search.address import by_address
from placement.search.bench import Bench, bench_of
from placement.search.engine import FAIRLY, in_order
from placement.search.index import Index, index_of
from placement.search.layout import NOWHERE, Layout, Packing, Placing
from placement.search.losing import Cover
from placement.search.rows import firsts
from placement.search.state import COST, EGRESS, WORK, State, empty_state, packing_of
from placement.search.surviving import Survival

Ids = NDArray[np.int32]

MOST_TRIES = 4
"""How often a workload is placed anew as declared before it is with fallbacks, and then before it is given up."""

MOST_ROUNDS = 12
"""Rounds after which whoever has no cover is given up at once."""

A_MOVE = 0.01
"""What a stage that moves after a loss weighs, of the mean price of a replica: of equals, the one that stays."""


class Faced(NamedTuple):
    """A placing that stands every loss.

    Attributes:
        covers: by loss (as `Remaining` numbers them), how the survivors that it touches are served then.
        work: what was done, in units that no clock enters.
    """

    placing: Placing
    packing: Packing
    covers: Mapping[int, Cover]
    work: int


def face(
    survival: Survival, placing: Placing, packing: Packing, held: Placing | None, is_hurried: Callable[[], bool]
) -> Faced:
    """Return a placing as near to one as can be that stands every loss; `survival` learns who keeps off what.

    Args:
        packing: of the placing.
        held: where stages are now, and should stay.
        is_hurried: whether who has no cover is given up without another try.
    """
    facing = _Facing.of(survival, placing, packing, held)
    for turn in range(len(placing.shape) + MOST_ROUNDS):
        failing = facing.face_all()
        if not failing:
            break
        facing.yield_to(failing, is_last=turn >= MOST_ROUNDS or is_hurried())
    return facing.faced()


@dataclass(slots=True)
class Tries:
    """How often workloads were placed anew.

    Attributes:
        lowered: those that are placed with fallbacks now.
    """

    lowered: set[int] = field(default_factory=set)
    _count: dict[int, int] = field(default_factory=dict)

    def next(self, work: int) -> bool:
        """Return whether there is another try."""
        self._count[work] = self._count.get(work, 0) + 1
        return self._count[work] <= MOST_TRIES

    def lower(self, work: int) -> None:
        """Begin to try with fallbacks."""
        self.lowered.add(work)
        self._count[work] = 0


class _By(NamedTuple):
    """What kernels take in place of arrays, by address."""

    layout: Layout
    state: State
    facts: Index
    bench: Bench


@dataclass(slots=True)
class _Facing:
    """One placing that changes until it stands.

    Attributes:
        normal: where everybody is while nothing is lost; `at` is the same by address.
        then: the same state by address, in which stages are held where they are normally.
        rank: by workload, its place in the order in which they come in.
        exposed: by loss, who does not outlive it as it is; sorted.
        needed: by pool, the most replicas that it needs after any loss faced in this round.
        fresh: who was placed anew since the last round.
    """

    survival: Survival
    normal: Placing
    at: Placing
    state: State
    by: _By
    then: State
    bench: Bench
    rank: Ids
    needed: NDArray[np.int64]
    covers: dict[int, Cover] = field(default_factory=dict)
    exposed: dict[int, Ids] = field(default_factory=dict)
    tries: Tries = field(default_factory=Tries)
    fresh: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, survival: Survival, placing: Placing, packing: Packing, held: Placing | None) -> _Facing:
        """Return a placing that has not been faced with anything."""
        layout = survival.compiled.layout
        normal = Placing(*(part.copy() for part in placing))
        state, index = empty_state(layout, held), index_of(layout)
        then = state._replace(held_shape=normal.shape, held_site=normal.site, held_pool=normal.pool)
        rank = np.argsort(in_order(layout)).astype(np.int32)
        bench = bench_of(layout, index)
        by = _By(by_address(layout), by_address(state), by_address(index), by_address(bench))
        at = by_address(normal)
        losing.lay_all(*by[:3], by_address(packing))
        losing.enter_many(*by[:3], at, np.arange(len(rank), dtype=np.int32))
        needed = np.zeros(len(layout.pools.site), np.int64)
        return cls(survival, normal, at, state, by, by_address(then), bench, rank, needed)

    @property
    def layout(self) -> Layout:
        """Return everything, with nothing lost."""
        return self.survival.compiled.layout

    def face_all(self) -> dict[int, set[int]]:
        """Face every loss that touches a survivor; return by workload those for which it has no cover."""
        self.exposed = self._exposed()
        due = {loss: self._due(works) for loss, works in self.exposed.items()}
        order = sorted((loss for loss in due if len(due[loss])), key=lambda loss: (-len(due[loss]), loss))
        self.covers = {loss: self._begun(loss, due[loss]) for loss in order}
        self.fresh.clear()
        self.needed[:] = 0
        refuge = self.survival.refuges.layout(self.normal)
        index = index_of(refuge)
        bench = bench_of(refuge, index)
        bench.blend[:] = 1.0, FAIRLY, 0.0, A_MOVE * _mean(self.layout.pools.price)
        spare = by_address(index), by_address(bench)
        failing: dict[int, set[int]] = {}
        for loss in order:
            after = by_address(refuge._replace(ways=self.survival.remaining.ways(loss)))
            for work in self._face(loss, _By(after, self.then, *spare), len(bench.sites)):
                failing.setdefault(work, set()).add(loss)
        return failing

    def _exposed(self) -> dict[int, Ids]:
        """Return by loss whom it touches: all that do not outlive it, those born at a lost site apart."""
        works, none = np.arange(len(self.rank), dtype=np.int32), np.empty(0, np.int32)
        count = losing.list_exposed(self.by.layout, self.by.state, works, none, none)
        who, what = np.empty(count, np.int32), np.empty(count, np.int32)
        losing.list_exposed(self.by.layout, self.by.state, works, who, what)
        pairs = np.unique(what.astype(np.int64) * max(1, len(works)) + who)
        what, who = np.divmod(pairs, max(1, len(works)))
        first = np.flatnonzero(np.diff(what, prepend=-1))
        return dict(zip(what[first].tolist(), np.split(who.astype(np.int32), first[1:]), strict=False))

    def _due(self, touched: Ids) -> Ids:
        """Return the survivors among whom a loss touches, in the order in which they are served."""
        works = np.intersect1d(touched, self.survival.survivors, assume_unique=True)
        return works[np.argsort(self.rank[works])].astype(np.int32)

    def _begun(self, loss: int, due: Ids) -> Cover:
        """Return a cover of who is due, with what is known of it; who was placed anew begins anew."""
        works = self.layout.works
        first = firsts(works.first_slot[due + 1] - works.first_slot[due])
        shape, site, pool = (np.full(size, NOWHERE, np.int32) for size in (len(due), first[-1], first[-1]))
        old = self.covers.get(loss)
        known = {} if old is None else {work: at for at, work in enumerate(old.work.tolist())}
        for at, work in enumerate(due.tolist()):
            if old is not None and work in known and work not in self.fresh:
                here, there = slice(first[at], first[at + 1]), slice(*old.first[known[work] : known[work] + 2])
                shape[at], site[here], pool[here] = old.shape[known[work]], old.site[there], old.pool[there]
        return Cover(due, shape, first, site, pool)

    def _face(self, loss: int, after: _By, most: int) -> list[int]:
        """Serve who is due after one loss, and put everybody back; return who found no cover."""
        cover, touched = self.covers[loss], self.exposed[loss]
        money = self.state.money[[COST, EGRESS]]
        if loss < self.survival.remaining.sites:
            born = np.flatnonzero(self.layout.works.origin == loss)
            touched = np.union1d(touched, born[self.normal.shape[born] != NOWHERE]).astype(np.int32)
        losing.leave_many(self.by.layout, self.then, self.by.facts, touched)
        if (cover.shape == NOWHERE).any():
            sweeping.rank_rows(*after)
        losing.cover_all(*after, self.at, by_address(cover), most)
        pools = np.unique(cover.pool[cover.pool != NOWHERE])
        self.needed[pools] = np.maximum(self.needed[pools], self._replicas(pools))
        losing.leave_many(*after[:3], cover.work)
        losing.enter_many(self.by.layout, self.then, self.by.facts, self.at, touched)
        self.state.money[[COST, EGRESS]] = money
        return list(cover.work[cover.shape == NOWHERE].tolist())

    def _replicas(self, pools: Ids) -> NDArray[np.int64]:
        """Return how many replicas pools need as things stand."""
        return -(-self.state.load[pools] // self.layout.pools.throughput[pools])

    def yield_to(self, failing: Mapping[int, Collection[int]], *, is_last: bool) -> None:
        """Place who has no cover for some loss anew, where none of those that it ever failed touches it."""
        order = np.array(sorted(failing, key=lambda work: self.rank[work]), np.int32)
        losing.leave_many(*self.by[:3], order)
        self.survival.bar((work, loss) for work in failing for loss in failing[work])
        self.bench.blend[:] = 1.0, FAIRLY, 0.0, 1.0 + 1e3 * float(self.layout.pools.price.max(initial=0.0))
        sweeping.rank_rows(*self.by)
        for work in order.tolist():
            self.survival.shunned.setdefault(work, set()).update(failing[work])
            if not is_last and work not in self.survival.barred:
                self._settle(work)
        self._note(order)
        self.fresh.update(failing)

    def _settle(self, work: int) -> None:
        """Place one workload anew, as declared while that is worth a try, then with fallbacks; or not at all."""
        first = self.layout.shapes.first[self.layout.works.pipeline[work] :][:2].tolist()
        if work not in self.tries.lowered:
            if self.tries.next(work) and self._is_settled(work, first[0]):
                return
            self.tries.lower(work)
            self.survival.shunned[work] = set()
        if self.tries.next(work):
            any(self._is_settled(work, shape) for shape in range(first[0] + 1, first[1]))

    def _is_settled(self, work: int, shape: int) -> bool:
        """Place a workload under one graph, away from what it shuns; return whether it has a place."""
        sites = self.survival.remaining.sites
        shunned = np.zeros(sites + len(self.layout.ways.start), np.int8)
        shunned[sorted(self.survival.shunned[work])] = 1
        return bool(settling.settle(*self.by, work, shape, shunned, np.zeros(sites, np.int8)))

    def _note(self, works: Ids) -> None:
        """Note where workloads are now."""
        self.normal.shape[works] = self.state.shape[works]
        for work in works.tolist():
            slots = slice(*self.layout.works.first_slot[[work, work + 1]].tolist())
            self.normal.site[slots], self.normal.pool[slots] = self.state.site[slots], self.state.pool[slots]

    def faced(self) -> Faced:
        """Return the placing, with as many replicas as it or some failure needs."""
        needed = np.maximum(self.needed, self._replicas(np.arange(len(self.needed), dtype=np.int32)))
        losing.close_above(*self.by[:3], needed)
        return Faced(self.normal, packing_of(self.state), self.covers, int(self.state.counts[WORK]))


def _mean(prices: NDArray[np.float64]) -> float:
    return float(prices.sum()) / max(1, len(prices))
