"""Routes over a large fleet, as tables that compiled code can ask. (Interface; the tables are being written.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from numba import njit

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray


class Ways(NamedTuple):
    """Tables of routes; only `route` and `hops` know their form."""

    sites: NDArray[int64]


@njit(cache=True, nogil=True)
def route(ways: Ways, mask: int, a: int, b: int) -> tuple[int, float, float]:
    """Return (rtt in us, price per GB, least full bandwidth in bit/s) of the route from site a to site b.

    The route is the least-RTT path whose hops are all open under `mask`, ties by price and then hop names, as
    `placement.routes.Router` finds it. rtt is -1 when there is none; (0, 0.0, 0.0) when a == b.
    """
    raise NotImplementedError


@njit(cache=True, nogil=True)
def hops(ways: Ways, mask: int, a: int, b: int, out: NDArray[int64]) -> int:
    """Write the directed hop ids of that route to `out` and return how many; 0 when a == b or there is none."""
    raise NotImplementedError
