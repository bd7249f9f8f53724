"""What a search holds in its hands: loads, replicas on nodes, wires, and where every stage is.

All of it is whole numbers but money, so that what was done can be undone to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.search.layout import NOWHERE, Layout, Packing, Placing

if TYPE_CHECKING:
    from numpy import float64, int8, int32, int64, uint64
    from numpy.typing import NDArray

UNPLACED, DEGRADED, MOVES, WORK, LOGGED, PAID, SPARE, TICKET = range(8)
"""Entries of `State.counts`: the goals; work done; lengths of the journal, of its money, of spare cells; a stamp."""

COST, EGRESS, HOLLOW, SMOOTH = range(4)
"""Entries of `State.money`: currency per hour of everything; of its egress; of what open replicas of pools that serve
other sites cost beyond a fair price of their load; and how much of the last does not count now, from 0 to 1."""

EIGHTHS = 8
JOURNAL = 1 << 20
MOST_CELLS = 1 << 24


class State(NamedTuple):
    """A placing with everything that follows from it.

    Attributes:
        shape, egress: by workload; `egress` is currency per hour, meaningful while it is placed.
        site, pool, after, before: by slot: where it is, and its neighbours among the members of that pool.
        load, replicas, member, top: by pool: units asked of it, whole replicas, first member slot, last replica cell.
        cpus, memory, disk: by node, what is free. eighths: by device, what is free.
        below, node, device, spare: by replica cell: the one opened before it; where it lies; a stack of unused cells.
        version: by group, how often its nodes changed. seen, room: by pool, the version at which `room` was counted.
        hops: by directed hop, units of flow. spread: [limit, domain], units of load.
        held_shape, held_site, held_pool: where stages should stay, NOWHERE for what was nowhere.
        counts, money: see the entries above. seed: of the generator.
        journal, paid: what to undo, last first, and the egress that goes with it.
        path: hops of one route.
    """

    shape: NDArray[int32]
    egress: NDArray[float64]
    site: NDArray[int32]
    pool: NDArray[int32]
    after: NDArray[int32]
    before: NDArray[int32]
    load: NDArray[int64]
    replicas: NDArray[int64]
    member: NDArray[int32]
    top: NDArray[int32]
    cpus: NDArray[int64]
    memory: NDArray[int64]
    disk: NDArray[int64]
    eighths: NDArray[int8]
    below: NDArray[int32]
    node: NDArray[int32]
    device: NDArray[int32]
    spare: NDArray[int32]
    version: NDArray[int64]
    seen: NDArray[int64]
    room: NDArray[int64]
    hops: NDArray[int64]
    spread: NDArray[int64]
    held_shape: NDArray[int32]
    held_site: NDArray[int32]
    held_pool: NDArray[int32]
    counts: NDArray[int64]
    money: NDArray[float64]
    seed: NDArray[uint64]
    journal: NDArray[int64]
    paid: NDArray[float64]
    path: NDArray[int64]


def empty_state(layout: Layout, held: Placing | None = None) -> State:
    """Return the state in which nothing is placed; moves are counted against `held`."""
    pools, groups, works = layout.pools, layout.groups, layout.works
    workloads, slots, total = len(works.origin), len(works.wanted), len(pools.site)
    nodes = np.diff(groups.first_node)
    cells = _cells(layout)
    nowhere = np.full(max(workloads, slots), NOWHERE, np.int32)
    kept = held if held is not None else Placing(nowhere[:workloads], nowhere[:slots], nowhere[:slots])
    counts = np.zeros(8, np.int64)
    counts[UNPLACED], counts[SPARE] = works.priority.sum(), cells
    return State(
        shape=np.full(workloads, NOWHERE, np.int32),
        egress=np.zeros(workloads),
        site=np.full(slots, NOWHERE, np.int32),
        pool=np.full(slots, NOWHERE, np.int32),
        after=np.full(slots, NOWHERE, np.int32),
        before=np.full(slots, NOWHERE, np.int32),
        load=np.zeros(total, np.int64),
        replicas=np.zeros(total, np.int64),
        member=np.full(total, NOWHERE, np.int32),
        top=np.full(total, NOWHERE, np.int32),
        cpus=np.repeat(groups.cpus, nodes),
        memory=np.repeat(groups.memory, nodes),
        disk=np.repeat(groups.disk, nodes),
        eighths=np.full(int((nodes * groups.devices).sum()), EIGHTHS, np.int8),
        below=np.full(cells, NOWHERE, np.int32),
        node=np.full(cells, NOWHERE, np.int32),
        device=np.full(cells, NOWHERE, np.int32),
        spare=np.arange(cells, dtype=np.int32)[::-1].copy(),
        version=np.ones(len(groups.site), np.int64),
        seen=np.zeros(total, np.int64),
        room=np.zeros(total, np.int64),
        hops=np.zeros(len(layout.hop_capacity), np.int64),
        spread=np.zeros((len(layout.spreads.slot), int(layout.spreads.domain.max(initial=-1)) + 1), np.int64),
        held_shape=kept.shape,
        held_site=kept.site,
        held_pool=kept.pool,
        counts=counts,
        money=np.zeros(4),
        seed=np.array([0x9E3779B97F4A7C15], np.uint64),
        journal=np.zeros(JOURNAL, np.int64),
        paid=np.zeros(JOURNAL // 8),
        path=np.zeros(max(64, len(layout.hop_capacity) + 1), np.int64),
    )


def _cells(layout: Layout) -> int:
    """Return how many replicas there can be at once: one for each slot and what its load alone could fill."""
    slowest = int(layout.pools.throughput.min(initial=2**62))
    filled = int(layout.works.wanted.astype(np.float64).sum() / max(1, slowest))
    return int(min(MOST_CELLS, len(layout.works.wanted) + filled + 1))


def copy_of(state: State) -> State:
    """Return the same state in arrays of its own, but for the journal and what is only scratch."""
    shared = {"journal", "paid", "path", "held_shape", "held_site", "held_pool"}
    return State(*(part if name in shared else part.copy() for name, part in state._asdict().items()))


def restore(state: State, saved: State) -> None:
    """Make `state` what `saved` is, except for the work done."""
    work, seed, newest = int(state.counts[WORK]), state.seed.copy(), int(state.version.max(initial=0))
    for name, kept in saved._asdict().items():
        part = getattr(state, name)
        if part is not kept:
            part[...] = kept
    state.counts[WORK], state.seed[...] = work, seed
    state.version[...] = newest + 1
    state.seen[...] = 0


def placing_of(state: State) -> Placing:
    """Return where everything is, in arrays of its own."""
    return Placing(state.shape.copy(), state.site.copy(), state.pool.copy())


def packing_of(state: State) -> Packing:
    """Return where every replica lies, sorted by pool, node and device."""
    owners, cells = [], []
    for pool in np.flatnonzero(state.replicas).tolist():
        cell = int(state.top[pool])
        while cell != NOWHERE:
            owners.append(pool)
            cells.append(cell)
            cell = int(state.below[cell])
    rows = np.array(owners, np.int32), state.node[cells], state.device[cells]
    order = np.lexsort(rows[::-1])
    return Packing(*(row[order] for row in rows))
