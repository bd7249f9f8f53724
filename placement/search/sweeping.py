"""Passes over many workloads: bring in who is out, move who can be cheaper; each call ends after so much work."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.search.bench import Bench
from placement.search.index import Index
from placement.search.insertion import improve, insert, remember
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout
from placement.search.stacking import room_for
from placement.search.state import LOGGED, PAID, SMOOTH, WORK, State

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

OPEN_IS_CHEAPER = 0.25
"""What the price of a pool with slack counts in the ranking, beside one that has to be opened."""


@kernel
def insert_many(
    layout: Layout, state: State, index: Index, bench: Bench, order: NDArray[int32], start: int, until: int,
    most: int, drawn: int,
) -> int:  # fmt: skip
    """Place the unplaced among order[start:], in that order; return where it stopped, for all work up to `until`."""
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        work = order[at]
        if state.shape[work] == NOWHERE:
            state.counts[LOGGED], state.counts[PAID] = 0, 0
            remember(layout, state, bench, work)
            insert(layout, state, index, bench, work, most, drawn, np.inf)
    return len(order)


@kernel
def improve_many(
    layout: Layout, state: State, index: Index, bench: Bench, order: NDArray[int32], start: int, until: int,
    most: int, drawn: int, is_strict: int,
) -> int:  # fmt: skip
    """Move the placed among order[start:] to where they are cheaper; return where it stopped."""
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        work = order[at]
        if state.shape[work] != NOWHERE:
            state.counts[LOGGED], state.counts[PAID] = 0, 0
            improve(layout, state, index, bench, work, most, drawn, is_strict)
    return len(order)


@kernel
def rank_rows(layout: Layout, state: State, index: Index, bench: Bench) -> None:
    """Rank the sites of every row of remote options by the price of a unit of load there, as things stand."""
    works = layout.works
    keep = bench.ranked.shape[1]
    best = bench.score
    for row in range(len(works.remote_first) - 1):
        count = 0
        for option in range(works.remote_first[row], works.remote_first[row + 1]):
            price = _unit_price(layout, state, index, works.remote_pool[option])
            site = works.remote_site[option]
            at = count
            for k in range(count):
                if bench.ranked[row, k] == site:
                    at = -1 if best[k] <= price else k
                    break
            if at == -1 or (at == keep and best[keep - 1] <= price):
                continue
            if at == count:
                at = min(count, keep - 1)
                count = min(count + 1, keep)
            while at > 0 and best[at - 1] > price:
                best[at], bench.ranked[row, at] = best[at - 1], bench.ranked[row, at - 1]
                at -= 1
            best[at], bench.ranked[row, at] = price, site
        bench.ranked[row, count:] = NOWHERE
        state.counts[WORK] += works.remote_first[row + 1] - works.remote_first[row]


@kernel
def _unit_price(layout: Layout, state: State, index: Index, pool: int) -> float:
    if pool == NOWHERE:
        return 0.0
    pools = layout.pools
    slack = state.replicas[pool] * pools.throughput[pool] - state.load[pool]
    if slack > 0:
        return index.share[pool] * (OPEN_IS_CHEAPER + state.money[SMOOTH] * (1 - OPEN_IS_CHEAPER))
    if room_for(pools, layout.groups, state, index, pool) == 0:
        return np.inf
    return index.share[pool]
