"""Faces a placing with every loss: who is touched is counted out, and survivors are served within what is left.

Losses are faced one by one, the one that touches most survivors first. Replicas that one opens stay open while the
others are faced, which find them free: what is reserved is the most that any loss needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.search import losing, sweeping
from placement.search.address import by_address
from placement.search.bench import BANNED, MOST, Bench, bench_of
from placement.search.engine import FAIRLY, in_order
from placement.search.index import Index, index_of
from placement.search.layout import NOWHERE, Layout, Packing, Placing
from placement.search.losing import Cover
from placement.search.reserves import Reserves
from placement.search.rows import firsts
from placement.search.state import COST, EGRESS, State, empty_state
from placement.search.surviving import Survival

Ids = NDArray[np.int32]

A_MOVE = 0.01
"""What a stage that moves after a loss weighs, of the mean price of a replica: of equals, the one that stays."""


class By(NamedTuple):
    """What kernels take in place of arrays, by address."""

    layout: Layout
    state: State
    facts: Index
    bench: Bench


class Refuge(NamedTuple):
    """Where survivors may be after any loss; `facts` and `scratch` are by address."""

    layout: Layout
    facts: Index
    bench: Bench
    scratch: Bench


@dataclass(slots=True)
class Facing:
    """One placing, and how its losses are covered.

    Attributes:
        normal: where everybody is while nothing is lost; `at` is the same by address.
        then: the same state by address, in which stages are held where they are normally.
        rank: by workload, its place in the order in which they come in.
        exposed: by loss, who does not outlive it as it is; sorted.
        fresh: who was placed anew since all losses were faced.
    """

    survival: Survival
    normal: Placing
    at: Placing
    state: State
    by: By
    then: State
    bench: Bench
    rank: Ids
    refuge: Refuge = field(init=False)
    reserves: Reserves = field(init=False)
    covers: dict[int, Cover] = field(default_factory=dict)
    exposed: dict[int, Ids] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, survival: Survival, placing: Placing, packing: Packing, held: Placing | None) -> Facing:
        """Return a placing that has not been faced with anything."""
        layout = survival.compiled.layout
        normal = Placing(*(part.copy() for part in placing))
        state, index = empty_state(layout, held), index_of(layout)
        then = state._replace(held_shape=normal.shape, held_site=normal.site, held_pool=normal.pool)
        rank = np.argsort(in_order(layout)).astype(np.int32)
        bench = bench_of(layout, index)
        by, at = By(by_address(layout), by_address(state), by_address(index), by_address(bench)), by_address(normal)
        losing.lay_all(*by[:3], by_address(packing))
        losing.enter_many(*by[:3], at, np.arange(len(rank), dtype=np.int32))
        return cls(survival, normal, at, state, by, by_address(then), bench, rank)

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
        self.reserves = Reserves(self.layout, dict(enumerate(self.state.load.tolist())))
        self.refuge = self._refuge()
        failing: dict[int, set[int]] = {}
        for loss in order:
            for work in self.face(loss):
                failing.setdefault(work, set()).add(loss)
        return failing

    def _refuge(self) -> Refuge:
        layout = self.survival.refuges.layout(self.normal)
        index = index_of(layout)
        bench = bench_of(layout, index)
        price = self.layout.pools.price
        bench.blend[:] = 1.0, FAIRLY, 0.0, A_MOVE * float(price.sum()) / max(1, len(price))
        return Refuge(layout, by_address(index), bench, by_address(bench))

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

    def face(self, loss: int) -> list[int]:
        """Serve who is due after one loss, and put everybody back; return who found no cover."""
        cover, touched, refuge = self.covers[loss], self.exposed[loss], self.refuge
        if loss < self.survival.remaining.sites:
            born = np.flatnonzero(self.layout.works.origin == loss)
            touched = np.union1d(touched, born[self.normal.shape[born] != NOWHERE]).astype(np.int32)
        left = by_address(refuge.layout._replace(ways=self.survival.remaining.ways(loss)))
        after = By(left, self.then, refuge.facts, refuge.scratch)
        money = self.state.money[[COST, EGRESS]]
        losing.leave_many(self.by.layout, self.then, self.by.facts, touched)
        if (cover.shape == NOWHERE).any():
            sweeping.rank_rows(*after)
        losing.cover_all(*after, self.at, by_address(cover), len(refuge.bench.sites))
        self.reserves.put(loss, cover, self.state.load)
        losing.leave_many(*after[:3], cover.work)
        losing.enter_many(self.by.layout, self.then, self.by.facts, self.at, touched)
        self.state.money[[COST, EGRESS]] = money
        return list(cover.work[cover.shape == NOWHERE].tolist())

    def ban(self, pool: int, most: int) -> None:
        """Let a pool have no more replicas than so many after a loss; NOWHERE lets every pool again."""
        self.refuge.bench.counts[[BANNED, MOST]] = pool, most

    def fit(self) -> None:
        """Keep as many replicas open as some loss or normal running needs."""
        needed = np.fromiter(map(self.reserves.needed, range(len(self.state.replicas))), np.int64)
        losing.fit(*self.by[:3], needed)

    def note(self, works: Iterable[int]) -> None:
        """Note where workloads are now that were placed anew."""
        for work in works:
            slots = slice(*self.layout.works.first_slot[[work, work + 1]].tolist())
            self.normal.shape[work] = self.state.shape[work]
            self.normal.site[slots], self.normal.pool[slots] = self.state.site[slots], self.state.pool[slots]
            self.fresh.add(work)

    def goals(self) -> tuple[int, int, float]:
        """Return the weight that is unplaced, and degraded, and the cost per hour."""
        works, shape = self.layout.works, self.normal.shape
        declared = self.layout.shapes.first[works.pipeline]
        unplaced, degraded = shape == NOWHERE, (shape != NOWHERE) & (shape != declared)
        cost = float((self.state.replicas * self.layout.pools.price).sum() + self.state.egress[~unplaced].sum())
        return int(works.priority[unplaced].sum()), int(works.priority[degraded].sum()), cost
