"""The least sum of prices over one graph: dynamic programming in the order of its stages.

A label says where the stages of the front are and what it took to get there; of labels with the same front the best
stays, and of all fronts as many as there is room for. Exact while the front fits and latency does not bind.
"""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

import numpy as np

from placement.search.bench import BEAM, CAREFUL, HASH, LATE, Bench
from placement.search.changes import BYTES_PER_GB, SECONDS_PER_HOUR, whole
from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import BITS, NOWHERE, Layout
from placement.search.state import WORK, State
from placement.search.ways import hops, route

SLIVER_US = 1e-6
"""Floats that say an objective is missed by less than this cannot know."""


@kernel
def collapse(layout: Layout, bench: Bench, shape: int, weight: float, per_us: float) -> bool:
    """Make one candidate of each stage's options at a site, the best at these weights; False when a stage has none."""
    stages = layout.shapes.first_stage[shape + 1] - layout.shapes.first_stage[shape]
    for k in range(stages):
        size = 0
        for raw in range(bench.raw_first[k], bench.raw_first[k + 1]):
            same = size > 0 and bench.at[k, size - 1] == bench.raw_at[raw]
            if same:
                last = size - 1
                new = weight * bench.raw_money[raw] + per_us * bench.raw_time[raw]
                if new >= weight * bench.money[k, last] + per_us * bench.time[k, last]:
                    continue
            elif size == bench.at.shape[1]:
                break
            at = size - 1 if same else size
            bench.at[k, at], bench.pool[k, at] = bench.raw_at[raw], bench.raw_pool[raw]
            bench.money[k, at], bench.time[k, at] = bench.raw_money[raw], bench.raw_time[raw]
            size = at + 1
        bench.size[k] = size
        if size == 0:
            return False
    return True


@kernel
def set_rests(layout: Layout, index: Index, bench: Bench, shape: int) -> None:
    """Note what the stages behind each one take at least."""
    shapes = layout.shapes
    base = shapes.first_stage[shape]
    stages = shapes.first_stage[shape + 1] - base
    bench.rest[stages] = 0.0
    bench.tail[:stages] = 0.0
    for k in range(stages - 1, -1, -1):
        least, quickest = np.inf, np.inf
        for c in range(bench.size[k]):
            least, quickest = min(least, bench.money[k, c]), min(quickest, bench.time[k, c])
        bench.rest[k] = bench.rest[k + 1] + least
        for at in range(index.in_first[base + k], index.in_first[base + k + 1]):
            edge = index.in_edge[at]
            source = shapes.edge_source[edge]
            if source != NOWHERE and shapes.edge_counts[edge] == 1:
                bench.tail[source] = max(bench.tail[source], bench.tail[k] + quickest)


@kernel
def forget_flows(layout: Layout, bench: Bench, shape: int) -> None:
    """Look up every flow anew."""
    edges = layout.shapes.first_edge[shape + 1] - layout.shapes.first_edge[shape]
    bench.flow_time[:edges] = -2.0


@kernel
def _flow(
    layout: Layout, state: State, bench: Bench, work: int, shape: int, edge: int, ka: int, a: int, kb: int, b: int
) -> float:
    """Return the time of a flow between two candidate places, and remember it with its money; -1 without a way."""
    at = edge - layout.shapes.first_edge[shape]
    if bench.flow_time[at, ka, kb] != -2.0:
        return bench.flow_time[at, ka, kb]
    works, shapes = layout.works, layout.shapes
    mask = works.mask[works.kind_flow[works.kind[work]] + shapes.edge_flow[edge]]
    state.counts[WORK] += 1
    rtt, price, narrow = route(layout.ways, mask, a, b)
    time, money = 0.0, 0.0
    if rtt < 0:
        time = -1.0
    elif a != b:
        per_second = works.rate[work] * shapes.edge_share[edge] * shapes.edge_bytes[edge]
        money = per_second * SECONDS_PER_HOUR * price / BYTES_PER_GB
        time = rtt / 2 + shapes.edge_bytes[edge] * 8e6 / narrow
        if bench.counts[CAREFUL] > 0 and not _carries(layout, state, bench, work, shape, edge, mask, a, b):
            time = -1.0
    bench.flow_time[at, ka, kb] = time
    bench.flow_money[at, ka, kb] = money
    return time


@kernel
def _carries(
    layout: Layout, state: State, bench: Bench, work: int, shape: int, edge: int, mask: int, a: int, b: int
) -> bool:
    """Return whether every hop has room: for this flow, or (more carefully) for all flows of the graph at once."""
    shapes = layout.shapes
    units = np.int64(0)
    for other in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        if other == edge or bench.counts[CAREFUL] > 1:
            units += whole(layout.works.rate[work] * shapes.edge_share[other] * shapes.edge_bytes[other] * 8 * BITS)
    count = hops(layout.ways, mask, a, b, state.path)
    state.counts[WORK] += count
    full = False
    for hop in state.path[:count]:
        full = full or state.hops[hop] + units > layout.hop_capacity[hop]
    return not full


@kernel
def _hash(stage: int, choice: int) -> np.uint64:
    x = np.uint64(stage * 65537 + choice + 1) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(32))


@kernel
def _find(bench: Bench, key: np.uint64) -> int:
    """Return the place of a key: that of the label that has it, or the free one where it belongs."""
    mask = np.uint64(len(bench.slot) - 1)
    at = (key ^ (key >> np.uint64(17))) & mask
    while bench.used[at] == bench.counts[HASH] and bench.key[bench.slot[at]] != key:
        at = (at + np.uint64(1)) & mask
    return np.int64(at)


@kernel
def cheapest(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, weight: float, per_us: float,
    bound: float,
) -> float:  # fmt: skip
    """Return the money of the label with the least `weight` x money + `per_us` x time; infinite when none is under
    `bound` within the objective. `Bench.past_*` then tell the choices, read by `read_back`.
    """
    shapes = layout.shapes
    base = shapes.first_stage[shape]
    stages = shapes.first_stage[shape + 1] - base
    bench.now_cost[0], bench.now_late[0], bench.now_key[0] = 0.0, 0.0, np.uint64(0)
    labels = 1
    for k in range(stages):
        made = _expand(layout, state, index, bench, work, shape, k, labels, weight, per_us, bound)
        if made == 0:
            return np.inf
        labels = _settle(index, bench, base, k, made, weight, per_us)
    return bench.now_cost[0]


@kernel
def _expand(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, k: int, labels: int,
    weight: float, per_us: float, bound: float,
) -> int:  # fmt: skip
    """Make the labels behind stage k; return how many."""
    base = layout.shapes.first_stage[shape]
    now, made = k & 1, 0
    column = index.stage_column[base + k]
    bench.counts[HASH] += 1
    for label in range(labels):
        kept = bench.now_key[label]
        for at in range(index.gone_first[base + k], index.gone_first[base + k + 1]):
            gone = index.gone[at]
            kept ^= _hash(gone, bench.now_at[now, label, index.stage_column[base + gone]])
        for choice in range(bench.size[k]):
            state.counts[WORK] += 1
            money = bench.now_cost[label] + bench.money[k, choice]
            if money + bench.rest[k + 1] >= bound:
                continue
            key = kept if column == NOWHERE else kept ^ _hash(k, choice)
            place = _find(bench, key)
            known = bench.used[place] == bench.counts[HASH]
            best = bench.score[bench.slot[place]] if known else np.inf
            if weight * money + per_us * bench.now_late[label] >= best:
                continue
            money, late, done = _reach(layout, state, index, bench, work, shape, k, label, choice, money)
            score = weight * money + per_us * late
            if money + bench.rest[k + 1] >= bound or score >= best:
                continue
            new = bench.slot[place] if known else made
            if not known:
                bench.used[place], bench.slot[place] = bench.counts[HASH], made
                made += 1
            bench.cost[new], bench.late[new], bench.done[new], bench.key[new] = money, late, done, key
            bench.score[new], bench.parent[new], bench.choice[new] = score, label, choice
    return made


@kernel
def _reach(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, k: int, label: int, choice: int,
    money: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Return (money, time of the slowest answer or stage so far, when stage k is done); infinite money for no way."""
    shapes, now = layout.shapes, k & 1
    base, origin = shapes.first_stage[shape], layout.works.origin[work]
    kb = bench.at[k, choice]
    b = bench.sites[kb]
    begun, late, limit = 0.0, bench.now_late[label], layout.works.limit_us[work]
    for at in range(index.apart_first[base + k], index.apart_first[base + k + 1]):
        other = index.apart_stage[at]
        domain = layout.spreads.domain[index.apart_by[at]]
        place = bench.at[other, bench.now_at[now, label, index.stage_column[base + other]]]
        if domain[bench.sites[place]] == domain[b]:
            return np.inf, late, 0.0
    for at in range(index.in_first[base + k], index.in_first[base + k + 1]):
        edge = index.in_edge[at]
        source = shapes.edge_source[edge]
        ka, a, ready = 0, origin, 0.0
        if source != NOWHERE:
            column = index.stage_column[base + source]
            ka = bench.at[source, bench.now_at[now, label, column]]
            a, ready = bench.sites[ka], bench.now_done[now, label, column]
        time = _flow(layout, state, bench, work, shape, edge, ka, a, kb, b)
        if time < 0:
            return np.inf, late, 0.0
        money += bench.flow_money[edge - shapes.first_edge[shape], ka, kb]
        if shapes.edge_counts[edge] == 1:
            begun = max(begun, ready + time)
    done = begun + bench.time[k, choice] if shapes.stage_waits[base + k] == 1 else 0.0
    late = max(late, done)
    if limit >= 0 and done > 0 and done + bench.tail[k] > limit + SLIVER_US:
        bench.counts[LATE] = 1
        return np.inf, late, done
    for at in range(index.out_first[base + k], index.out_first[base + k + 1]):
        edge = index.out_edge[at]
        time = _flow(layout, state, bench, work, shape, edge, kb, b, 0, origin)
        if time < 0:
            return np.inf, late, done
        money += bench.flow_money[edge - shapes.first_edge[shape], kb, 0]
        if shapes.edge_counts[edge] == 1:
            late = max(late, done + time)
            if limit >= 0 and done + time > limit + SLIVER_US:
                bench.counts[LATE] = 1
                return np.inf, late, done
    return money, late, done


@kernel
def _settle(index: Index, bench: Bench, base: int, k: int, made: int, weight: float, per_us: float) -> int:
    """Make the new labels the front, the best of them when there are too many; return how many stay."""
    room = bench.counts[BEAM]
    most = np.inf
    if made > room:
        most = _smallest(bench, made, room)
    now, then, kept = k & 1, 1 - (k & 1), 0
    column = index.stage_column[base + k]
    columns = bench.now_at.shape[2]
    for new in range(made):
        if kept == room or weight * bench.cost[new] + per_us * bench.late[new] > most:
            continue
        parent = bench.parent[new]
        for c in range(columns):
            bench.now_at[then, kept, c] = bench.now_at[now, parent, c]
            bench.now_done[then, kept, c] = bench.now_done[now, parent, c]
        if column != NOWHERE:
            bench.now_at[then, kept, column] = bench.choice[new]
            bench.now_done[then, kept, column] = bench.done[new]
        bench.now_cost[kept], bench.now_late[kept], bench.now_key[kept] = (
            bench.cost[new], bench.late[new], bench.key[new],
        )  # fmt: skip
        bench.past_parent[k, kept], bench.past_choice[k, kept] = parent, bench.choice[new]
        kept += 1
    return kept


@kernel
def _smallest(bench: Bench, count: int, rank: int) -> float:
    """Return the score below or at which `rank` of `count` labels lie, by quickselect; spoils `Bench.score`."""
    scores = bench.score
    low, high = 0, count - 1
    while low < high:
        pivot = scores[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while scores[i] < pivot:
                i += 1
            while scores[j] > pivot:
                j -= 1
            if i <= j:
                scores[i], scores[j] = scores[j], scores[i]
                i += 1
                j -= 1
        if rank - 1 <= j:
            high = j
        elif rank - 1 >= i:
            low = i
        else:
            break
    return scores[rank - 1]


@kernel
def read_back(layout: Layout, bench: Bench, shape: int) -> None:
    """Write the sites and pools of the label that won to `Bench.best_site` and `Bench.best_pool`."""
    label = 0
    stages = layout.shapes.first_stage[shape + 1] - layout.shapes.first_stage[shape]
    for k in range(stages - 1, -1, -1):
        choice = bench.past_choice[k, label]
        bench.best_site[k] = bench.sites[bench.at[k, choice]]
        bench.best_pool[k] = bench.pool[k, choice]
        label = bench.past_parent[k, label]
