"""The wires of a fleet as hops with ids, and the tables of shortest paths over those that are open."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from placement.network import Hop, Network
from placement.search.layout import BITS
from placement.search.rows import array, firsts
from placement.search.ways import Ways
from placement.solution import HOP_LIMIT

MOST = 2**62


class Wires(NamedTuple):
    """Hops in the order of (from, to): as in `Ways`."""

    first_hop: NDArray[Any]
    start: NDArray[Any]
    end: NDArray[Any]
    rtt: NDArray[Any]
    price: NDArray[Any]
    bandwidth: NDArray[Any]
    price_scale: float


def wires_of(network: Network, names: Sequence[str]) -> tuple[Wires, NDArray[np.int64], tuple[Hop, ...]]:
    """Return the hops between sites that are in the order of their names, what flows may fill of each, and names."""
    index = {name: i for i, name in enumerate(names)}
    hops = tuple(sorted(network.wires))
    links = [network.wires[hop] for hop in hops]
    scale, prices = _whole([link.price.amount for link in links])
    start = array([index[a] for a, _ in hops], np.int32)
    wires = Wires(
        first_hop=firsts(np.bincount(start, minlength=len(names)), np.int32),
        start=start,
        end=array([index[b] for _, b in hops], np.int32),
        rtt=array([link.rtt for link in links], np.int64),
        price=array(prices, np.int64),
        bandwidth=array([link.bandwidth for link in links], np.float64),
        price_scale=float(scale),
    )
    above, below = (HOP_LIMIT * BITS).as_integer_ratio()
    return wires, array([link.bandwidth * above // below for link in links], np.int64), hops


def _whole(prices: Sequence[Fraction]) -> tuple[int, list[int]]:
    """Return prices as whole multiples of one unit, and how many of it make one.

    The unit is exact unless sums of so many would not fit; then prices that differ by less than it count as equal.
    """
    distinct = set(prices)
    scale = lcm(*(price.denominator for price in distinct))
    most = max(distinct, default=Fraction(0)) * max(1, len(prices))
    while most * scale >= MOST:
        scale //= 10
    whole = {price: round(price * scale) for price in distinct}
    return scale, [whole[price] for price in prices]


def _is_among(hops: frozenset[Hop], a: str, b: str) -> bool:
    return (a, b) in hops


def plain_ways(network: Network, names: Sequence[str], masks: Sequence[frozenset[Hop]]) -> Ways:
    """Return tables in which every site is core, each path found by `Network.shortest`. For small fleets."""
    wires, _, hops = wires_of(network, names)
    ids = {hop: i for i, hop in enumerate(hops)}
    count = len(names)
    shape = (len(masks), count, count)
    rtt, price = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    last, narrow = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    longest = 1
    for mask, open_hops in enumerate(masks):
        for a, name in enumerate(names):
            for path in network.shortest(name, partial(_is_among, open_hops)).values():
                b = names.index(path[-1])
                taken = [ids[hop] for hop in pairwise(path)]
                rtt[mask, a, b] = sum(wires.rtt[hop] for hop in taken)
                price[mask, a, b] = sum(wires.price[hop] for hop in taken)
                last[mask, a, b] = taken[-1] if taken else -1
                narrow[mask, a, b] = min(taken, key=lambda hop: wires.bandwidth[hop], default=-1)
                longest = max(longest, len(taken))
    return Ways(
        *wires[:6],
        open=np.array([[hop in among for hop in hops] for among in masks], np.uint8).reshape(len(masks), len(hops)),
        table=np.repeat(np.arange(len(masks), dtype=np.int32)[:, None], count, axis=1),
        row=np.repeat(np.arange(count, dtype=np.int32)[None, :], len(masks), axis=0),
        place=np.repeat(np.arange(count, dtype=np.int32)[None, :], len(masks), axis=0),
        first_entry=np.arange(len(masks), dtype=np.int64) * count * count,
        width=np.full(len(masks), count, np.int64),
        entry_rtt=rtt.reshape(-1),
        entry_price=price.reshape(-1),
        last=last.reshape(-1),
        narrow=narrow.reshape(-1),
        price_scale=wires.price_scale,
        longest=longest,
    )
