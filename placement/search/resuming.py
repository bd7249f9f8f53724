"""Begins where a plan left off: every workload of a placing that is still allowed as it was goes back to its place."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

from placement.search.bench import Bench
from placement.search.changes import DONE, put, undo
from placement.search.dynamic import SLIVER_US
from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout, Placing
from placement.search.pricing import first_at
from placement.search.state import COST, EGRESS, LOGGED, PAID, WORK, State
from placement.search.ways import route

if TYPE_CHECKING:
    from numpy import int32
    from numpy.typing import NDArray


@kernel
def resume_many(
    layout: Layout, state: State, index: Index, bench: Bench, placing: Placing, order: NDArray[int32], start: int,
    until: int,
) -> int:  # fmt: skip
    """Put the unplaced of order[start:] where `placing` has them, if that is allowed and fits; return where it stopped.

    A stage at a place that is none of its options, a path that is too slow or has no way, a full pool or wire: then
    the whole workload stays out.
    """
    for at in range(start, len(order)):
        if state.counts[WORK] >= until:
            return at
        work = order[at]
        if placing.shape[work] != NOWHERE and state.shape[work] == NOWHERE:
            _resume(layout, state, index, bench, placing, work)
    return len(order)


@kernel
def _resume(layout: Layout, state: State, index: Index, bench: Bench, placing: Placing, work: int) -> None:
    shapes, shape = layout.shapes, placing.shape[work]
    base, first = shapes.first_stage[shape], layout.works.first_slot[work]
    stages = shapes.first_stage[shape + 1] - base
    state.counts[WORK] += stages
    for k in range(stages):
        slot = first + shapes.stage_slot[base + k]
        bench.best_site[k], bench.best_pool[k] = placing.site[slot], placing.pool[slot]
        if not _is_option(layout, work, shapes.stage_slot[base + k], placing.site[slot], placing.pool[slot]):
            return
    if not _is_in_time(layout, index, bench, work, shape) or not _is_apart(layout, index, bench, shape):
        return
    state.counts[LOGGED], state.counts[PAID] = 0, 0
    cost, egress = state.money[COST], state.money[EGRESS]
    if put(layout, state, index, work, shape, bench.best_site, bench.best_pool) != DONE:
        undo(layout, state, index, 0, cost, egress)


@kernel
def _is_option(layout: Layout, work: int, slot: int, site: int, pool: int) -> bool:
    works = layout.works
    if site == works.origin[work]:
        own = works.first_slot[work] + slot
        found = False
        for option in range(works.own_first[own], works.own_first[own + 1]):
            found = found or works.own_pool[option] == pool
        return found
    row = works.kind_slot[works.kind[work]] + slot
    option = first_at(layout, row, site)
    while option < works.remote_first[row + 1] and works.remote_site[option] == site:
        if works.remote_pool[option] == pool:
            return True
        option += 1
    return False


@kernel
def _is_in_time(layout: Layout, index: Index, bench: Bench, work: int, shape: int) -> bool:
    """Return whether every flow of `Bench.best_*` has a way and every path is within the objective."""
    works, shapes = layout.works, layout.shapes
    base, limit = shapes.first_stage[shape], works.limit_us[work]
    done = bench.tail
    for k in range(shapes.first_stage[shape + 1] - base):
        begun = 0.0
        for at in range(index.in_first[base + k], index.in_first[base + k + 1]):
            edge = index.in_edge[at]
            source = shapes.edge_source[edge]
            a = works.origin[work] if source == NOWHERE else bench.best_site[source]
            time = _flow_us(layout, work, edge, a, bench.best_site[k])
            if time < 0:
                return False
            if shapes.edge_counts[edge] == 1:
                begun = max(begun, time if source == NOWHERE else time + done[source])
        pool = bench.best_pool[k]
        own = 0.0 if pool == NOWHERE else layout.pools.service_us[pool] * works.wait[work]
        done[k] = begun + own if shapes.stage_waits[base + k] == 1 else 0.0
        for at in range(index.out_first[base + k], index.out_first[base + k + 1]):
            edge = index.out_edge[at]
            time = _flow_us(layout, work, edge, bench.best_site[k], works.origin[work])
            if time < 0 or (limit >= 0 and shapes.edge_counts[edge] == 1 and done[k] + time > limit + SLIVER_US):
                return False
    return True


@kernel
def _flow_us(layout: Layout, work: int, edge: int, a: int, b: int) -> float:
    """Return the time of a flow; -1 without a way."""
    if a == b:
        return 0.0
    mask = layout.works.mask[layout.works.kind_flow[layout.works.kind[work]] + layout.shapes.edge_flow[edge]]
    rtt, _, narrow = route(layout.ways, mask, a, b)
    return -1.0 if rtt < 0 else rtt / 2 + layout.shapes.edge_bytes[edge] * 8e6 / narrow


@kernel
def _is_apart(layout: Layout, index: Index, bench: Bench, shape: int) -> bool:
    base = layout.shapes.first_stage[shape]
    for k in range(layout.shapes.first_stage[shape + 1] - base):
        for at in range(index.apart_first[base + k], index.apart_first[base + k + 1]):
            domain = layout.spreads.domain[index.apart_by[at]]
            if domain[bench.best_site[index.apart_stage[at]]] == domain[bench.best_site[k]]:
                return False
    return True
