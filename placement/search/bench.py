"""Scratch room of the kernels: candidate sites, options with their prices, labels of the dynamic programme."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.search.index import Index, site_count
from placement.search.layout import Layout

if TYPE_CHECKING:
    from numpy import float64, int8, int16, int32, int64, uint64
    from numpy.typing import NDArray

MOST_SITES = 32
"""Candidate sites of one workload at one time."""

PER_SITE = 4
"""Options of a stage, for each candidate site, that are looked at."""

MOST_LABELS = 8192
MOST_FRONTS, SITES_HERE = 16, 8
"""Labels of a front that are kept, and candidate sites of a workload in a neighbourhood: more of either finds a little
more in one workload, and less in the same time."""

MOST_BATCH = 512
MOST_FLOWS = 1 << 19
UNKNOWN = -2
"""In `near`: nobody has looked yet."""

NEAR, RANKED = 6, 24
"""Sites kept per workload for their round trip, and per row of options for their price."""

MARGINAL, FAIR, SHARE, MOVE = range(4)
"""Entries of `Bench.blend`: weights of the price of another replica, of a fair part of all, of the least part there
can be; and what a move weighs."""

STAMP, SITES, CAREFUL, BLOCKED, BANNED, MOST, LATE, HASH, FAVOURED, IS_ALONE, BATCH, BEAM, WIDTH = range(13)
"""Entries of `Bench.counts`: stamp of `mark`; candidate sites; how wires are checked; blocked pools; the pool that may
not grow beyond so many replicas; whether latency turned a label away; stamp of `used`; the pool whose next replica
costs nothing; whether capacity does not matter; workloads in `batch`;
labels of a front that are kept; candidate sites of a workload in a neighbourhood."""


class Bench(NamedTuple):
    """Scratch.

    Attributes:
        blend, counts: see the entries above. blocked: pools that proved full.
        mark, place: by site, the stamp of the workload whose candidate it is, and its place among them.
        sites: the candidates.
        near: by workload, sites with the least round trip. ranked: by row of options, sites with the least price.
        raw_first, raw_at, raw_pool, raw_money, raw_time: by stage (+1), options: place of the site, pool, price, us.
        size, at, pool, money, time: by stage, its candidates after each site's pools have become one.
        rest, tail: by stage, the least money and time that what follows takes.
        flow_money, flow_time: by flow and both ends, -2 while not looked up, -1 without a way.
        cost, late, key, parent, choice: labels being made; slot, used: where each key is.
        now_cost, now_late, now_key, now_at, now_done: labels of the front: candidates and times by column.
        past_parent, past_choice: by stage and label, to read the best back.
        chosen: by stage; best_site, best_pool: by stage, the best of all rungs. old_site, old_pool: what was before.
        trial_site, trial_pool: the best of several shapes.
        score: scratch of selection.
        batch: workloads of a neighbourhood. hopeless: by workload, 2 when it finds no place in an empty fleet,
            1 when it finds one only with fallbacks.
    """

    blend: NDArray[float64]
    counts: NDArray[int64]
    blocked: NDArray[int32]
    mark: NDArray[int64]
    place: NDArray[int32]
    sites: NDArray[int32]
    near: NDArray[int32]
    ranked: NDArray[int32]
    raw_first: NDArray[int32]
    raw_at: NDArray[int32]
    raw_pool: NDArray[int32]
    raw_money: NDArray[float64]
    raw_time: NDArray[float64]
    size: NDArray[int32]
    at: NDArray[int32]
    pool: NDArray[int32]
    money: NDArray[float64]
    time: NDArray[float64]
    rest: NDArray[float64]
    tail: NDArray[float64]
    flow_money: NDArray[float64]
    flow_time: NDArray[float64]
    cost: NDArray[float64]
    late: NDArray[float64]
    key: NDArray[uint64]
    parent: NDArray[int32]
    choice: NDArray[int16]
    done: NDArray[float64]
    slot: NDArray[int32]
    used: NDArray[int64]
    now_cost: NDArray[float64]
    now_late: NDArray[float64]
    now_key: NDArray[uint64]
    now_at: NDArray[int16]
    now_done: NDArray[float64]
    past_parent: NDArray[int32]
    past_choice: NDArray[int16]
    best_site: NDArray[int32]
    best_pool: NDArray[int32]
    old_site: NDArray[int32]
    old_pool: NDArray[int32]
    trial_site: NDArray[int32]
    trial_pool: NDArray[int32]
    score: NDArray[float64]
    batch: NDArray[int32]
    hopeless: NDArray[int8]


def bench_of(layout: Layout, index: Index) -> Bench:
    """Return scratch room that is large enough for every graph of a layout."""
    shapes, works = layout.shapes, layout.works
    stages = max(1, int(np.diff(shapes.first_stage).max(initial=1)))
    edges = max(1, int(np.diff(shapes.first_edge).max(initial=1)))
    sites = candidates_for(edges)
    labels = MOST_LABELS // sites
    columns = int(index.width.max(initial=1))
    count = site_count(layout)
    raws = stages * sites * PER_SITE
    counts = np.zeros(13, np.int64)
    counts[BANNED] = counts[FAVOURED] = -1
    counts[WIDTH] = SITES_HERE
    counts[BEAM] = min(labels, MOST_FRONTS)
    i32, f64 = np.int32, np.float64
    return Bench(
        blend=np.zeros(4),
        counts=counts,
        blocked=np.zeros(16, i32),
        mark=np.zeros(count, np.int64),
        place=np.zeros(count, i32),
        sites=np.zeros(sites, i32),
        near=np.full((len(works.origin), NEAR), UNKNOWN, i32),
        ranked=np.full((len(works.remote_first) - 1, RANKED), -1, i32),
        raw_first=np.zeros(stages + 1, i32),
        raw_at=np.zeros(raws, i32),
        raw_pool=np.zeros(raws, i32),
        raw_money=np.zeros(raws),
        raw_time=np.zeros(raws),
        size=np.zeros(stages, i32),
        at=np.zeros((stages, sites), i32),
        pool=np.zeros((stages, sites), i32),
        money=np.zeros((stages, sites)),
        time=np.zeros((stages, sites)),
        rest=np.zeros(stages + 1),
        tail=np.zeros(stages),
        flow_money=np.zeros((edges, sites, sites)),
        flow_time=np.zeros((edges, sites, sites)),
        cost=np.zeros(MOST_LABELS),
        late=np.zeros(MOST_LABELS),
        key=np.zeros(MOST_LABELS, np.uint64),
        parent=np.zeros(MOST_LABELS, i32),
        choice=np.zeros(MOST_LABELS, np.int16),
        done=np.zeros(MOST_LABELS),
        slot=np.zeros(2 * MOST_LABELS, i32),
        used=np.zeros(2 * MOST_LABELS, np.int64),
        now_cost=np.zeros(labels),
        now_late=np.zeros(labels),
        now_key=np.zeros(labels, np.uint64),
        now_at=np.zeros((2, labels, columns), np.int16),
        now_done=np.zeros((2, labels, columns), f64),
        past_parent=np.zeros((stages, labels), i32),
        past_choice=np.zeros((stages, labels), np.int16),
        best_site=np.zeros(stages, i32),
        best_pool=np.zeros(stages, i32),
        old_site=np.zeros(stages, i32),
        old_pool=np.zeros(stages, i32),
        trial_site=np.zeros(stages, i32),
        trial_pool=np.zeros(stages, i32),
        score=np.zeros(MOST_LABELS),
        batch=np.zeros(MOST_BATCH, i32),
        hopeless=np.zeros(len(works.origin), np.int8),
    )


def candidates_for(edges: int) -> int:
    """Return how many candidate sites a workload may have, so that all flows between them fit the table."""
    return max(2, min(MOST_SITES, int((MOST_FLOWS / edges) ** 0.5)))
