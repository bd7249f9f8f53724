"""Pools that several sites reach: what each (kind, slot) pays for them, and how prices follow what is asked of them.

All workloads of one (kind, slot) pay the same per unit of load: c x (alpha / filled + beta / the load of all of
them), so a (kind, slot) that is served at one pool alone pays its whole beta, which is how a replica that only few
fill is paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from placement.bound.blocks import SPARE
from placement.bound.frame import KINDS, Frame, Local, firsts, spans, worth_of
from placement.bound.serving import Room
from placement.bound.tables import Tables, neighbours
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout


class Market(NamedTuple):
    """Shared pools (*stalls*) and the options elsewhere that use them (*bids*).

    Attributes:
        pool, cost: by stall; price of a replica per hour. filled: by stall, units of load that pay for one replica.
        first_bid: by stall (+1), range of bids. option: by bid. weight: by bid, one over the load of its (kind, slot).
        group: by stall. need: [stall, kind]. worth: by group, price of all its nodes.
        alpha, beta, lean: shares, as in `placement.bound.blocks.Shares`; `lean` is by (group, kind) of all groups.
    """

    pool: NDArray[int64]
    cost: NDArray[float64]
    filled: NDArray[float64]
    first_bid: NDArray[int64]
    option: NDArray[int64]
    weight: NDArray[float64]
    group: NDArray[int64]
    need: NDArray[float64]
    worth: NDArray[float64]
    alpha: NDArray[float64]
    beta: NDArray[float64]
    lean: NDArray[float64]


def market_of(layout: Layout, frame: Frame, local: Local, need: NDArray[float64]) -> Market:
    """Return the pools that members reach from elsewhere, every share on alpha."""
    works, pools = layout.works, layout.pools
    segment, place = np.unique(frame.segment, return_inverse=True)
    # A slot stands in several rows when several graphs are possible; it is served under one of them.
    step = np.unique(_slot_of(layout, frame), return_index=True)[1]
    total = np.zeros(len(segment))
    np.add.at(total, place[step], frame.load[step])
    begin, end = works.remote_first[segment], works.remote_first[segment + 1]
    option = spans(begin, end)
    weight = np.repeat(1.0 / np.maximum(1.0, total), end - begin)
    keep = works.remote_pool[option] != NOWHERE
    option, weight = option[keep], weight[keep]
    order = np.argsort(works.remote_pool[option], kind="stable")
    option, weight = option[order], weight[order]
    asked = _asked(layout, frame, option, np.repeat(total, end - begin)[keep][order])
    is_shared = np.ones(len(pools.site), np.bool_)
    is_shared[local.pool] = False
    pool = np.flatnonzero(is_shared)
    worth = worth_of(pools, layout.groups)
    counts = np.bincount(works.remote_pool[option], minlength=len(pools.site))[pool]
    filled = np.clip(asked[pool], 1.0, pools.throughput[pool] + 1.0)
    return Market(
        pool, pools.price[pool], filled, firsts(counts), option, weight,
        pools.group[pool].astype(np.int64), need[pool], worth,
        np.ones(len(pool)), np.zeros(len(option)), np.zeros((len(worth), KINDS)),
    )  # fmt: skip


def _asked(layout: Layout, frame: Frame, option: NDArray[int64], total: NDArray[float64]) -> NDArray[float64]:
    """Return by pool the units of load that all who may use it could ask of it together.

    Where that is less than a replica serves, whoever uses it pays for the whole replica: y >= sum of l_e x_e holds for
    loads in parts of what all could ask, too, as y is whole.
    """
    works = layout.works
    found = np.zeros(len(layout.pools.site))
    np.add.at(found, works.remote_pool[option], total)
    use = np.unique(spans(frame.first_use, frame.last_use))
    use = use[works.own_pool[use] != NOWHERE]
    slot = np.searchsorted(works.own_first, use, side="right") - 1
    np.add.at(found, works.own_pool[use], np.maximum(0.0, works.wanted[slot] - 1.0))
    return found


def _slot_of(layout: Layout, frame: Frame) -> NDArray[int64]:
    rows = np.diff(frame.first_row)
    steps = np.diff(frame.first_step)
    who = np.repeat(np.repeat(frame.members, rows), steps)
    return layout.works.first_slot[who] + frame.segment - layout.works.kind_slot[layout.works.kind[who]]


@njit(cache=True, nogil=True)
def quote(market: Market, paid: NDArray[float64], unit: NDArray[float64]) -> None:
    """Write what a unit of load pays per hour, by option elsewhere, and by pool for the site's own."""
    for stall in range(len(market.pool)):
        cost = market.cost[stall]
        for kind in range(KINDS):
            cost += market.lean[market.group[stall], kind] * market.need[stall, kind]
        flat = cost * market.alpha[stall] / market.filled[stall]
        unit[market.pool[stall]] = flat
        for bid in range(market.first_bid[stall], market.first_bid[stall + 1]):
            paid[market.option[bid]] = flat + cost * market.beta[bid] * market.weight[bid]


@njit(cache=True, nogil=True)
def take(
    layout: Layout, frame: Frame, tables: Tables, room: Room, asked: NDArray[float64], loads: NDArray[float64]
) -> None:
    """Write the units of load that the last evaluation asks by option elsewhere, and of pools by own options."""
    works = layout.works
    asked[:] = 0.0
    loads[:] = 0.0
    for m in range(len(frame.members)):
        row = room.row[m]
        first = frame.first_step[row]
        for step in range(first, frame.first_step[row + 1]):
            is_own = False
            for use in range(frame.first_use[step], frame.last_use[step]):
                if room.taken[use] > 0.0:
                    is_own = True
                    if works.own_pool[use] != NOWHERE:
                        loads[works.own_pool[use]] += frame.load[step]
            if not is_own:
                option = tables.option[tables.first_set[step] + neighbours(tables, step, room.split[m])]
                if option != NOWHERE:
                    asked[option] += frame.load[step]


@njit(cache=True, nogil=True)
def pull(market: Market, slope: Market, asked: NDArray[float64], loads: NDArray[float64], keep: float) -> float:
    """Turn `slope` towards what is asked, keeping a part of where it went before; return its square."""
    steep = 0.0
    for group in range(len(market.worth)):
        for kind in range(KINDS):
            slope.lean[group, kind] = keep * slope.lean[group, kind] - (1.0 - keep)
    for stall in range(len(market.pool)):
        cost, group = market.cost[stall], market.group[stall]
        for kind in range(KINDS):
            cost += market.lean[group, kind] * market.need[stall, kind]
        load, bids = loads[market.pool[stall]], 0.0
        for bid in range(market.first_bid[stall], market.first_bid[stall + 1]):
            load += asked[market.option[bid]]
            part = asked[market.option[bid]] * market.weight[bid]
            bids += part * market.beta[bid]
            slope.beta[bid] = keep * slope.beta[bid] + (1.0 - keep) * part
            steep += cost * slope.beta[bid] ** 2
        load /= market.filled[stall]
        slope.alpha[stall] = keep * slope.alpha[stall] + (1.0 - keep) * load
        steep += cost * slope.alpha[stall] ** 2
        counted = market.alpha[stall] * load + bids
        for kind in range(KINDS):
            slope.lean[group, kind] += (1.0 - keep) * counted * market.need[stall, kind]
    for group in range(len(market.worth)):
        for kind in range(KINDS):
            if market.lean[group, kind] > 0.0 or slope.lean[group, kind] > 0.0:
                steep += market.worth[group] * slope.lean[group, kind] ** 2
    return steep


@njit(cache=True, nogil=True)
def shift(market: Market, slope: Market, step: float) -> None:
    """Move the shares along the slope, and back to where they are valid."""
    for group in range(len(market.worth)):
        for kind in range(KINDS):
            further = step * market.worth[group] * slope.lean[group, kind]
            market.lean[group, kind] = max(0.0, market.lean[group, kind] + further)
    for stall in range(len(market.pool)):
        market.alpha[stall] += step * slope.alpha[stall]
        begin, end = market.first_bid[stall], market.first_bid[stall + 1]
        for bid in range(begin, end):
            market.beta[bid] += step * slope.beta[bid]
        while True:
            total, count = market.alpha[stall], 1 if market.alpha[stall] > 0.0 else 0
            for bid in range(begin, end):
                total += market.beta[bid]
                count += 1 if market.beta[bid] > 0.0 else 0
            if total <= 1.0 + SPARE / 10:
                break
            cut = (total - 1.0) / count
            market.alpha[stall] = max(0.0, market.alpha[stall] - cut)
            for bid in range(begin, end):
                market.beta[bid] = max(0.0, market.beta[bid] - cut)


def shares_of(market: Market) -> tuple[NDArray[float64], NDArray[float64], NDArray[float64]]:
    """Return what moves: alpha, beta and lean."""
    return market.alpha, market.beta, market.lean


def slope_of_market(market: Market) -> Market:
    """Return room for the slope of these shares."""
    alpha, beta, lean = (np.zeros_like(part) for part in shares_of(market))
    return market._replace(alpha=alpha, beta=beta, lean=lean)
