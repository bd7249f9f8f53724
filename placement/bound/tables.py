"""What each workload cannot avoid paying away from home, for every split of its stages between home and elsewhere.

A table has one entry per set of stages at the origin (bit j: stage j). Every other stage takes its cheapest option by
itself, with the flows to those at the origin; flows between two stages elsewhere cost nothing. So no entry is above
what any assignment with that split costs. A split that cannot meet the latency even at the best times is infinite.
A graph of more than MOST_STAGES stages has an entry per stage instead: its cheapest option elsewhere, without flows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from placement.bound.frame import MOST_STAGES, Frame
from placement.search.layout import NOWHERE
from placement.search.ways import route

if TYPE_CHECKING:
    from numpy import float64, int8, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Shapes

MOST_FLOWS = 4
"""Flows between stages that one stage's options are told apart by; the others are free for it."""

MOST_SCANNED = 256
"""Options that one stage looks at; all that come later cost at least as much as the last one seen."""

SLACK = 1.0 + 1e-9
HOUR_PER_GB = 3600.0 / 1e9


class Tables(NamedTuple):
    """Least costs elsewhere at some prices.

    Attributes:
        entry: see the module.
        option: [step, neighbours at the origin], the cheapest option elsewhere; NOWHERE without any. Bit i of the
            neighbours is the other end of the stage's i-th flow that has a stage at both ends.
        cost: the same, what it costs.
        quickest: by (kind, slot), least service time elsewhere in us; infinite without any option.
        is_open: by own option, 0 when it is too slow whatever the rest.
    """

    entry: NDArray[float64]
    option: NDArray[int64]
    cost: NDArray[float64]
    quickest: NDArray[float64]
    is_open: NDArray[int8]


def tables_of(layout: Layout, frame: Frame) -> Tables:
    """Return tables yet to be filled."""
    works, steps = layout.works, len(frame.load)
    size = 1 << MOST_FLOWS
    return Tables(
        np.zeros(int(frame.first_entry[-1])), np.full((steps, size), NOWHERE, np.int64), np.zeros((steps, size)),
        _quickest(layout), np.zeros(len(works.own_pool), np.int8),
    )  # fmt: skip


def _quickest(layout: Layout) -> NDArray[float64]:
    works = layout.works
    service = np.append(layout.pools.service_us, 0).astype(np.float64)[works.remote_pool]
    sizes = np.diff(works.remote_first)
    found = np.full(len(sizes), np.inf)
    if len(service):
        found[sizes > 0] = np.minimum.reduceat(service, works.remote_first[:-1][sizes > 0])
    return found


def first_order(layout: Layout, paid: NDArray[float64]) -> NDArray[int64]:
    """Return the options elsewhere of every (kind, slot), cheapest first."""
    works = layout.works
    segment = np.repeat(np.arange(len(works.remote_first) - 1), np.diff(works.remote_first))
    return np.lexsort((paid, segment)).astype(np.int64)


@njit(cache=True, nogil=True)
def sort_again(order: NDArray[int64], begin: NDArray[int64], paid: NDArray[float64]) -> None:
    """Put the options of every (kind, slot) in order again after prices have moved a little."""
    for segment in range(len(begin) - 1):
        for index in range(begin[segment] + 1, begin[segment + 1]):
            option, at = order[index], index
            while at > begin[segment] and paid[order[at - 1]] > paid[option]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = option


@njit(cache=True, nogil=True)
def fill(
    layout: Layout, frame: Frame, tables: Tables, paid: NDArray[float64], order: NDArray[int64], begin: int, end: int
) -> int:
    """Fill the tables of members begin..end, options paid for per unit of load; return how many options were seen."""
    shapes = layout.shapes
    flows = np.empty(MOST_FLOWS + 1, np.int64)
    seen = 0
    for m in range(begin, end):
        w = frame.members[m]
        limit = layout.works.limit_us[w] * SLACK + 1.0 if layout.works.limit_us[w] >= 0 else np.inf
        for row in range(frame.first_row[m], frame.first_row[m + 1]):
            shape, first = frame.shape[row], frame.first_step[row]
            count = frame.first_step[row + 1] - first
            times = np.zeros((4, count))
            times_of(layout, frame, tables, w, shape, first, limit, times)
            for j in range(count):
                seen += elsewhere(layout, frame, tables, w, shape, first + j, j, paid, order, times, flows, limit)
            entry = frame.first_entry[row]
            if count > MOST_STAGES:
                for j in range(count):
                    tables.entry[entry + j] = tables.cost[first + j, 0]
            else:
                fill_row(shapes, tables, shape, first, entry, times, flows, limit)
    return seen


@njit(cache=True, nogil=True)
def times_of(
    layout: Layout, frame: Frame, tables: Tables, w: int, shape: int, first: int, limit: float, times: NDArray[float64]
) -> None:
    """Write by stage: [0] least time at the origin, [1] elsewhere, [2] least arrival at it, [3] least way onwards.

    Own options that are too slow even so stay closed.
    """
    works, shapes, pools = layout.works, layout.shapes, layout.pools
    count = times.shape[1]
    begin, end = shapes.first_edge[shape], shapes.first_edge[shape + 1]
    stage = shapes.first_stage[shape]
    for j in range(count):
        if shapes.stage_waits[stage + j] == 1:
            times[0, j], times[1, j] = np.inf, tables.quickest[frame.segment[first + j]] * works.wait[w]
            for use in range(frame.first_use[first + j], frame.last_use[first + j]):
                pool = works.own_pool[use]
                times[0, j] = min(times[0, j], 0.0 if pool == NOWHERE else pools.service_us[pool] * works.wait[w])
    for j in range(count):
        for edge in range(begin, end):
            source = shapes.edge_source[edge]
            if shapes.edge_target[edge] == j and source >= 0 and shapes.edge_counts[edge]:
                times[2, j] = max(times[2, j], times[2, source] + min(times[0, source], times[1, source]))
    for back in range(count):
        j = count - 1 - back
        for edge in range(begin, end):
            target = shapes.edge_target[edge]
            if shapes.edge_source[edge] == j and target >= 0 and shapes.edge_counts[edge]:
                times[3, j] = max(times[3, j], times[3, target] + min(times[0, target], times[1, target]))
        for use in range(frame.first_use[first + j], frame.last_use[first + j]):
            pool = works.own_pool[use]
            own = pools.service_us[pool] * works.wait[w] if pool != NOWHERE and shapes.stage_waits[stage + j] else 0.0
            if times[2, j] + own + times[3, j] <= limit:
                tables.is_open[use] = 1


@njit(cache=True, nogil=True)
def elsewhere(
    layout: Layout, frame: Frame, tables: Tables, w: int, shape: int, step: int, j: int, paid: NDArray[float64],
    order: NDArray[int64], times: NDArray[float64], flows: NDArray[int64], limit: float,
) -> int:  # fmt: skip
    """Find what stage j costs elsewhere, by set of neighbours at the origin; return how many options were seen."""
    works, shapes, pools = layout.works, layout.shapes, layout.pools
    begin, end = shapes.first_edge[shape], shapes.first_edge[shape + 1]
    count = flows_of(shapes, shape, j, flows)
    best, option_of = tables.cost[step], tables.option[step]
    for chosen in range(1 << count):
        best[chosen], option_of[chosen] = np.inf, NOWHERE
    waits = shapes.stage_waits[shapes.first_stage[shape] + j] == 1
    cost, late, sums = np.zeros(MOST_FLOWS), np.zeros(MOST_FLOWS), np.zeros((3, 1 << MOST_FLOWS))
    seen, last, fixed, arrive, leave = 0, -1, 0.0, 0.0, 0.0
    for index in range(works.remote_first[frame.segment[step]], works.remote_first[frame.segment[step] + 1]):
        option = order[index]
        site, pool = works.remote_site[option], works.remote_pool[option]
        if site == works.origin[w]:
            continue
        base = paid[option] * frame.load[step]
        worst = 0.0
        for chosen in range(1 << count):
            if seen >= MOST_SCANNED:
                best[chosen] = min(best[chosen], base)
            worst = max(worst, best[chosen])
        if base >= worst:
            break
        seen += 1
        if site != last:
            last, fixed, arrive, leave = site, 0.0, times[2, j], times[3, j]
            for edge in range(begin, end):
                if shapes.edge_source[edge] == NOWHERE and shapes.edge_target[edge] == j:
                    fee, time = flow_between(layout, w, edge, works.origin[w], site)
                    fixed, arrive = fixed + fee, max(arrive, time)
                elif shapes.edge_source[edge] == j and shapes.edge_target[edge] == NOWHERE:
                    fee, time = flow_between(layout, w, edge, site, works.origin[w])
                    fixed, leave = fixed + fee, max(leave, time)
            for i in range(count):
                is_into = shapes.edge_target[flows[i]] == j
                a, b = (works.origin[w], site) if is_into else (site, works.origin[w])
                cost[i], late[i] = flow_between(layout, w, flows[i], a, b)
        time = pools.service_us[pool] * works.wait[w] if pool != NOWHERE and waits else 0.0
        sums[0, 0], sums[1, 0], sums[2, 0] = base + fixed, arrive, leave
        for i in range(count):
            source, target = shapes.edge_source[flows[i]], shapes.edge_target[flows[i]]
            arrival, onwards = 0.0, 0.0
            if shapes.edge_counts[flows[i]] and target == j:
                arrival = times[2, source] + times[0, source] + late[i]
            elif shapes.edge_counts[flows[i]]:
                onwards = late[i] + times[0, target] + times[3, target]
            for below in range(1 << i):
                chosen = (1 << i) + below
                sums[0, chosen] = sums[0, below] + cost[i]
                sums[1, chosen] = max(sums[1, below], arrival)
                sums[2, chosen] = max(sums[2, below], onwards)
        for chosen in range(1 << count):
            if sums[0, chosen] < best[chosen] and sums[1, chosen] + time + sums[2, chosen] <= limit:
                best[chosen], option_of[chosen] = sums[0, chosen], option
    return seen


@njit(cache=True, nogil=True)
def flows_of(shapes: Shapes, shape: int, j: int, flows: NDArray[int64]) -> int:
    """Write the edges between stage j and other stages, the first few, and NOWHERE; return how many."""
    count = 0
    for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        source, target = shapes.edge_source[edge], shapes.edge_target[edge]
        if ((source == j and target >= 0) or (target == j and source >= 0)) and count < MOST_FLOWS:
            flows[count] = edge
            count += 1
    flows[count] = NOWHERE
    return count


@njit(cache=True, nogil=True)
def flow_between(layout: Layout, w: int, edge: int, a: int, b: int) -> tuple[float, float]:
    """Return (currency per hour, us) of a flow from site a to b; infinite where no route joins them."""
    works, shapes = layout.works, layout.shapes
    mask = works.mask[works.kind_flow[works.kind[w]] + shapes.edge_flow[edge]]
    size = float(shapes.edge_bytes[edge])
    rtt, price, bandwidth = route(layout.ways, mask, a, b)
    if rtt < 0:
        return np.inf, np.inf
    time = rtt / 2.0 + (size * 8e6 / bandwidth if bandwidth > 0 else 0.0)
    return works.rate[w] * shapes.edge_share[edge] * size * price * HOUR_PER_GB, time * shapes.edge_counts[edge]


@njit(cache=True, nogil=True)
def neighbours(shapes: Shapes, shape: int, j: int, split: int, flows: NDArray[int64]) -> int:
    """Return which of stage j's neighbours are at the origin when the stages of `split` are."""
    chosen = 0
    for i in range(flows_of(shapes, shape, j, flows)):
        source, target = shapes.edge_source[flows[i]], shapes.edge_target[flows[i]]
        chosen |= (split >> (source if target == j else target) & 1) << i
    return chosen


@njit(cache=True, nogil=True)
def fill_row(
    shapes: Shapes, tables: Tables, shape: int, first: int, entry: int, times: NDArray[float64],
    flows: NDArray[int64], limit: float,
) -> None:  # fmt: skip
    """Write by set of stages at the origin what the others cost; infinite where not even the best times suffice."""
    count = times.shape[1]
    others = np.zeros((count, MOST_FLOWS), np.int64)
    many, longest = np.zeros(count, np.int64), 0.0
    for j in range(count):
        many[j] = flows_of(shapes, shape, j, flows)
        for i in range(many[j]):
            source, target = shapes.edge_source[flows[i]], shapes.edge_target[flows[i]]
            others[j, i] = source if target == j else target
        longest += max(times[0, j], times[1, j])
    for split in range(1 << count):
        total = 0.0
        for j in range(count):
            if split >> j & 1 == 0:
                chosen = 0
                for i in range(many[j]):
                    chosen |= (split >> others[j, i] & 1) << i
                total += tables.cost[first + j, chosen]
        if longest > limit and total < np.inf and slowest(shapes, shape, split, times) > limit:
            total = np.inf
        tables.entry[entry + split] = total


@njit(cache=True, nogil=True)
def slowest(shapes: Shapes, shape: int, split: int, times: NDArray[float64]) -> float:
    """Return the least time in us of the slowest path when the stages of `split` are at the origin."""
    done = np.zeros(times.shape[1])
    latest = 0.0
    for j in range(len(done)):
        for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
            source = shapes.edge_source[edge]
            if shapes.edge_target[edge] == j and source >= 0 and shapes.edge_counts[edge]:
                done[j] = max(done[j], done[source])
        done[j] += times[0, j] if split >> j & 1 else times[1, j]
        if shapes.stage_waits[shapes.first_stage[shape] + j]:
            latest = max(latest, done[j])
    return latest
