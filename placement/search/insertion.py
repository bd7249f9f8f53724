"""One workload comes in at the least price there is for it, or moves to a better one; what does not fit is undone."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

import numpy as np

from placement.search.bench import BLOCKED, CAREFUL, LATE, Bench
from placement.search.changes import (
    DONE,
    FULL_DOMAIN,
    FULL_POOL,
    FULL_WIRE,
    put,
    take,
    undo,
)
from placement.search.dynamic import cheapest, collapse, forget_flows, read_back, set_rests
from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout
from placement.search.pricing import gather_options, gather_sites, stage_price
from placement.search.state import COST, DEGRADED, EGRESS, HOLLOW, LOGGED, MOVES, PAID, SMOOTH, UNPLACED, State

ATTEMPTS = 8
"""How often a workload is placed anew when a pool or wire that looked open proves full."""

LADDER = (0.0, 0.3, 3.0)
"""Weights of time, as fractions of the fastest way's price per objective, where latency binds."""

QUICK = 1e-3
"""Weight of money where time is what counts."""


@kernel
def _rung(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, weight: float, per_us: float,
    bound: float,
) -> float:  # fmt: skip
    if not collapse(layout, bench, shape, weight, per_us):
        return np.inf
    set_rests(layout, index, bench, shape)
    found = cheapest(layout, state, index, bench, work, shape, weight, per_us, bound)
    if found < bound:
        read_back(layout, bench, shape)
    return found


@kernel
def choose(layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, bound: float) -> float:
    """Return the least price below `bound` of a graph at the candidate sites; the choice is in `Bench.best_*`.

    Where latency turned anything away, a ladder of weights of time is climbed, always with the fastest rung.
    """
    bench.counts[LATE] = 0
    forget_flows(layout, bench, shape)
    best = _rung(layout, state, index, bench, work, shape, 1.0, 0.0, bound)
    if bench.counts[LATE] == 0:
        return best
    best = min(best, bound)
    fastest = _rung(layout, state, index, bench, work, shape, QUICK, 1.0, np.inf if best == bound else best)
    if fastest == np.inf:
        return np.inf if best == bound else best
    unit = (fastest + 1e-9) / max(1.0, float(layout.works.limit_us[work]))
    if fastest < best:
        best = fastest
    for step in LADDER[1:]:
        best = min(best, _rung(layout, state, index, bench, work, shape, 1.0, step * unit, best))
    return best if best < bound else np.inf


@kernel
def try_shape(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, most: int, drawn: int,
    bound: float,
) -> bool:  # fmt: skip
    """Place an unplaced workload under one graph at less than `bound`; False, and all is as before, when it fails."""
    bench.counts[CAREFUL], bench.counts[BLOCKED] = 0, 0
    gather_sites(layout, state, bench, work, shape, most, drawn)
    mark, paid = state.counts[LOGGED], state.counts[PAID]
    cost, egress = state.money[COST], state.money[EGRESS]
    for _ in range(ATTEMPTS):
        if not gather_options(layout, state, index, bench, work, shape):
            return False
        if choose(layout, state, index, bench, work, shape, bound) == np.inf:
            return False
        answer = put(layout, state, index, work, shape, bench.best_site, bench.best_pool)
        if answer == DONE:
            return True
        undo(layout, state, index, mark, cost, egress)
        state.counts[PAID] = paid
        if answer <= FULL_POOL:
            if bench.counts[BLOCKED] == len(bench.blocked):
                return False
            bench.blocked[bench.counts[BLOCKED]] = FULL_POOL - answer
            bench.counts[BLOCKED] += 1
        elif answer == FULL_WIRE and bench.counts[CAREFUL] < 2:
            bench.counts[CAREFUL] += 1
        elif answer in (FULL_DOMAIN, FULL_WIRE):
            return False
    return False


@kernel
def insert(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, most: int, drawn: int, bound: float
) -> bool:
    """Place an unplaced workload as declared, or else under the cheapest graph with fallbacks.

    `bound` limits the price of the declared graph alone.
    """
    first = layout.shapes.first[layout.works.pipeline[work]]
    last = layout.shapes.first[layout.works.pipeline[work] + 1]
    if first == last:
        return False
    if bench.hopeless[work] == 0 and try_shape(layout, state, index, bench, work, first, most, drawn, bound):
        return True
    return insert_degraded(layout, state, index, bench, work, most, drawn, np.inf)


@kernel
def insert_degraded(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, most: int, drawn: int, bound: float
) -> bool:
    """Place an unplaced workload under the cheapest of its graphs with fallbacks, at less than `bound`."""
    pipeline = layout.works.pipeline[work]
    mark, paid = state.counts[LOGGED], state.counts[PAID]
    cost, egress = state.money[COST], state.money[EGRESS]
    least, best = np.inf, NOWHERE
    for shape in range(layout.shapes.first[pipeline] + 1, layout.shapes.first[pipeline + 1]):
        if try_shape(layout, state, index, bench, work, shape, most, drawn, bound):
            added = state.money[COST] - cost
            undo(layout, state, index, mark, cost, egress)
            state.counts[PAID] = paid
            if added < least:
                least, best = added, shape
    if best == NOWHERE:
        return False
    return try_shape(layout, state, index, bench, work, best, most, drawn, bound)


@kernel
def remember(layout: Layout, state: State, bench: Bench, work: int) -> None:
    """Note where a workload is, so that those sites stay candidates; nowhere when it is unplaced."""
    bench.old_site[0] = NOWHERE
    shape = state.shape[work]
    if shape == NOWHERE:
        return
    base = layout.shapes.first_stage[shape]
    stages = layout.shapes.first_stage[shape + 1] - base
    for k in range(stages):
        slot = layout.works.first_slot[work] + layout.shapes.stage_slot[base + k]
        bench.old_site[k], bench.old_pool[k] = state.site[slot], state.pool[slot]
    if stages < len(bench.old_site):
        bench.old_site[stages] = NOWHERE


@kernel
def price_as_it_was(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, egress: float
) -> float:
    """Return the blended price of what `remember` noted, now that the workload is taken up."""
    base = layout.shapes.first_stage[shape]
    total = egress
    for k in range(layout.shapes.first_stage[shape + 1] - base):
        slot = layout.works.first_slot[work] + layout.shapes.stage_slot[base + k]
        total += stage_price(layout, state, index, bench, work, slot, bench.old_site[k], bench.old_pool[k])
    return total


@kernel
def weigh(state: State) -> float:
    """Return the cost as it counts now: with some of what shared pools cost beyond a fair price of their load."""
    return state.money[COST] - state.money[SMOOTH] * state.money[HOLLOW]


@kernel
def goals_fell(state: State, unplaced: int, degraded: int, moves: int, cost: float, slack: float) -> bool:
    """Return whether the goals are now better, in their order, than these; a cost up to `slack` above is as good."""
    if state.counts[UNPLACED] != unplaced:
        return bool(state.counts[UNPLACED] < unplaced)
    if state.counts[DEGRADED] != degraded:
        return bool(state.counts[DEGRADED] < degraded)
    if state.counts[MOVES] != moves:
        return bool(state.counts[MOVES] < moves)
    return bool(weigh(state) < cost + slack)


@kernel
def improve(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, most: int, drawn: int, is_strict: int
) -> bool:
    """Take a placed workload up and place it where its blended price is less; False, and nothing changed, if nowhere.

    With `is_strict` the goals themselves may not get worse.
    """
    mark, paid_mark = state.counts[LOGGED], state.counts[PAID]
    cost, egress, shape = state.money[COST], state.money[EGRESS], state.shape[work]
    unplaced, degraded, moves = state.counts[UNPLACED], state.counts[DEGRADED], state.counts[MOVES]
    weighed = weigh(state)
    paid = state.egress[work]
    remember(layout, state, bench, work)
    take(layout, state, index, work)
    bench.counts[BLOCKED] = 0  # what proved full to somebody else is no price of this one
    bound = price_as_it_was(layout, state, index, bench, work, shape, paid) * (1 - 1e-9) - 1e-12
    first = layout.shapes.first[layout.works.pipeline[work]]
    done = False
    if bench.hopeless[work] == 0:
        done = try_shape(layout, state, index, bench, work, first, most, drawn, bound if shape == first else np.inf)
    if not done and shape != first:
        done = insert_degraded(layout, state, index, bench, work, most, drawn, bound)
    slack = 1e-12 * abs(cost) if is_strict else np.inf
    if done and goals_fell(state, unplaced, degraded, moves, weighed, slack):
        return True
    undo(layout, state, index, mark, cost, egress)
    state.counts[PAID] = paid_mark
    return False
