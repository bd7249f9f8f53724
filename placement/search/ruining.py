"""Neighbourhoods of many workloads: taken up together and laid anew, kept when the goals are better, else undone.

Single moves neither open nor close a pool; these do.
"""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.search.bench import (
    BANNED,
    BATCH,
    BLOCKED,
    CAREFUL,
    FAIR,
    FAVOURED,
    IS_ALONE,
    MARGINAL,
    MOST,
    SHARE,
    WIDTH,
    Bench,
)
from placement.search.changes import take, undo
from placement.search.index import Index
from placement.search.insertion import choose, goals_fell, improve, insert, remember, weigh
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout
from placement.search.pricing import gather_options, gather_sites, next_random
from placement.search.state import COST, DEGRADED, EGRESS, JOURNAL, LOGGED, MOVES, PAID, UNPLACED, WORK, State

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

FAIRLY = 0.05
"""Weight of a fair part of what is open, so that of equal moves the one to the fuller pool is made."""


@kernel
def take_one(layout: Layout, state: State, index: Index, bench: Bench, work: int) -> bool:
    """Take a workload into the batch; False when there is no more room for it, or in the journal."""
    if bench.counts[BATCH] == len(bench.batch) or state.counts[LOGGED] > JOURNAL // 4:
        return False
    bench.batch[bench.counts[BATCH]] = work
    bench.counts[BATCH] += 1
    if state.shape[work] != NOWHERE:
        take(layout, state, index, work)
    return True


@kernel
def take_members(layout: Layout, state: State, index: Index, bench: Bench, pool: int, most: int, down_to: int) -> None:
    """Take up to `most` workloads off a pool, until its load is at most `down_to`."""
    while most > 0 and state.load[pool] > down_to and state.member[pool] != NOWHERE:
        if not take_one(layout, state, index, bench, index.owner[state.member[pool]]):
            return
        most -= 1


@kernel
def mix(layout: Layout, state: State, bench: Bench, kept: int) -> None:
    """Bring the batch behind its first `kept` into an order: at random, then by size, by priority, or neither."""
    batch, works = bench.batch, layout.works
    for at in range(bench.counts[BATCH] - 1, kept, -1):
        other = kept + next_random(state, at - kept + 1)
        batch[at], batch[other] = batch[other], batch[at]
    by = next_random(state, 3)
    for at in range(kept, bench.counts[BATCH]):
        work = batch[at]
        bench.score[at] = works.rate[work] if by == 0 else float(works.priority[work]) if by == 1 else 0.0
    for at in range(kept + 1, bench.counts[BATCH]):
        work, score, to = batch[at], bench.score[at], at
        while to > kept and bench.score[to - 1] < score:
            batch[to], bench.score[to] = batch[to - 1], bench.score[to - 1]
            to -= 1
        batch[to], bench.score[to] = work, score


@kernel
def recreate(layout: Layout, state: State, index: Index, bench: Bench, share: float, drawn: int) -> None:
    """Lay the batch anew with `share` of the least part of each price, then let each move once at true prices."""
    bench.blend[MARGINAL], bench.blend[FAIR], bench.blend[SHARE] = 1 - share, 0.0, share
    for at in range(bench.counts[BATCH]):
        bench.old_site[0] = NOWHERE
        insert(layout, state, index, bench, bench.batch[at], bench.counts[WIDTH], drawn, np.inf)
    bench.blend[MARGINAL], bench.blend[FAIR], bench.blend[SHARE] = 1.0, FAIRLY, 0.0
    bench.counts[FAVOURED] = NOWHERE
    for at in range(bench.counts[BATCH]):
        if state.shape[bench.batch[at]] != NOWHERE and state.counts[LOGGED] < JOURNAL // 2:
            improve(layout, state, index, bench, bench.batch[at], bench.counts[WIDTH], drawn, True)


@kernel
def close_many(
    layout: Layout, state: State, index: Index, bench: Bench, order: NDArray[int32], start: int, until: int
) -> int:
    """Try to do with one replica less of each pool in order[start:]; return where it stopped."""
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        if state.replicas[order[at]] > 0:
            close(layout, state, index, bench, order[at])
    return len(order)


@kernel
def close(layout: Layout, state: State, index: Index, bench: Bench, pool: int) -> bool:
    """Take what one replica of a pool carries elsewhere, if that is better."""
    state.counts[LOGGED], state.counts[PAID], bench.counts[BATCH] = 0, 0, 0
    cost, egress = state.money[COST], state.money[EGRESS]
    unplaced, degraded, moves = state.counts[UNPLACED], state.counts[DEGRADED], state.counts[MOVES]
    weighed = weigh(state)
    fewer = state.replicas[pool] - 1
    bench.counts[BANNED], bench.counts[MOST] = pool, fewer
    down_to = fewer * layout.pools.throughput[pool] if fewer > 0 else -1
    take_members(layout, state, index, bench, pool, len(bench.batch), down_to)
    done = state.replicas[pool] <= fewer
    if done:
        mix(layout, state, bench, 0)
        recreate(layout, state, index, bench, 0.1, 1)
        done = goals_fell(state, unplaced, degraded, moves, weighed, -1e-9 * abs(cost))
    bench.counts[BANNED] = NOWHERE
    if not done:
        undo(layout, state, index, 0, cost, egress)
    return done


@kernel
def ruin_many(layout: Layout, state: State, index: Index, bench: Bench, until: int, most: int, slack: float) -> int:
    """Ruin and recreate neighbourhoods of about `most` workloads for all work up to `until`; return how many stayed."""
    stayed = 0
    while state.counts[WORK] < until:
        state.counts[WORK] += 1
        stayed += ruin(layout, state, index, bench, next_random(state, len(layout.works.origin)), most, slack)
    return stayed


@kernel
def ruin_around(
    layout: Layout, state: State, index: Index, bench: Bench, order: NDArray[int32], start: int, until: int, most: int
) -> int:
    """Ruin and recreate around each unplaced or degraded of order[start:]; return where it stopped."""
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        work = order[at]
        shape = state.shape[work]
        if shape == NOWHERE or (
            shape != layout.shapes.first[layout.works.pipeline[work]] and bench.hopeless[work] == 0
        ):
            ruin(layout, state, index, bench, work, most, 0.0)
    return len(order)


@kernel
def ruin(layout: Layout, state: State, index: Index, bench: Bench, work: int, most: int, slack: float) -> int:
    """Take up who uses some pools that a workload could use, and lay all of them anew; 1 when that is better.

    A cost up to `slack` above is as good.
    """
    if bench.hopeless[work] == 2:
        return 0
    state.counts[LOGGED], state.counts[PAID], bench.counts[BATCH] = 0, 0, 0
    cost, egress = state.money[COST], state.money[EGRESS]
    unplaced, degraded, moves = state.counts[UNPLACED], state.counts[DEGRADED], state.counts[MOVES]
    weighed = weigh(state)
    wanting = state.shape[work] != layout.shapes.first[layout.works.pipeline[work]]
    first = 1 if wanting and bench.hopeless[work] == 0 else 0
    take_one(layout, state, index, bench, work)
    for _ in range(2 + next_random(state, 3)):
        pool = some_pool(layout, state, work)
        if pool == NOWHERE:
            continue
        if next_random(state, 3) == 0:
            pool = neighbour_of(layout, state, index, pool)
        take_members(layout, state, index, bench, pool, most // 2 + next_random(state, most), -1)
        bench.counts[FAVOURED] = pool
        if bench.counts[BATCH] >= 2 * most:
            break
    if next_random(state, 2) == 0:
        bench.counts[FAVOURED] = NOWHERE
    mix(layout, state, bench, first)
    recreate(layout, state, index, bench, 0.3 * next_random(state, 4), 2)
    if goals_fell(state, unplaced, degraded, moves, weighed, slack - 1e-12 * abs(cost)):
        return 1
    undo(layout, state, index, 0, cost, egress)
    return 0


@kernel
def some_pool(layout: Layout, state: State, work: int) -> int:
    """Return a random pool that a random stage of a workload may use; NOWHERE when the draw finds none."""
    works, shapes = layout.works, layout.shapes
    shape = shapes.first[works.pipeline[work]]
    stages = shapes.first_stage[shape + 1] - shapes.first_stage[shape]
    slot = shapes.stage_slot[shapes.first_stage[shape] + next_random(state, stages)]
    row = works.kind_slot[works.kind[work]] + slot
    own, away = works.first_slot[work] + slot, works.remote_first[row + 1] - works.remote_first[row]
    at_home = works.own_first[own + 1] - works.own_first[own]
    if at_home + away == 0:
        return NOWHERE
    pool = NOWHERE
    for _ in range(4):
        drawn = next_random(state, at_home + away)
        if drawn < at_home:
            pool = works.own_pool[works.own_first[own] + drawn]
        else:
            pool = works.remote_pool[works.remote_first[row] + drawn - at_home]
        if pool != NOWHERE and state.replicas[pool] > 0:
            break
    return pool


@kernel
def neighbour_of(layout: Layout, state: State, index: Index, pool: int) -> int:
    """Return a random pool at the same site that has replicas, if a few draws find one; else the pool itself."""
    site = layout.pools.site[pool]
    first, last = index.site_pool[site], index.site_pool[site + 1]
    for _ in range(4):
        drawn = first + next_random(state, last - first)
        if state.replicas[drawn] > 0:
            return drawn
    return pool


@kernel
def find_hopeless(
    layout: Layout, state: State, index: Index, bench: Bench, order: NDArray[int32], start: int, until: int
) -> int:
    """Note who of order[start:] would find no place in an empty fleet either, or only with fallbacks."""
    first = layout.shapes.first
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        work = order[at]
        shape, pipeline = state.shape[work], layout.works.pipeline[work]
        if first[pipeline] == first[pipeline + 1]:
            bench.hopeless[work] = 2
        elif shape != first[pipeline] and not is_possible(layout, state, index, bench, work, first[pipeline]):
            bench.hopeless[work] = 1
            if shape == NOWHERE:
                bench.hopeless[work] = 2
                for other in range(first[pipeline] + 1, first[pipeline + 1]):
                    if is_possible(layout, state, index, bench, work, other):
                        bench.hopeless[work] = 1
                        break
    return len(order)


@kernel
def is_possible(layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int) -> bool:
    """Return whether a graph has a way through the candidate sites in an empty fleet."""
    bench.counts[IS_ALONE], bench.counts[CAREFUL], bench.counts[BLOCKED] = 1, 0, 0
    remember(layout, state, bench, work)
    gather_sites(layout, state, bench, work, shape, bench.counts[WIDTH], 8)
    found = gather_options(layout, state, index, bench, work, shape) and (
        choose(layout, state, index, bench, work, shape, np.inf) < np.inf
    )
    bench.counts[IS_ALONE] = 0
    return found
