"""Looks at the options elsewhere of a stage: what each costs with its flows, and whether it is in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from placement.bound.frame import MOST_STAGES, Frame
from placement.bound.tables import FEWEST, MOST_FLOWS, Tables, fill_row, look
from placement.search.layout import NOWHERE
from placement.search.ways import route

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Shapes

MOST_SCANNED = 192
"""Options that one stage looks at; all that come later cost at least as much as the last one seen."""

AHEAD = 1.3
"""How far beyond the dearest least cost a stage looks, so that it need not look at all again soon."""

DOWN, FAR = 1.0 - 1e-7, 1e12
"""Costs of flows are kept in single precision, rounded down; what may not be is as far as this when options compete."""

SLACK = 1.0 + 1e-9
HOUR_PER_GB = 3600.0 / 1e9


@njit(cache=True, nogil=True)
def fill(
    layout: Layout, frame: Frame, tables: Tables, paid: NDArray[float64], order: NDArray[int64], give: float,
    begin: int, end: int,
) -> int:  # fmt: skip
    """Fill the tables of members begin..end and return how many options were seen; `give` as in `look`.

    Args:
        paid: by option elsewhere, per unit of load. order: options of every (kind, slot) by `paid`.
    """
    seen = 0
    for m in range(begin, end):
        w = frame.members[m]
        for row in range(frame.first_row[m], frame.first_row[m + 1]):
            first, count = frame.first_step[row], frame.first_step[row + 1] - frame.first_step[row]
            times, is_timed = np.zeros((4, 1)), False
            for j in range(count):
                seen += FEWEST
                if tables.fallen[first + j] < 0.0 or look(frame, tables, first + j, paid, give):
                    if not is_timed:
                        times, is_timed = times_of(layout, frame, tables, w, frame.shape[row], first, count), True
                    seen += scan(layout, frame, tables, w, frame.shape[row], first + j, j, paid, order, times)
                    look(frame, tables, first + j, paid, 1.0)
            fill_row(frame, tables, row)
    return seen


@njit(cache=True, nogil=True)
def limit_of(layout: Layout, w: int) -> float:
    """Return the latency objective of a workload in us, with room for rounding; infinite without one."""
    limit = layout.works.limit_us[w]
    return limit * SLACK + 1.0 if limit >= 0 else np.inf


@njit(cache=True, nogil=True)
def times_of(
    layout: Layout, frame: Frame, tables: Tables, w: int, shape: int, first: int, count: int
) -> NDArray[float64]:
    """Return by stage: [0] least time at the origin, [1] elsewhere, [2] least arrival at it, [3] least way onwards."""
    works, shapes, pools = layout.works, layout.shapes, layout.pools
    times = np.zeros((4, count))
    begin, end = shapes.first_edge[shape], shapes.first_edge[shape + 1]
    for j in range(count):
        if shapes.stage_waits[shapes.first_stage[shape] + j] == 1:
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
    return times


@njit(cache=True, nogil=True)
def close_all_late(layout: Layout, frame: Frame, tables: Tables) -> None:
    """Open the own options of every member that may be in time, and mark the splits that cannot be."""
    for m in range(len(frame.members)):
        w = frame.members[m]
        for row in range(frame.first_row[m], frame.first_row[m + 1]):
            first = frame.first_step[row]
            count = frame.first_step[row + 1] - first
            times = times_of(layout, frame, tables, w, frame.shape[row], first, count)
            close_late(layout, frame, tables, w, row, times)


@njit(cache=True, nogil=True)
def close_late(layout: Layout, frame: Frame, tables: Tables, w: int, row: int, times: NDArray[float64]) -> None:
    """Open the own options of a row that may be in time, and mark the splits that cannot be."""
    works, shapes, pools = layout.works, layout.shapes, layout.pools
    shape, first, limit = frame.shape[row], frame.first_step[row], limit_of(layout, w)
    for j in range(times.shape[1]):
        waits = shapes.stage_waits[shapes.first_stage[shape] + j] == 1
        for use in range(frame.first_use[first + j], frame.last_use[first + j]):
            pool = works.own_pool[use]
            time = pools.service_us[pool] * works.wait[w] if pool != NOWHERE and waits else 0.0
            if times[2, j] + time + times[3, j] <= limit:
                tables.is_open[use] = 1
    if limit < np.inf and times.shape[1] <= MOST_STAGES:
        for split in range(1 << times.shape[1]):
            if slowest(shapes, shape, split, times) > limit:
                tables.is_late[frame.first_entry[row] + split] = 1


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


@njit(cache=True, nogil=True)
def scan(
    layout: Layout, frame: Frame, tables: Tables, w: int, shape: int, step: int, j: int, paid: NDArray[float64],
    order: NDArray[int64], times: NDArray[float64],
) -> int:  # fmt: skip
    """Look at the options of a stage, keep the cheapest at hand, and note what no other is below; return how many."""
    works, pools = layout.works, layout.pools
    first, sets = tables.first_set[step], tables.first_set[step + 1] - tables.first_set[step]
    segment, load, limit = frame.segment[step], frame.load[step], limit_of(layout, w)
    width = tables.first_near[step + 1] - tables.first_near[step]
    is_whole = width == works.remote_first[segment + 1] - works.remote_first[segment]
    waits = layout.shapes.stage_waits[layout.shapes.first_stage[shape] + j] == 1
    fees, best, score = np.zeros((4, sets)), np.full(sets, np.inf), np.full(width, np.inf)
    tables.floor[first : first + sets] = np.inf
    tables.near[tables.first_near[step] : tables.first_near[step + 1]] = NOWHERE
    tables.fallen[step] = tables.drop[segment]
    seen, last = 0, -1
    for index in range(works.remote_first[segment], works.remote_first[segment + 1]):
        option = order[index]
        site, pool = works.remote_site[option], works.remote_pool[option]
        if site == works.origin[w]:
            continue
        base = paid[option] * load
        if not is_whole and (seen >= MOST_SCANNED or base > best.max() * AHEAD):
            tables.floor[first : first + sets] = np.minimum(tables.floor[first : first + sets], base)
            break
        seen += 1
        if site != last:
            last = site
            fees_at(layout, w, shape, j, site, times, fees)
        time = pools.service_us[pool] * works.wait[w] if pool != NOWHERE and waits else 0.0
        total = 0.0
        for chosen in range(sets):
            is_late = fees[1, chosen] + time + fees[2, chosen] > limit
            fees[3, chosen] = np.inf if is_late else fees[0, chosen] * DOWN
            best[chosen] = min(best[chosen], base + fees[3, chosen])
            total += min(fees[3, chosen], FAR)
        if total < FAR * sets:
            keep(frame, tables, step, option, paid, fees[3], score, total + base * sets)
    return seen


@njit(cache=True, nogil=True)
def keep(
    frame: Frame, tables: Tables, step: int, option: int, paid: NDArray[float64], fees: NDArray[float64],
    score: NDArray[float64], total: float,
) -> None:  # fmt: skip
    """Put an option at hand when it is among the cheapest; whichever is not at hand lowers the floor."""
    first, sets, begin = tables.first_set[step], len(fees), tables.first_near[step]
    at = 0
    for other in range(len(score)):
        if score[other] > score[at]:
            at = other
    lost, where = tables.near[begin + at], tables.first_fee[step] + at * sets
    if total >= score[at]:
        for chosen in range(sets):
            cost = paid[option] * frame.load[step] + fees[chosen]
            tables.floor[first + chosen] = min(tables.floor[first + chosen], cost)
        return
    for chosen in range(sets):
        if lost != NOWHERE:
            cost = paid[lost] * frame.load[step] + tables.fee[where + chosen]
            tables.floor[first + chosen] = min(tables.floor[first + chosen], cost)
        tables.fee[where + chosen] = fees[chosen]
    score[at] = total
    tables.near[begin + at] = option


@njit(cache=True, nogil=True)
def fees_at(
    layout: Layout, w: int, shape: int, j: int, site: int, times: NDArray[float64], fees: NDArray[float64]
) -> None:
    """Write by set of a stage at a site: [0] cost of its flows, [1] when it begins, [2] what follows takes."""
    shapes, home = layout.shapes, layout.works.origin[w]
    fees[0, 0], fees[1, 0], fees[2, 0] = 0.0, times[2, j], times[3, j]
    for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        source, target = shapes.edge_source[edge], shapes.edge_target[edge]
        if source == NOWHERE and target == j:
            cost, time = flow_between(layout, w, edge, home, site)
            fees[0, 0], fees[1, 0] = fees[0, 0] + cost, max(fees[1, 0], time)
        elif source == j and target == NOWHERE:
            cost, time = flow_between(layout, w, edge, site, home)
            fees[0, 0], fees[2, 0] = fees[0, 0] + cost, max(fees[2, 0], time)
    count = 0
    for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        source, target = shapes.edge_source[edge], shapes.edge_target[edge]
        if source < 0 or target < 0 or (source != j and target != j) or count == MOST_FLOWS:
            continue
        a, b = (home, site) if target == j else (site, home)
        cost, time = flow_between(layout, w, edge, a, b)
        arrival, onwards = 0.0, 0.0
        if shapes.edge_counts[edge] and target == j:
            arrival = times[2, source] + times[0, source] + time
        elif shapes.edge_counts[edge]:
            onwards = time + times[0, target] + times[3, target]
        for below in range(1 << count):
            chosen = (1 << count) + below
            fees[0, chosen] = fees[0, below] + cost
            fees[1, chosen] = max(fees[1, below], arrival)
            fees[2, chosen] = max(fees[2, below], onwards)
        count += 1


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
