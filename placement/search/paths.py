"""Shortest paths between the sites of one small graph, in the order of (round trip, price, names along the path).

Compiled; what `placement.routes.Network.shortest` does for one source at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy import float64, int32, int64
    from numpy.typing import NDArray


class Local(NamedTuple):
    """A graph whose sites are numbered in the order of their names; arcs of site a are first[a]..first[a+1].

    Attributes:
        end, rtt, price, bandwidth: by arc. hop: what the arc is called outside.
    """

    first: NDArray[int64]
    end: NDArray[int32]
    rtt: NDArray[int64]
    price: NDArray[int64]
    bandwidth: NDArray[float64]
    hop: NDArray[int32]


@njit(cache=True, nogil=True)
def parts(count: int, start: NDArray[int32], end: NDArray[int32]) -> NDArray[int64]:
    """Return for each of `count` sites the least site that hops join it with."""
    parent = np.arange(count)
    for hop in range(start.shape[0]):
        a, b = _root(parent, start[hop]), _root(parent, end[hop])
        parent[max(a, b)] = min(a, b)
    for site in range(count):
        parent[site] = _root(parent, site)
    return parent


@njit(cache=True, nogil=True)
def _root(parent: NDArray[int64], site: int) -> int:
    while parent[site] != site:
        parent[site] = parent[parent[site]]
        site = parent[site]
    return site


@njit(cache=True, nogil=True)
def paths_from(
    graph: Local,
    sources: NDArray[int64],
    rtt: NDArray[int64],
    price: NDArray[int64],
    last: NDArray[int32],
    narrow: NDArray[int32],
) -> int:
    """Fill tables [source, to] with the best paths; rtt is -1 where there is none. Return the most hops of any path."""
    count = graph.first.shape[0] - 1
    parent, depth, least = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.float64)
    heap, near = np.empty((graph.end.shape[0] + 1, 4), np.int64), np.empty((count, 2), np.int64)
    longest = 0
    for row in range(sources.shape[0]):
        source = sources[row]
        rtt[row, :] = -1
        near[:, 0] = -1
        rtt[row, source], price[row, source] = 0, 0
        last[row, source], narrow[row, source] = -1, -1
        parent[source], depth[source], least[source] = -1, 0, np.inf
        size = _push_all(graph, source, 0, 0, rtt[row], heap, 0, near, parent, depth)
        while size > 0:
            here_rtt, here_price, arc, before = heap[0, 0], heap[0, 1], heap[0, 2], heap[0, 3]
            size = _pop(graph, heap, size, parent, depth)
            here = graph.end[arc]
            if rtt[row, here] >= 0:
                continue
            rtt[row, here], price[row, here] = here_rtt, here_price
            parent[here], depth[here] = before, depth[before] + 1
            longest = max(longest, depth[here])
            last[row, here] = graph.hop[arc]
            least[here], narrow[row, here] = least[before], narrow[row, before]
            if graph.bandwidth[arc] < least[here]:
                least[here], narrow[row, here] = graph.bandwidth[arc], graph.hop[arc]
            size = _push_all(graph, here, here_rtt, here_price, rtt[row], heap, size, near, parent, depth)
    return longest


@njit(cache=True, nogil=True)
def _push_all(
    graph: Local, here: int, rtt: int, price: int, done: NDArray[int64], heap: NDArray[int64], size: int,
    near: NDArray[int64], parent: NDArray[int32], depth: NDArray[int32],
) -> int:  # fmt: skip
    """Put every arc on the heap that leads to a site that is not done, no worse than known; return the heap's size."""
    for arc in range(graph.first[here], graph.first[here + 1]):
        there, far, cost = graph.end[arc], rtt + graph.rtt[arc], price + graph.price[arc]
        if done[there] >= 0:
            continue
        if near[there, 0] >= 0 and (far > near[there, 0] or (far == near[there, 0] and cost > near[there, 1])):
            continue
        near[there, 0], near[there, 1] = far, cost
        heap[size, 0], heap[size, 1], heap[size, 2], heap[size, 3] = far, cost, arc, here
        child = size
        size += 1
        while child > 0 and _is_less(graph, heap, child, (child - 1) // 2, parent, depth):
            _swap(heap, child, (child - 1) // 2)
            child = (child - 1) // 2
    return size


@njit(cache=True, nogil=True)
def _pop(graph: Local, heap: NDArray[int64], size: int, parent: NDArray[int32], depth: NDArray[int32]) -> int:
    """Remove the first of the heap and return its size."""
    size -= 1
    _swap(heap, 0, size)
    here = 0
    while True:
        least = here
        for child in (2 * here + 1, 2 * here + 2):
            if child < size and _is_less(graph, heap, child, least, parent, depth):
                least = child
        if least == here:
            return size
        _swap(heap, here, least)
        here = least


@njit(cache=True, nogil=True)
def _swap(heap: NDArray[int64], a: int, b: int) -> None:
    for column in range(4):
        kept = heap[a, column]
        heap[a, column] = heap[b, column]
        heap[b, column] = kept


@njit(cache=True, nogil=True)
def _is_less(graph: Local, heap: NDArray[int64], a: int, b: int, parent: NDArray[int32], depth: NDArray[int32]) -> bool:
    """Return whether one path on the heap is before another: by round trip, then price, then names."""
    if heap[a, 0] != heap[b, 0]:
        return bool(heap[a, 0] < heap[b, 0])
    if heap[a, 1] != heap[b, 1]:
        return bool(heap[a, 1] < heap[b, 1])
    x, y = graph.end[heap[a, 2]], graph.end[heap[b, 2]]
    over_x, over_y = heap[a, 3], heap[b, 3]
    deep_x, deep_y = depth[over_x] + 1, depth[over_y] + 1
    longer = deep_x > deep_y
    while deep_x > deep_y:
        x, over_x, deep_x = over_x, parent[over_x], deep_x - 1
    while deep_y > deep_x:
        y, over_y, deep_y = over_y, parent[over_y], deep_y - 1
    if x == y and over_x == over_y:
        return not longer
    while over_x != over_y:
        x, over_x = over_x, parent[over_x]
        y, over_y = over_y, parent[over_y]
    return bool(x < y)
