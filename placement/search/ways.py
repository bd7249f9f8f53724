"""Routes over a large fleet, as tables that compiled code can ask.

Sites that serve others, and every neighbour of a site that does not, are *core*: shortest paths between them are in
tables, one per set of core sites that open hops join. What else is a *leaf*, and goes by one of its own hops first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy import float64, int32, int64, uint8
    from numpy.typing import NDArray


class Ways(NamedTuple):
    """Tables of routes; only `route` and `hops` know their form. Hops of site a are first_hop[a]..first_hop[a+1].

    Attributes:
        first_hop: by site (+1). Hops of one site are in the order of the sites that they lead to.
        start, end: by hop, its sites. rtt: us. price: units of money per GB, of which `price_scale` make one.
        bandwidth: bit/s.
        open: [mask, hop], 1 where the hop is open.
        table, row: [mask, site], the table that a core site is in, and its row; -1 for a leaf.
        place: [mask, site], its column there; a leaf over which ways between core sites may lead has one too.
        first_entry, width: by table, where its rows begin, and their length.
        entry_rtt, entry_price: of the best path; rtt is -1 where there is none.
        last, narrow: the last hop of that path, and the one with the least bandwidth; -1 from a site to itself.
        longest: no route has more hops.
    """

    first_hop: NDArray[int32]
    start: NDArray[int32]
    end: NDArray[int32]
    rtt: NDArray[int64]
    price: NDArray[int64]
    bandwidth: NDArray[float64]
    open: NDArray[uint8]
    table: NDArray[int32]
    row: NDArray[int32]
    place: NDArray[int32]
    first_entry: NDArray[int64]
    width: NDArray[int64]
    entry_rtt: NDArray[int64]
    entry_price: NDArray[int64]
    last: NDArray[int32]
    narrow: NDArray[int32]
    price_scale: float
    longest: int


@njit(cache=True, nogil=True)
def route(ways: Ways, mask: int, a: int, b: int) -> tuple[int, float, float]:
    """Return (rtt in us, price per GB, least full bandwidth in bit/s) of the route from site a to site b.

    The route is the least-RTT path whose hops are all open under `mask`, ties by price and then hop names, as
    `placement.routes.Router` finds it. rtt is -1 when there is none; (0, 0.0, 0.0) when a == b. One end is core.
    """
    if a == b:
        return 0, 0.0, 0.0
    up, entry, down = _legs(ways, mask, a, b)
    if entry < 0:
        return -1, 0.0, 0.0
    rtt, price = ways.entry_rtt[entry], ways.entry_price[entry]
    least = np.inf
    if ways.narrow[entry] >= 0:
        least = ways.bandwidth[ways.narrow[entry]]
    for hop in (up, down):
        if hop >= 0:
            rtt += ways.rtt[hop]
            price += ways.price[hop]
            least = min(least, ways.bandwidth[hop])
    return rtt, price / ways.price_scale, least


@njit(cache=True, nogil=True)
def hops(ways: Ways, mask: int, a: int, b: int, out: NDArray[int64]) -> int:
    """Write the directed hop ids of that route to `out` and return how many; 0 when a == b or there is none.

    `out` has room for `ways.longest` of them.
    """
    if a == b:
        return 0
    up, entry, down = _legs(ways, mask, a, b)
    if entry < 0:
        return 0
    count = 0
    if up >= 0:
        out[0] = up
        count = 1
    first = ways.end[up] if up >= 0 else a
    count += _trace(ways, mask, first, ways.start[down] if down >= 0 else b, out, count)
    if down >= 0:
        out[count] = down
        count += 1
    return count


@njit(cache=True, nogil=True)
def _entry(ways: Ways, mask: int, a: int, b: int) -> int:
    """Return the entry of the path between two core sites; -1 when none joins them."""
    table = ways.table[mask, a]
    if table < 0 or table != ways.table[mask, b]:
        return -1
    entry = ways.first_entry[table] + ways.row[mask, a] * ways.width[table] + ways.place[mask, b]
    return entry if ways.entry_rtt[entry] >= 0 else -1


@njit(cache=True, nogil=True)
def _legs(ways: Ways, mask: int, a: int, b: int) -> tuple[int, int, int]:
    """Return (hop from a leaf a, entry between core sites, hop to a leaf b); hops are -1 for core, entry for none."""
    if ways.table[mask, a] >= 0:
        entry, down = _descent(ways, mask, a, b)
        return -1, entry, down
    best_up, best_entry, best_down = -1, -1, -1
    best_rtt, best_price = 0, 0
    for up in range(ways.first_hop[a], ways.first_hop[a + 1]):
        if ways.open[mask, up] == 0 or ways.table[mask, ways.end[up]] < 0:
            continue
        entry, down = _descent(ways, mask, ways.end[up], b)
        if entry < 0:
            continue
        rtt, price = ways.rtt[up] + ways.entry_rtt[entry], ways.price[up] + ways.entry_price[entry]
        if down >= 0:
            rtt += ways.rtt[down]
            price += ways.price[down]
        # Hops are in the order of names, so of equals the first stays.
        if best_entry < 0 or rtt < best_rtt or (rtt == best_rtt and price < best_price):
            best_up, best_entry, best_down, best_rtt, best_price = up, entry, down, rtt, price
    return best_up, best_entry, best_down


@njit(cache=True, nogil=True)
def _descent(ways: Ways, mask: int, a: int, b: int) -> tuple[int, int]:
    """Return (entry, hop to a leaf b) of the way from a core site; the hop is -1 when b is core, the entry for none."""
    if ways.table[mask, b] >= 0:
        return _entry(ways, mask, a, b), -1
    best_entry, best_down = -1, -1
    best_rtt, best_price = 0, 0
    for back in range(ways.first_hop[b], ways.first_hop[b + 1]):
        near = ways.end[back]
        down = reverse(ways, back)
        if ways.open[mask, down] == 0:
            continue
        entry = _entry(ways, mask, a, near)
        if entry < 0:
            continue
        rtt, price = ways.rtt[down] + ways.entry_rtt[entry], ways.price[down] + ways.entry_price[entry]
        better = best_entry < 0 or rtt < best_rtt or (rtt == best_rtt and price < best_price)
        if not better and rtt == best_rtt and price == best_price:
            better = _is_before(ways, mask, a, near, ways.start[best_down], b)
        if better:
            best_entry, best_down, best_rtt, best_price = entry, down, rtt, price
    return best_entry, best_down


@njit(cache=True, nogil=True)
def reverse(ways: Ways, hop: int) -> int:
    """Return the same wire in the other direction."""
    low, high = ways.first_hop[ways.end[hop]], ways.first_hop[ways.end[hop] + 1]
    while low < high:
        middle = (low + high) // 2
        if ways.end[middle] < ways.start[hop]:
            low = middle + 1
        else:
            high = middle
    return int(low)


@njit(cache=True, nogil=True, _nrt=True)  # type: ignore[call-overload]  # makes arrays, also where callers may not
def _is_before(ways: Ways, mask: int, a: int, near: int, other: int, b: int) -> bool:
    """Return whether the path from a over `near` to b has names before those of the one over `other`."""
    ours, theirs = np.empty(ways.longest, np.int64), np.empty(ways.longest, np.int64)
    count, others = _trace(ways, mask, a, near, ours, 0), _trace(ways, mask, a, other, theirs, 0)
    for step in range(min(count, others) + 1):
        mine = ways.end[ours[step]] if step < count else b
        its = ways.end[theirs[step]] if step < others else b
        if mine != its:
            return bool(mine < its)
    return False


@njit(cache=True, nogil=True)
def _trace(ways: Ways, mask: int, a: int, b: int, out: NDArray[int64], at: int) -> int:
    """Write the hops between two core sites that a path joins to `out[at:]` and return how many."""
    table = ways.table[mask, a]
    row = ways.first_entry[table] + ways.row[mask, a] * ways.width[table]
    count, here = 0, b
    while here != a:
        hop = ways.last[row + ways.place[mask, here]]
        out[at + count] = hop
        count += 1
        here = ways.start[hop]
    for step in range(count // 2):
        swapped = out[at + step]
        out[at + step] = out[at + count - 1 - step]
        out[at + count - 1 - step] = swapped
    return count
