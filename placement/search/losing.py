"""Who a loss touches, and where they go then: workloads counted out, served elsewhere, and put back as they were.

Replicas that a failure opens stay open: what is reserved is the most that any failure needs, and whoever comes later
finds it free of charge. Node, device, wire and domain hold in each failure as they do in normal running.
"""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.search.bench import Bench
from placement.search.changes import DONE, end_site, enter, leave, put, undo
from placement.search.index import Index
from placement.search.insertion import insert_degraded, try_shape
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout, Packing, Placing
from placement.search.stacking import close_one, lay, open_one
from placement.search.state import COST, EGRESS, LOGGED, PAID, State
from placement.search.ways import hops, reverse

if TYPE_CHECKING:
    from numpy import int32, int64
    from numpy.typing import NDArray


class Cover(NamedTuple):
    """How the workloads that survive a loss are served after it.

    Attributes:
        work: ids. shape: of each, id of its graph; NOWHERE while it is not served.
        first: by entry (+1), where its slots begin in `site` and `pool`, which are as in `Placing`.
    """

    work: NDArray[int32]
    shape: NDArray[int32]
    first: NDArray[int64]
    site: NDArray[int32]
    pool: NDArray[int32]


@kernel
def list_exposed(layout: Layout, state: State, works: NDArray[int32], who: NDArray[int32], what: NDArray[int32]) -> int:
    """Write (who, what) for each loss that some of these do not outlive, with repetitions; return how many there are.

    A site is itself; a wire is the lesser hop of its two directions, after all sites. Origins are left out. Too many
    for the room that there is are counted all the same.
    """
    count = 0
    for work in works:
        shape = state.shape[work]
        if shape == NOWHERE:
            continue
        for stage in range(layout.shapes.first_stage[shape], layout.shapes.first_stage[shape + 1]):
            site = state.site[layout.works.first_slot[work] + layout.shapes.stage_slot[stage]]
            count = _note(layout, work, site, who, what, count)
        for edge in range(layout.shapes.first_edge[shape], layout.shapes.first_edge[shape + 1]):
            length = trace(layout, state, work, shape, edge)
            for hop in state.path[:length]:
                count = _note(layout, work, layout.ways.end[hop], who, what, count)
                wire = len(layout.ways.first_hop) - 1 + min(hop, reverse(layout.ways, hop))
                count = _note(layout, work, wire, who, what, count)
    return count


@kernel
def _note(layout: Layout, work: int, loss: int, who: NDArray[int32], what: NDArray[int32], count: int) -> int:
    if loss == layout.works.origin[work]:
        return count
    if count < len(who):
        who[count], what[count] = work, loss
    return count + 1


@kernel
def trace(layout: Layout, state: State, work: int, shape: int, edge: int) -> int:
    """Write the hops of a flow of a placed workload to `State.path` and return how many."""
    a = end_site(layout, state, work, shape, layout.shapes.edge_source[edge])
    b = end_site(layout, state, work, shape, layout.shapes.edge_target[edge])
    if a == b:
        return 0
    mask = layout.works.mask[layout.works.kind_flow[layout.works.kind[work]] + layout.shapes.edge_flow[edge]]
    return hops(layout.ways, mask, a, b, state.path)


@kernel
def lay_all(layout: Layout, state: State, index: Index, packing: Packing) -> None:
    """Put every replica of a packing on its node and device."""
    for at in range(len(packing.pool)):
        lay(layout.pools, layout.groups, state, index, packing.pool[at], packing.node[at], packing.device[at])


@kernel
def fit(layout: Layout, state: State, index: Index, needed: NDArray[int64]) -> None:
    """Close the replicas of each pool that are more than needed, the last opened first; then open those that lack."""
    for pool in range(len(needed)):
        while state.replicas[pool] > needed[pool]:
            state.counts[LOGGED] = 0
            close_one(layout.pools, layout.groups, state, index, pool)
    for pool in range(len(needed)):
        while state.replicas[pool] < needed[pool]:
            state.counts[LOGGED] = 0
            if not open_one(layout.pools, layout.groups, state, index, pool):
                break


@kernel
def enter_many(layout: Layout, state: State, index: Index, placing: Placing, works: NDArray[int32]) -> None:
    """Count these workloads in where a placing has them, on replicas that are there."""
    for work in works:
        if placing.shape[work] != NOWHERE:
            for slot in range(layout.works.first_slot[work], layout.works.first_slot[work + 1]):
                state.site[slot], state.pool[slot] = placing.site[slot], placing.pool[slot]
            enter(layout, state, index, work, placing.shape[work])


@kernel
def leave_many(layout: Layout, state: State, index: Index, works: NDArray[int32]) -> None:
    """Count these workloads out; their replicas stay open."""
    for work in works:
        if state.shape[work] != NOWHERE:
            leave(layout, state, index, work)
            for slot in range(layout.works.first_slot[work], layout.works.first_slot[work + 1]):
                state.site[slot], state.pool[slot] = NOWHERE, NOWHERE


@kernel
def cover_all(
    layout: Layout, state: State, index: Index, bench: Bench, normal: Placing, cover: Cover, most: int
) -> int:
    """Serve everybody in a cover, as it says where that still fits; return how many are not served.

    Args:
        layout: with the routes and options that are left. normal: where everybody is without the loss.
        most: candidate sites of each.
    """
    missing = 0
    for k in range(len(cover.work)):
        if cover.shape[k] != NOWHERE and not _serve_again(layout, state, index, bench, cover, k):
            cover.shape[k] = NOWHERE
    for k in range(len(cover.work)):
        if cover.shape[k] == NOWHERE:
            if _serve(layout, state, index, bench, normal, cover.work[k], most):
                _record(layout, state, cover, k)
            else:
                missing += 1
    return missing


@kernel
def _serve_again(layout: Layout, state: State, index: Index, bench: Bench, cover: Cover, k: int) -> bool:
    """Put a workload where its cover says; False, and nothing changed, when that is full."""
    shape, first = cover.shape[k], cover.first[k]
    base = layout.shapes.first_stage[shape]
    for stage in range(layout.shapes.first_stage[shape + 1] - base):
        slot = first + layout.shapes.stage_slot[base + stage]
        bench.best_site[stage], bench.best_pool[stage] = cover.site[slot], cover.pool[slot]
    state.counts[LOGGED], state.counts[PAID] = 0, 0
    cost, egress = state.money[COST], state.money[EGRESS]
    if put(layout, state, index, cover.work[k], shape, bench.best_site, bench.best_pool) == DONE:
        return True
    undo(layout, state, index, 0, cost, egress)
    return False


@kernel
def _serve(layout: Layout, state: State, index: Index, bench: Bench, normal: Placing, work: int, most: int) -> bool:
    """Serve a workload that lost something: as declared, or with fallbacks if it needs them already."""
    recall(layout, bench, normal, work)
    declared = layout.shapes.first[layout.works.pipeline[work]]
    state.counts[LOGGED], state.counts[PAID] = 0, 0
    if try_shape(layout, state, index, bench, work, declared, most, 0, np.inf):
        return True
    if normal.shape[work] == declared:
        return False
    return insert_degraded(layout, state, index, bench, work, most, 0, np.inf)


@kernel
def recall(layout: Layout, bench: Bench, placing: Placing, work: int) -> None:
    """Make the sites at which a placing has a workload candidates; none when it is unplaced."""
    bench.old_site[:] = NOWHERE
    shape = placing.shape[work]
    if shape == NOWHERE:
        return
    base = layout.shapes.first_stage[shape]
    for k in range(layout.shapes.first_stage[shape + 1] - base):
        slot = layout.works.first_slot[work] + layout.shapes.stage_slot[base + k]
        bench.old_site[k], bench.old_pool[k] = placing.site[slot], placing.pool[slot]


@kernel
def _record(layout: Layout, state: State, cover: Cover, k: int) -> None:
    work = cover.work[k]
    cover.shape[k] = state.shape[work]
    first = layout.works.first_slot[work]
    for slot in range(first, layout.works.first_slot[work + 1]):
        cover.site[cover.first[k] + slot - first] = state.site[slot]
        cover.pool[cover.first[k] + slot - first] = state.pool[slot]
