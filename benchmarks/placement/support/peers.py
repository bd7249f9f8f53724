"""What others do, on the same arrays and the same rules: greedy filter-and-score in three ways, and one by one.

As Kubernetes, Open Cluster Management and Karmada place: the workloads in the order of their priority, stage after
stage, every place that is left after filtering (law, hardware, room, route, latency so far) scored, the best taken,
never looked at again. They get whole replicas on real nodes, wires and fallbacks exactly as our own search does, and
one look ahead that none of them has: a place from which the answer could not be back in time is filtered out.

As SkyPilot places: for each workload in turn the cheapest way through its whole graph by dynamic programming, at list
prices, as if it were alone; with a repair that SkyPilot leaves to its user: where a pool has no room left the way is
sought again without it, and who finds none at last is unplaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from placement.search import sweeping
from placement.search.address import by_address
from placement.search.changes import BYTES_PER_GB, DONE, SECONDS_PER_HOUR, put, undo
from placement.search.index import Index, index_of
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout
from placement.search.running import Run
from placement.search.stacking import room_for
from placement.search.state import COST, EGRESS, LOGGED, PAID, State, empty_state
from placement.search.ways import route

if TYPE_CHECKING:
    from numpy import float64, int32
    from numpy.typing import NDArray

LIST_PRICE, LEAST_ALLOCATED, MARGINAL_PRICE = range(3)
MOST_STAGES = 64
WITHOUT_END = 1 << 60
EVERY_SITE = 64
"""Candidate sites that the dynamic programme may choose from; more than a generated workload has."""

PEERS: Mapping[str, Callable[[Layout], State]] = MappingProxyType(
    {
        "greedy by list price": lambda layout: greedy(layout, LIST_PRICE),
        "greedy least-allocated": lambda layout: greedy(layout, LEAST_ALLOCATED),
        "greedy at marginal price": lambda layout: greedy(layout, MARGINAL_PRICE),
        "DP per pipeline, repaired": lambda layout: one_by_one(layout),
    }
)


def one_by_one(layout: Layout) -> State:
    """Return what dynamic programming places, workload after workload, by list prices."""
    run = Run.of_layout(layout, WITHOUT_END, None, None)
    order = np.argsort(-layout.works.priority, kind="stable").astype(np.int32)
    sweeping.rank_rows(*run.by)
    run.blend(0.0, 0.0, 1.0)
    run.insert(order, EVERY_SITE)
    return run.state


def greedy(layout: Layout, score: int) -> State:
    """Return what one greedy pass places."""
    index, state = index_of(layout), empty_state(layout)
    order = np.argsort(-layout.works.priority, kind="stable").astype(np.int32)
    by = by_address(layout), by_address(state), by_address(index)
    sites, pools = np.zeros(MOST_STAGES, np.int32), np.zeros(MOST_STAGES, np.int32)
    _pass(*by, order, score, sites, pools, np.zeros(MOST_STAGES))
    return state


@kernel
def _pass(
    layout: Layout, state: State, index: Index, order: NDArray[int32], score: int, sites: NDArray[int32],
    pools: NDArray[int32], done: NDArray[float64],
) -> None:  # fmt: skip
    for work in order:
        pipeline = layout.works.pipeline[work]
        for shape in range(layout.shapes.first[pipeline], layout.shapes.first[pipeline + 1]):
            cost, egress = state.money[COST], state.money[EGRESS]
            if _choose(layout, state, index, work, shape, score, sites, pools, done):
                if put(layout, state, index, work, shape, sites, pools) == DONE:
                    break
                undo(layout, state, index, 0, cost, egress)
        state.counts[LOGGED], state.counts[PAID] = 0, 0


@kernel
def _choose(
    layout: Layout, state: State, index: Index, work: int, shape: int, score: int, sites: NDArray[int32],
    pools: NDArray[int32], done: NDArray[float64],
) -> bool:  # fmt: skip
    """Choose a place for each stage in turn; False when one has none left."""
    works, shapes = layout.works, layout.shapes
    base = shapes.first_stage[shape]
    for k in range(shapes.first_stage[shape + 1] - base):
        slot_in_work = shapes.stage_slot[base + k]
        slot = works.first_slot[work] + slot_in_work
        row = works.kind_slot[works.kind[work]] + slot_in_work
        best = np.inf
        own, remote = works.own_first[slot + 1] - works.own_first[slot], works.remote_first[row]
        for option in range(own + works.remote_first[row + 1] - remote):
            if option < own:
                site, pool = (
                    works.own_site[works.own_first[slot] + option],
                    works.own_pool[works.own_first[slot] + option],
                )
            else:
                site, pool = works.remote_site[remote + option - own], works.remote_pool[remote + option - own]
                if site == works.origin[work]:
                    continue
            money, late = _flows_in(layout, index, work, shape, k, site, sites, done)
            if late < 0:
                continue
            if pool != NOWHERE:
                late += layout.pools.service_us[pool] * works.wait[work]
                money = _scored(layout, state, index, pool, works.wanted[slot], score, money)
            if money < best and _is_back(layout, index, work, shape, k, site, late):
                best = money
                sites[k], pools[k], done[k] = site, pool, late
        if best == np.inf:
            return False
    return True


@kernel
def _scored(layout: Layout, state: State, index: Index, pool: int, wanted: int, score: int, egress: float) -> float:
    """Return what a place is worth, less is better; infinite when it has no room."""
    pools = layout.pools
    free = state.replicas[pool] * pools.throughput[pool] - state.load[pool]
    more = (max(0, wanted - free) + pools.throughput[pool] - 1) // pools.throughput[pool]
    if more > 0 and room_for(pools, layout.groups, state, index, pool) < more:
        return np.inf
    if score == MARGINAL_PRICE:
        return egress + more * pools.price[pool]
    if score == LIST_PRICE:
        return egress + pools.price[pool] * wanted / pools.throughput[pool]
    group = pools.group[pool]
    first, last = layout.groups.first_node[group], layout.groups.first_node[group + 1]
    cpus, memory = 0.0, 0.0
    for node in range(first, last):
        cpus += state.cpus[node] / layout.groups.cpus[group]
        memory += state.memory[node] / layout.groups.memory[group]
    return -(cpus + memory) / (2 * (last - first))


@kernel
def _flows_in(
    layout: Layout,
    index: Index,
    work: int,
    shape: int,
    k: int,
    site: int,
    sites: NDArray[int32],
    done: NDArray[float64],
) -> tuple[float, float]:
    """Return egress per hour of the flows into a stage, and when the last has arrived; (0, -1) without a way."""
    works, shapes = layout.works, layout.shapes
    base = shapes.first_stage[shape]
    money, late = 0.0, 0.0
    for at in range(index.in_first[base + k], index.in_first[base + k + 1]):
        edge = index.in_edge[at]
        source = shapes.edge_source[edge]
        origin = works.origin[work] if source == NOWHERE else sites[source]
        rtt, price, bandwidth = route(layout.ways, _mask(layout, work, edge), origin, site)
        if rtt < 0:
            return 0.0, -1.0
        each = works.rate[work] * shapes.edge_share[edge] * shapes.edge_bytes[edge]
        money += each * SECONDS_PER_HOUR * price / BYTES_PER_GB
        if shapes.edge_counts[edge] == 1:
            begun = 0.0 if source == NOWHERE else done[source]
            wire = shapes.edge_bytes[edge] * 8e6 / bandwidth if bandwidth > 0 else 0.0
            late = max(late, begun + rtt / 2 + wire)
    return money, late


@kernel
def _is_back(layout: Layout, index: Index, work: int, shape: int, k: int, site: int, late: float) -> bool:
    """Return whether the answer of a stage, or of one behind it, can be back in time."""
    works, shapes = layout.works, layout.shapes
    stage = shapes.first_stage[shape] + k
    for at in range(index.out_first[stage], index.out_first[stage + 1]):
        edge = index.out_edge[at]
        rtt, _, bandwidth = route(layout.ways, _mask(layout, work, edge), site, works.origin[work])
        if rtt < 0:
            return False
        wire = shapes.edge_bytes[edge] * 8e6 / bandwidth if bandwidth > 0 else 0.0
        if shapes.edge_counts[edge] == 1 and late + rtt / 2 + wire > works.limit_us[work] >= 0:
            return False
    return works.limit_us[work] < 0 or shapes.stage_waits[stage] == 0 or late <= works.limit_us[work]


@kernel
def _mask(layout: Layout, work: int, edge: int) -> int:
    works = layout.works
    return works.mask[works.kind_flow[works.kind[work]] + layout.shapes.edge_flow[edge]]
