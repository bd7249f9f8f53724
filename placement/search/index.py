"""What is read off a layout once, so that no kernel looks for it twice: who owns a slot, what a graph's front carries.

The *front* of a graph after some stage is the stages that a later one still receives from (or must stay apart from);
each has a column while it is in the front.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.search.layout import NOWHERE, Layout

if TYPE_CHECKING:
    from numpy import float64, int32, int64
    from numpy.typing import NDArray


class Index(NamedTuple):
    """Facts about a layout.

    Attributes:
        owner: by slot, its workload.
        site_pool: by site (+1), where its pools begin. first_device: by group (+1), where its devices begin.
        users, user: by pool (+1), and the rows of `Works.remote_first` whose stages may use it from elsewhere.
        potential: by pool, units of load of everybody who may use it.
        share: by pool, price per unit of load when it is as full as it can be.
        part: the same for pools that serve other sites, 0 for those of one site alone.
        row_kind: by row of `Works.remote_first`, its kind.
        kind_first, kind_work: by kind (+1), its workloads.
        stage_column, stage_last: by stage of all graphs, its column in the front (NOWHERE when it is in none), and the
            position of the last stage that needs it.
        gone_first, gone: by stage (+1), positions that leave the front with it.
        in_first, in_edge: by stage (+1), the flows into it. out_first, out_edge: the answers it gives.
        apart_first, apart_stage, apart_by: by stage (+1), earlier positions that may not share its domain.
        width: by shape, columns of its front. row: by shape, 1 when it is as declared.
        limit_first, limit: by pipeline (+1), rows of `Spreads`.
    """

    owner: NDArray[int32]
    site_pool: NDArray[int32]
    first_device: NDArray[int32]
    users: NDArray[int64]
    user: NDArray[int32]
    potential: NDArray[int64]
    share: NDArray[float64]
    part: NDArray[float64]
    row_kind: NDArray[int32]
    kind_first: NDArray[int64]
    kind_work: NDArray[int32]
    stage_column: NDArray[int32]
    stage_last: NDArray[int32]
    gone_first: NDArray[int32]
    gone: NDArray[int32]
    in_first: NDArray[int32]
    in_edge: NDArray[int32]
    out_first: NDArray[int32]
    out_edge: NDArray[int32]
    apart_first: NDArray[int32]
    apart_stage: NDArray[int32]
    apart_by: NDArray[int32]
    width: NDArray[int32]
    limit_first: NDArray[int32]
    limit: NDArray[int32]


def index_of(layout: Layout) -> Index:
    """Return the facts about a layout."""
    works, pools, groups = layout.works, layout.pools, layout.groups
    sites = site_count(layout)
    owner = np.repeat(np.arange(len(works.origin), dtype=np.int32), np.diff(works.first_slot))
    users, user = _users(layout)
    potential = _potential(layout, owner)
    full = np.maximum(1, np.minimum(pools.throughput, potential))
    rows = np.diff(works.kind_slot)
    by_kind = np.argsort(works.kind, kind="stable").astype(np.int32)
    limit_first, limit = _grouped(layout.spreads.pipeline, len(layout.shapes.first) - 1)
    return Index(
        owner=owner,
        site_pool=np.searchsorted(pools.site, np.arange(sites + 1)).astype(np.int32),
        first_device=_starts(np.diff(groups.first_node) * groups.devices),
        users=users,
        user=user,
        potential=potential,
        share=pools.price / full,
        part=np.where(np.diff(users) > 0, pools.price / full, 0.0),
        row_kind=np.repeat(np.arange(len(rows), dtype=np.int32), rows),
        kind_first=np.searchsorted(works.kind[by_kind], np.arange(len(rows) + 1)).astype(np.int64),
        kind_work=by_kind,
        **_fronts(layout),
        limit_first=limit_first,
        limit=limit,
    )


def site_count(layout: Layout) -> int:
    """Return one more than the last site that anything names."""
    works = layout.works
    named = (layout.pools.site, layout.groups.site, works.origin, works.own_site, works.remote_site)
    return 1 + max(int(sites.max(initial=-1)) for sites in named)


def _starts(sizes: NDArray[int32]) -> NDArray[int32]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes))).astype(np.int32)


def _grouped(keys: NDArray[int32], count: int) -> tuple[NDArray[int32], NDArray[int32]]:
    """Return where each key's members begin (+1), and the members."""
    order = np.argsort(keys, kind="stable").astype(np.int32)
    return np.searchsorted(keys[order], np.arange(count + 1)).astype(np.int32), order


def _users(layout: Layout) -> tuple[NDArray[int64], NDArray[int32]]:
    works = layout.works
    rows = np.repeat(np.arange(len(works.remote_first) - 1, dtype=np.int32), np.diff(works.remote_first))
    pooled = np.flatnonzero(works.remote_pool != NOWHERE)
    order = pooled[np.argsort(works.remote_pool[pooled], kind="stable")]
    starts = np.searchsorted(works.remote_pool[order], np.arange(len(layout.pools.site) + 1))
    return starts.astype(np.int64), rows[order]


def _potential(layout: Layout, owner: NDArray[int32]) -> NDArray[int64]:
    """Return what would fall on each pool if everybody who may use it did."""
    works = layout.works
    found = np.zeros(len(layout.pools.site), np.float64)
    slot_in_work = np.arange(len(owner)) - works.first_slot[:-1][owner]
    row = works.kind_slot[works.kind[owner]] + slot_in_work
    by_row = np.bincount(row, weights=works.wanted, minlength=len(works.remote_first) - 1)
    remote = np.repeat(by_row, np.diff(works.remote_first))
    pooled = works.remote_pool != NOWHERE
    np.add.at(found, works.remote_pool[pooled], remote[pooled])
    own = np.repeat(works.wanted, np.diff(works.own_first))
    pooled = works.own_pool != NOWHERE
    np.add.at(found, works.own_pool[pooled], own[pooled].astype(np.float64))
    return np.minimum(found, 2.0**62).astype(np.int64)


def _fronts(layout: Layout) -> dict[str, NDArray[int32]]:
    """Return the tables over stages of all graphs."""
    shapes = layout.shapes
    stages = int(shapes.first_stage[-1])
    columns = np.full(stages, NOWHERE, np.int32)
    lasts = np.full(stages, NOWHERE, np.int32)
    ins: list[list[int]] = [[] for _ in range(stages)]
    outs: list[list[int]] = [[] for _ in range(stages)]
    aparts: list[list[tuple[int, int]]] = [[] for _ in range(stages)]
    gone: list[list[int]] = [[] for _ in range(stages)]
    width = np.ones(len(shapes.first_stage) - 1, np.int32)
    for pipeline, (begin, end) in enumerate(zip(shapes.first[:-1], shapes.first[1:], strict=True)):
        for shape in range(begin, end):
            base, stop = int(shapes.first_stage[shape]), int(shapes.first_stage[shape + 1])
            slots = {int(slot): position for position, slot in enumerate(shapes.stage_slot[base:stop])}
            for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
                source, target = int(shapes.edge_source[edge]), int(shapes.edge_target[edge])
                (outs[base + source] if target == NOWHERE else ins[base + target]).append(edge)
                if NOWHERE not in (source, target):
                    lasts[base + source] = max(lasts[base + source], target)
            for earlier, later, by in _apart(layout, pipeline, slots):
                aparts[base + later].append((earlier, by))
                lasts[base + earlier] = max(lasts[base + earlier], later)
            for position, last in enumerate(lasts[base:stop].tolist()):
                if last != NOWHERE:
                    gone[base + last].append(position)
            columns[base:stop], width[shape] = _columns(lasts[base:stop].tolist())
    in_first, in_edge = _rows(ins)
    out_first, out_edge = _rows(outs)
    gone_first, gone_stage = _rows(gone)
    apart_first, apart_stage = _rows([[stage for stage, _ in pairs] for pairs in aparts])
    _, apart_by = _rows([[by for _, by in pairs] for pairs in aparts])
    return {
        "stage_column": columns, "stage_last": lasts, "gone_first": gone_first, "gone": gone_stage,
        "in_first": in_first, "in_edge": in_edge, "out_first": out_first, "out_edge": out_edge,
        "apart_first": apart_first, "apart_stage": apart_stage, "apart_by": apart_by, "width": width,
    }  # fmt: skip


def _apart(layout: Layout, pipeline: int, slots: dict[int, int]) -> Iterable[tuple[int, int, int]]:
    spreads = layout.spreads
    for row in np.flatnonzero(spreads.apart_pipeline == pipeline):
        a, b = slots.get(int(spreads.apart_slot[row])), slots.get(int(spreads.apart_other[row]))
        if a is not None and b is not None and a != b:
            yield min(a, b), max(a, b), int(spreads.apart_by[row])


def _columns(lasts: Sequence[int]) -> tuple[list[int], int]:
    """Return the column of each stage and how many there are: one is used again once its stage has left the front."""
    free: list[int] = []
    leaving: dict[int, list[int]] = {}
    found, used = [], 0
    for position, last in enumerate(lasts):
        free += leaving.pop(position, [])
        if last == NOWHERE:
            found.append(NOWHERE)
            continue
        if free:
            column = free.pop()
        else:
            column, used = used, used + 1
        found.append(column)
        leaving.setdefault(last, []).append(column)
    return found, max(1, used)


def _rows(lists: Sequence[Sequence[int]]) -> tuple[NDArray[int32], NDArray[int32]]:
    starts = np.cumsum([0, *(len(row) for row in lists)]).astype(np.int32)
    return starts, np.array([item for row in lists for item in row], np.int32)
