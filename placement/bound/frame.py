"""What a bound counts: the workloads that must be served, by origin, and the pools that only their own site uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import bool_, float64, int8, int32, int64
    from numpy.typing import NDArray

    from placement.search.layout import Groups, Layout, Placing, Pools, Shapes, Works

MOST_STAGES = 10
"""Graphs of more stages than this get no table of every split; see `placement.bound.tables`."""

KINDS = 4
"""Kinds of capacity of a hardware group: cpus, memory, disk, eighths of accelerators."""


class Frame(NamedTuple):
    """Members by origin; a *row* is a member under one graph, a *step* one stage of a row, a *use* an own option.

    Attributes:
        members: workloads that must be served, by origin and then by id; blocks[b] to blocks[b+1] share an origin.
        first_row: by member (+1). shape, first_step, first_entry: by row (+1 for the last two). An entry is a number
            of the row's table (see `tables`): one for every split of its stages, or one per stage.
        first_use, last_use: by step, range of uses. load: by step, units of load, rounded to the safe side: down.
        segment: by step, (kind, slot) of its options elsewhere.
    """

    members: NDArray[int64]
    blocks: NDArray[int64]
    first_row: NDArray[int64]
    shape: NDArray[int32]
    first_step: NDArray[int64]
    first_entry: NDArray[int64]
    first_use: NDArray[int64]
    last_use: NDArray[int64]
    load: NDArray[float64]
    segment: NDArray[int64]


class Local(NamedTuple):
    """Local pools: those that nobody reaches from another site. A *user* is an own option that uses one.

    Attributes:
        first_place: by block (+1), range of its local pools. pool, cost: by place; price of a replica per hour.
        first_user: by place (+1), range of users. use, fill: by user, its own option, and replicas that it fills.
        is_open: by user, 0 when the option is too slow whatever the rest.
        first_group: by block (+1), range of `group`, the origin's hardware groups that none but local pools use.
        group: id. worth: by such group, price of all its nodes (see `worth_of`).
        host: by place, which of these groups it lies on; NOWHERE when others share that group.
        need: [place, kind], fraction that a replica takes of all nodes of its group together.
    """

    first_place: NDArray[int64]
    pool: NDArray[int32]
    cost: NDArray[float64]
    first_user: NDArray[int64]
    use: NDArray[int64]
    fill: NDArray[float64]
    is_open: NDArray[int8]
    first_group: NDArray[int64]
    group: NDArray[int64]
    worth: NDArray[float64]
    host: NDArray[int64]
    need: NDArray[float64]


def frame_of(layout: Layout, members: NDArray[int64], placing: Placing | None) -> Frame:
    """Return the frame of these workloads, each under the graphs that `placing` leaves it; under any when it is None.

    Who is degraded there may be served by any graph, who is not by the declared one alone.
    """
    works, shapes = layout.works, layout.shapes
    members = members[np.lexsort((members, works.origin[members]))]
    starts = np.flatnonzero(np.diff(works.origin[members], prepend=-1))
    first, last = _graphs(works, shapes, placing, members)
    first_row = firsts(last - first)
    shape = spans(first, last)
    stages = np.diff(shapes.first_stage).astype(np.int64)[shape]
    who = np.repeat(np.repeat(members, last - first), stages)
    first_stage = shapes.first_stage.astype(np.int64)
    place = shapes.stage_slot[spans(first_stage[shape], first_stage[shape + 1])]
    slot = works.first_slot[who] + place
    return Frame(
        members=members,
        blocks=np.append(starts, len(members)).astype(np.int64),
        first_row=first_row,
        shape=shape.astype(np.int32),
        first_step=firsts(stages),
        first_entry=firsts(np.where(stages > MOST_STAGES, stages, 2 ** np.minimum(stages, MOST_STAGES))),
        first_use=works.own_first[slot],
        last_use=works.own_first[slot + 1],
        load=np.maximum(0.0, works.wanted[slot] - 1.0),
        segment=works.kind_slot[works.kind[who]] + place,
    )


def firsts(counts: NDArray[int64]) -> NDArray[int64]:
    """Return where each of consecutive ranges begins, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def spans(first: NDArray[int64], last: NDArray[int64]) -> NDArray[int64]:
    """Return the numbers of every range first..last, one range after another."""
    sizes = (last - first).astype(np.int64)
    begins = firsts(sizes)
    return np.arange(begins[-1]) + np.repeat(first - begins[:-1], sizes)


def _graphs(
    works: Works, shapes: Shapes, placing: Placing | None, members: NDArray[int64]
) -> tuple[NDArray[int64], NDArray[int64]]:
    pipeline = works.pipeline[members]
    first, last = shapes.first[pipeline].astype(np.int64), shapes.first[pipeline + 1].astype(np.int64)
    return first, last if placing is None else np.where(placing.shape[members] == first, first + 1, last)


def local_of(layout: Layout, frame: Frame, is_open: NDArray[int8]) -> Local:
    """Return the pools that only members at their own site use, by block."""
    works, pools = layout.works, layout.pools
    is_local = ~_reached(works, frame, len(pools.site))
    block_of = np.full(len(works.origin), NOWHERE)
    block_of[frame.members] = np.repeat(np.arange(len(frame.blocks) - 1), np.diff(frame.blocks))
    slot_of = np.repeat(np.arange(len(works.wanted)), np.diff(works.own_first))
    work_of = np.repeat(np.arange(len(works.origin)), np.diff(works.first_slot))
    use = np.unique(spans(frame.first_use, frame.last_use))
    use = use[works.own_pool[use] != NOWHERE]
    use = use[is_local[works.own_pool[use]]]
    block = block_of[work_of[slot_of[use]]]
    order = np.lexsort((use, works.own_pool[use], block))
    use, block = use[order], block[order]
    users = works.own_pool[use]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    pool = users[starts]
    wanted = np.maximum(0.0, works.wanted[slot_of[use]] - 1.0)
    first_group, group, host = _private_groups(layout, frame, is_local, pool)
    return Local(
        first_place=np.searchsorted(block[starts], np.arange(len(frame.blocks))).astype(np.int64),
        pool=pool.astype(np.int32),
        cost=pools.price[pool],
        first_user=np.append(starts, len(use)).astype(np.int64),
        use=use.astype(np.int64),
        fill=wanted / (pools.throughput[users] + 1.0),
        is_open=is_open[use],
        first_group=first_group,
        group=group,
        worth=worth_of(pools, layout.groups)[group],
        host=host,
        need=needs_of(pools, layout.groups)[pool],
    )


def _reached(works: Works, frame: Frame, count: int) -> NDArray[bool_]:
    """Return which pools some member may reach from elsewhere."""
    segment = np.unique(frame.segment)
    options = spans(works.remote_first[segment], works.remote_first[segment + 1])
    found = np.zeros(count, np.bool_)
    pool = works.remote_pool[options]
    found[pool[pool != NOWHERE]] = True
    return found


def _private_groups(
    layout: Layout, frame: Frame, is_local: NDArray[bool_], pool: NDArray[int32]
) -> tuple[NDArray[int64], NDArray[int64], NDArray[int64]]:
    """Return by block the hardware groups that none but local pools use, and by place which of them it lies on."""
    is_private = np.ones(len(layout.groups.site), np.int8)
    is_private[layout.pools.group[~is_local]] = 0
    origins = layout.works.origin[frame.members[frame.blocks[:-1]]]
    begin, end = (np.searchsorted(layout.groups.site, origins + after) for after in (0, 1))
    group = spans(begin, end)
    counts = np.add.reduceat(np.append(is_private[group], 0), firsts(end - begin)[:-1]) if len(begin) else begin
    counts = np.where(end > begin, counts, 0)
    group = group[is_private[group] == 1]
    known = np.full(len(is_private), NOWHERE)
    known[group] = np.arange(len(group))
    return firsts(counts), group, known[layout.pools.group[pool]]


def needs_of(pools: Pools, groups: Groups) -> NDArray[float64]:
    """Return [pool, kind], what fraction of its whole group one replica takes."""
    nodes = np.diff(groups.first_node)[pools.group]
    taken = (pools.cpus - 1, pools.memory, pools.disk, pools.eighths)
    there = (groups.cpus, groups.memory, groups.disk, 8 * groups.devices.astype(np.int64))
    fractions = zip(taken, there, strict=True)
    parts = [np.maximum(0, take) / np.maximum(1, nodes * has[pools.group]) for take, has in fractions]
    return np.stack(parts, axis=1).reshape(len(pools.site), KINDS).astype(np.float64)


def worth_of(pools: Pools, groups: Groups) -> NDArray[float64]:
    """Return by group what filling it costs per hour: the scale of its multipliers, and so the pace of their moves."""
    most = np.maximum(needs_of(pools, groups).max(axis=1, initial=0.0), 1e-9)
    worth = np.zeros(len(groups.site))
    np.maximum.at(worth, pools.group, pools.price / most)
    return worth
