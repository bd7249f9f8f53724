"""Putting a workload down and taking it up again: whole, exact, and undone to the bit."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import BITS, LOAD, NOWHERE, Layout
from placement.search.stacking import CLOSED, OPENED, PUT, TAKEN, close_one, lay, lift, log, open_one
from placement.search.state import COST, DEGRADED, EGRESS, HOLLOW, LOGGED, MOVES, PAID, UNPLACED, WORK, State
from placement.search.ways import hops, route

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray

SECONDS_PER_HOUR, BYTES_PER_GB = 3600.0, 1e9
DONE, NO_WAY, FULL_WIRE, FULL_DOMAIN, FULL_POOL = 0, -1, -2, -3, -4
"""What `put` answers; from FULL_POOL downwards it is the pool that is full: FULL_POOL - pool."""


@kernel
def whole(units: float) -> int:
    """Return the next whole number, safely up; what is one but for the last bits of a float stays as it is."""
    near = np.rint(units)
    if abs(units - near) <= 1e-6 + 1e-15 * near:
        return np.int64(near)
    return np.int64(np.ceil(units * (1 + 1e-14)))


@kernel
def end_site(layout: Layout, state: State, work: int, shape: int, end: int) -> int:
    """Return the site of one end of a flow of a workload that is placed."""
    if end == NOWHERE:
        return layout.works.origin[work]
    slot = layout.works.first_slot[work] + layout.shapes.stage_slot[layout.shapes.first_stage[shape] + end]
    return state.site[slot]


@kernel
def load_wires(layout: Layout, state: State, work: int, shape: int, sign: int) -> int:
    """Add (or take) every flow of a placed workload to the wires and `State.egress`; DONE, NO_WAY or FULL_WIRE."""
    works, shapes = layout.works, layout.shapes
    masks = works.kind_flow[works.kind[work]]
    paid = 0.0
    answer = DONE
    for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        a = end_site(layout, state, work, shape, shapes.edge_source[edge])
        b = end_site(layout, state, work, shape, shapes.edge_target[edge])
        if a == b:
            continue
        mask = works.mask[masks + shapes.edge_flow[edge]]
        rtt, price, _ = route(layout.ways, mask, a, b)
        if rtt < 0:
            answer = NO_WAY
            continue
        per_second = works.rate[work] * shapes.edge_share[edge] * shapes.edge_bytes[edge]
        paid += per_second * SECONDS_PER_HOUR * price / BYTES_PER_GB
        units = whole(per_second * 8 * BITS) * sign
        count = hops(layout.ways, mask, a, b, state.path)
        state.counts[WORK] += count + 1
        for hop in state.path[:count]:
            state.hops[hop] += units
            if sign > 0 and state.hops[hop] > layout.hop_capacity[hop] and answer == DONE:
                answer = FULL_WIRE
    if sign > 0:
        state.egress[work] = paid
    return answer


@kernel
def load_pools(layout: Layout, state: State, index: Index, work: int, shape: int, sign: int) -> int:
    """Add (or take) the stages of a placed workload to loads, members, domains and moves; DONE or FULL_DOMAIN."""
    works, shapes = layout.works, layout.shapes
    first = works.first_slot[work]
    answer = DONE
    held = state.held_shape[work] != NOWHERE
    for stage in range(shapes.first_stage[shape], shapes.first_stage[shape + 1]):
        slot = first + shapes.stage_slot[stage]
        pool = state.pool[slot]
        if pool != NOWHERE:
            state.load[pool] += sign * works.wanted[slot]
            state.money[HOLLOW] -= sign * works.wanted[slot] * index.part[pool]
            if sign > 0:
                _join(state, slot, pool)
            else:
                _part(state, slot, pool)
        if held and state.held_site[slot] != NOWHERE:
            moved = state.held_site[slot] != state.site[slot] or state.held_pool[slot] != pool
            state.counts[MOVES] += sign if moved else 0
        if _spread(layout, state, index, work, shapes.stage_slot[stage], state.site[slot], sign) > 0:
            answer = FULL_DOMAIN
    return answer


@kernel
def _spread(layout: Layout, state: State, index: Index, work: int, slot: int, site: int, sign: int) -> int:
    """Count a workload in the domains of limits; return how many are over their limit."""
    spreads, over = layout.spreads, 0
    pipeline = layout.works.pipeline[work]
    for place in range(index.limit_first[pipeline], index.limit_first[pipeline + 1]):
        row = index.limit[place]
        if spreads.slot[row] == slot:
            domain = spreads.domain[spreads.by[row], site]
            state.spread[row, domain] += sign * whole(layout.works.rate[work] * LOAD)
            over += 1 if sign > 0 and state.spread[row, domain] > spreads.most[row] else 0
    return over


@kernel
def _join(state: State, slot: int, pool: int) -> None:
    first = state.member[pool]
    state.after[slot], state.before[slot] = first, NOWHERE
    if first != NOWHERE:
        state.before[first] = slot
    state.member[pool] = slot


@kernel
def _part(state: State, slot: int, pool: int) -> None:
    after, before = state.after[slot], state.before[slot]
    if before == NOWHERE:
        state.member[pool] = after
    else:
        state.after[before] = after
    if after != NOWHERE:
        state.before[after] = before


@kernel
def enter(layout: Layout, state: State, index: Index, work: int, shape: int) -> int:
    """Count in a workload whose slots say where it is, but for replicas; DONE or why it does not fit."""
    state.shape[work] = shape
    in_pools = load_pools(layout, state, index, work, shape, 1)
    on_wires = load_wires(layout, state, work, shape, 1)
    priority = layout.works.priority[work]
    state.counts[UNPLACED] -= priority
    if shape != layout.shapes.first[layout.works.pipeline[work]]:
        state.counts[DEGRADED] += priority
    state.money[COST] += state.egress[work]
    state.money[EGRESS] += state.egress[work]
    return on_wires if on_wires != DONE else in_pools


@kernel
def leave(layout: Layout, state: State, index: Index, work: int) -> None:
    """Count out a workload, but for replicas."""
    shape = state.shape[work]
    load_pools(layout, state, index, work, shape, -1)
    load_wires(layout, state, work, shape, -1)
    priority = layout.works.priority[work]
    state.counts[UNPLACED] += priority
    if shape != layout.shapes.first[layout.works.pipeline[work]]:
        state.counts[DEGRADED] -= priority
    state.money[COST] -= state.egress[work]
    state.money[EGRESS] -= state.egress[work]
    state.shape[work] = NOWHERE


@kernel
def needed(layout: Layout, state: State, pool: int) -> int:
    """Return how many replicas the load of a pool takes."""
    throughput = layout.pools.throughput[pool]
    return (state.load[pool] + throughput - 1) // throughput


@kernel
def put(
    layout: Layout, state: State, index: Index, work: int, shape: int, sites: NDArray[int32], pools: NDArray[int32]
) -> int:
    """Place an unplaced workload: stage k of `shape` at sites[k], pools[k].

    Returns DONE, or why not (see above): then the caller undoes what was begun.
    """
    base = layout.shapes.first_stage[shape]
    first = layout.works.first_slot[work]
    stages = layout.shapes.first_stage[shape + 1] - base
    for k in range(stages):
        slot = first + layout.shapes.stage_slot[base + k]
        state.site[slot], state.pool[slot] = sites[k], pools[k]
    answer = enter(layout, state, index, work, shape)
    log(state, work)
    log(state, PUT)
    if answer != DONE:
        return answer
    for k in range(stages):
        pool = pools[k]
        if pool == NOWHERE:
            continue
        while state.replicas[pool] < needed(layout, state, pool):
            if not open_one(layout.pools, layout.groups, state, index, pool):
                return FULL_POOL - pool
    return DONE


@kernel
def take(layout: Layout, state: State, index: Index, work: int) -> None:
    """Make a placed workload unplaced, and close the replicas that nobody needs any more."""
    shape = state.shape[work]
    base = layout.shapes.first_stage[shape]
    first = layout.works.first_slot[work]
    stages = layout.shapes.first_stage[shape + 1] - base
    state.paid[state.counts[PAID]] = state.egress[work]
    state.counts[PAID] += 1
    leave(layout, state, index, work)
    for k in range(stages):
        slot = first + layout.shapes.stage_slot[base + k]
        log(state, state.site[slot])
        log(state, state.pool[slot])
    log(state, shape)
    log(state, work)
    log(state, TAKEN)
    for k in range(stages):
        slot = first + layout.shapes.stage_slot[base + k]
        pool = state.pool[slot]
        state.site[slot] = NOWHERE
        state.pool[slot] = NOWHERE
        if pool != NOWHERE:
            while state.replicas[pool] > needed(layout, state, pool):
                close_one(layout.pools, layout.groups, state, index, pool)


@kernel
def undo(layout: Layout, state: State, index: Index, mark: int, cost: float, egress: float) -> None:
    """Go back to when the journal had `mark` entries and the money was this."""
    journal = state.journal
    while state.counts[LOGGED] > mark:
        end = state.counts[LOGGED]
        what = journal[end - 1]
        if what == OPENED:
            lift(layout.pools, layout.groups, state, index, journal[end - 2])
            state.counts[LOGGED] = end - 2
        elif what == CLOSED:
            lay(layout.pools, layout.groups, state, index, journal[end - 4], journal[end - 3], journal[end - 2])
            state.counts[LOGGED] = end - 4
        elif what == PUT:
            _unput(layout, state, index, journal[end - 2])
            state.counts[LOGGED] = end - 2
        else:
            state.counts[LOGGED] = _untake(layout, state, index, end)
    state.money[COST], state.money[EGRESS] = cost, egress


@kernel
def _unput(layout: Layout, state: State, index: Index, work: int) -> None:
    shape = state.shape[work]
    base = layout.shapes.first_stage[shape]
    leave(layout, state, index, work)
    for stage in range(base, layout.shapes.first_stage[shape + 1]):
        slot = layout.works.first_slot[work] + layout.shapes.stage_slot[stage]
        state.site[slot] = NOWHERE
        state.pool[slot] = NOWHERE


@kernel
def _untake(layout: Layout, state: State, index: Index, end: int) -> int:
    """Put a workload back where the record that ends at `end` says; return where the record begins."""
    work, shape = state.journal[end - 2], state.journal[end - 3]
    base = layout.shapes.first_stage[shape]
    stages = layout.shapes.first_stage[shape + 1] - base
    begin = end - 3 - 2 * stages
    for k in range(stages):
        slot = layout.works.first_slot[work] + layout.shapes.stage_slot[base + k]
        state.site[slot], state.pool[slot] = state.journal[begin + 2 * k], state.journal[begin + 2 * k + 1]
    enter(layout, state, index, work, shape)
    state.counts[PAID] -= 1
    state.egress[work] = state.paid[state.counts[PAID]]
    return begin
