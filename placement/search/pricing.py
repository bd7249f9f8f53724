"""What a stage costs at a pool as things stand, and which sites a workload looks at."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

import numpy as np

from placement.search.bench import (
    BANNED,
    BLOCKED,
    FAIR,
    FAVOURED,
    IS_ALONE,
    MARGINAL,
    MOST,
    MOVE,
    PER_SITE,
    SHARE,
    SITES,
    STAMP,
    UNKNOWN,
    Bench,
)
from placement.search.changes import whole
from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import LOAD, NOWHERE, Layout
from placement.search.stacking import room_for
from placement.search.state import SMOOTH, WORK, State
from placement.search.ways import route


@kernel
def next_random(state: State, below: int) -> int:
    """Return the next whole number from 0 to `below`, by xorshift64*."""
    x = state.seed[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state.seed[0] = x
    return np.int64(((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(33)) % np.uint64(below))


@kernel
def price_at(layout: Layout, state: State, index: Index, bench: Bench, pool: int, wanted: int) -> float:
    """Return the blended price per hour of a stage at a pool; infinite when it does not fit."""
    pools = layout.pools
    throughput, load, replicas = pools.throughput[pool], state.load[pool], state.replicas[pool]
    slack = replicas * throughput - load
    more = np.int64(0)
    if wanted > slack:
        more = (wanted - slack + throughput - 1) // throughput
        if pool == bench.counts[BANNED] and replicas + more > bench.counts[MOST]:
            return np.inf
        for k in range(bench.counts[BLOCKED]):
            if bench.blocked[k] == pool:
                return np.inf
        if bench.counts[IS_ALONE] == 0 and room_for(pools, layout.groups, state, index, pool) < more:
            return np.inf
    paid = more - 1 if more > 0 and pool == bench.counts[FAVOURED] else more
    price = paid * pools.price[pool]
    if index.part[pool] > 0:
        price += state.money[SMOOTH] * (index.part[pool] * wanted - more * pools.price[pool])
    money = bench.blend[MARGINAL] * price
    if bench.blend[FAIR] > 0 and wanted > 0:
        money += bench.blend[FAIR] * pools.price[pool] * (replicas + more) * (wanted / (load + wanted))
    if bench.blend[SHARE] > 0:
        money += bench.blend[SHARE] * index.share[pool] * wanted
    return money


@kernel
def stage_price(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, slot: int, site: int, pool: int
) -> float:
    """Return the blended price per hour of a slot at a site and pool, a move's weight included."""
    money = 0.0
    if pool != NOWHERE:
        money = price_at(layout, state, index, bench, pool, layout.works.wanted[slot])
    held = state.held_shape[work] != NOWHERE and state.held_site[slot] != NOWHERE
    if held and (state.held_site[slot] != site or state.held_pool[slot] != pool):
        money += bench.blend[MOVE]
    return money


@kernel
def add_site(bench: Bench, site: int) -> None:
    """Make a site a candidate, unless it is one or there are enough."""
    count = bench.counts[SITES]
    if bench.mark[site] != bench.counts[STAMP] and count < len(bench.sites):
        bench.mark[site] = bench.counts[STAMP]
        bench.place[site] = count
        bench.sites[count] = site
        bench.counts[SITES] = count + 1


@kernel
def find_near(layout: Layout, state: State, bench: Bench, work: int) -> None:
    """Note the sites with the least round trip that may serve a workload, when it is first asked."""
    works, shapes = layout.works, layout.shapes
    keep, least = bench.near.shape[1], bench.score
    bench.near[work] = NOWHERE
    shape = shapes.first[works.pipeline[work]]
    row = _widest(layout, work, shape)
    if row == NOWHERE:
        return
    mask = works.mask[works.kind_flow[works.kind[work]] + shapes.edge_flow[shapes.first_edge[shape]]]
    count, last = 0, NOWHERE
    for option in range(works.remote_first[row], works.remote_first[row + 1]):
        site = works.remote_site[option]
        if site == last or site == works.origin[work]:
            continue
        last = site
        state.counts[WORK] += 1
        rtt, _, _ = route(layout.ways, mask, works.origin[work], site)
        if rtt < 0 or (count == keep and rtt >= least[keep - 1]):
            continue
        at = min(count, keep - 1)
        count = min(count + 1, keep)
        while at > 0 and least[at - 1] > rtt:
            least[at], bench.near[work, at] = least[at - 1], bench.near[work, at - 1]
            at -= 1
        least[at], bench.near[work, at] = rtt, site


@kernel
def _widest(layout: Layout, work: int, shape: int) -> int:
    """Return the row of remote options with the most of them, of a graph's stages; NOWHERE when all are empty."""
    works, shapes = layout.works, layout.shapes
    best, most = NOWHERE, 0
    for stage in range(shapes.first_stage[shape], shapes.first_stage[shape + 1]):
        row = works.kind_slot[works.kind[work]] + shapes.stage_slot[stage]
        count = works.remote_first[row + 1] - works.remote_first[row]
        if count > most:
            best, most = row, count
    return best


@kernel
def gather_sites(layout: Layout, state: State, bench: Bench, work: int, shape: int, most: int, drawn: int) -> None:
    """Choose about `most` candidate sites, the origin, where it was, near and cheap ones; then some at random."""
    works, shapes = layout.works, layout.shapes
    bench.counts[STAMP] += 1
    bench.counts[SITES] = 0
    add_site(bench, works.origin[work])
    if bench.near[work, 0] == UNKNOWN:
        find_near(layout, state, bench, work)
    for k in range(len(bench.old_site)):
        if bench.old_site[k] == NOWHERE:
            break
        add_site(bench, bench.old_site[k])
    rows = works.kind_slot[works.kind[work]]
    first, last = shapes.first_stage[shape], shapes.first_stage[shape + 1]
    for rank in range(bench.ranked.shape[1]):
        if bench.counts[SITES] >= most:
            break
        for stage in range(first, last):
            site = bench.ranked[rows + shapes.stage_slot[stage], rank]
            if site != NOWHERE:
                add_site(bench, site)
        if rank < bench.near.shape[1] and bench.near[work, rank] != NOWHERE:
            add_site(bench, bench.near[work, rank])
    for _ in range(drawn):
        row = rows + shapes.stage_slot[first + next_random(state, last - first)]
        count = works.remote_first[row + 1] - works.remote_first[row]
        if count > 0:
            add_site(bench, works.remote_site[works.remote_first[row] + next_random(state, count)])


@kernel
def within_limits(layout: Layout, state: State, index: Index, work: int, slot: int, site: int) -> bool:
    """Return whether a workload's stage may come to a site under the limits of its pipeline."""
    spreads = layout.spreads
    pipeline = layout.works.pipeline[work]
    for place in range(index.limit_first[pipeline], index.limit_first[pipeline + 1]):
        row = index.limit[place]
        if spreads.slot[row] == slot:
            taken = state.spread[row, spreads.domain[spreads.by[row], site]]
            if taken + whole(layout.works.rate[work] * LOAD) > spreads.most[row]:
                return False
    return True


@kernel
def first_at(layout: Layout, row: int, site: int) -> int:
    """Return the first option of a row of remote ones whose site is not before `site`."""
    low, high = layout.works.remote_first[row], layout.works.remote_first[row + 1]
    while low < high:
        middle = (low + high) // 2
        if layout.works.remote_site[middle] < site:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def gather_options(layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int) -> bool:
    """Price every option of every stage at the candidate sites; False when some stage has none."""
    works, shapes = layout.works, layout.shapes
    rows, first = works.kind_slot[works.kind[work]], works.first_slot[work]
    base = shapes.first_stage[shape]
    count = np.int64(0)
    for k in range(shapes.first_stage[shape + 1] - base):
        bench.raw_first[k] = count
        most = count + PER_SITE * len(bench.sites)
        slot_in_work = shapes.stage_slot[base + k]
        slot = first + slot_in_work
        for option in range(works.own_first[slot], works.own_first[slot + 1]):
            count = _add_option(
                layout, state, index, bench, work, slot, works.own_site[option], works.own_pool[option], count, most
            )
        row = rows + slot_in_work
        for place in range(bench.counts[SITES]):
            site = bench.sites[place]
            option = first_at(layout, row, site) if site != works.origin[work] else works.remote_first[row + 1]
            while option < works.remote_first[row + 1] and works.remote_site[option] == site:
                count = _add_option(
                    layout, state, index, bench, work, slot, site, works.remote_pool[option], count, most
                )
                option += 1
        if count == bench.raw_first[k]:
            return False
    bench.raw_first[shapes.first_stage[shape + 1] - base] = count
    return True


@kernel
def _add_option(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, slot: int, site: int, pool: int, count: int,
    most: int,
) -> int:  # fmt: skip
    state.counts[WORK] += 1
    if count >= most or not within_limits(layout, state, index, work, slot - layout.works.first_slot[work], site):
        return count
    money = stage_price(layout, state, index, bench, work, slot, site, pool)
    time = 0.0 if pool == NOWHERE else layout.pools.service_us[pool] * layout.works.wait[work]
    if money == np.inf:
        return count
    bench.raw_at[count] = bench.place[site]
    bench.raw_pool[count] = pool
    bench.raw_money[count] = money
    bench.raw_time[count] = time
    return count + 1
