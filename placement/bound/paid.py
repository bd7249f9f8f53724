"""What a placing costs, origin by origin, at given prices of shared pools: the height that a bound could reach."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from placement.bound.scanning import flow_between
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.bound.frame import Frame, Local
    from placement.search.layout import Layout, Placing

WHOLE = 1e-9
"""Loads that exceed whole replicas by less are whole: they were rounded up."""


@njit(cache=True, nogil=True)
def paid(
    layout: Layout, frame: Frame, local: Local, placing: Placing, seat: NDArray[int64], price: NDArray[float64],
    unit: NDArray[float64],
) -> NDArray[float64]:  # fmt: skip
    """Return by block what its members pay: whole replicas of local pools, prices of shared ones, egress.

    Args:
        seat: by slot, the option elsewhere that it takes, if any. price, unit: see `placement.bound.market.quote`.
    """
    works, shapes, pools = layout.works, layout.shapes, layout.pools
    found = np.zeros(len(frame.blocks) - 1)
    is_local = np.zeros(len(pools.site), np.int8)
    for place in range(len(local.pool)):
        is_local[local.pool[place]] = 1
    loads = np.zeros(len(pools.site))
    at = np.empty(1024, np.int64)
    for block in range(len(found)):
        for m in range(frame.blocks[block], frame.blocks[block + 1]):
            w = frame.members[m]
            shape = placing.shape[w]
            first = shapes.first_stage[shape]
            for j in range(shapes.first_stage[shape + 1] - first):
                slot = works.first_slot[w] + shapes.stage_slot[first + j]
                pool = placing.pool[slot]
                at[j] = placing.site[slot]
                if pool != NOWHERE and is_local[pool]:
                    loads[pool] += works.wanted[slot] / pools.throughput[pool]
                elif pool != NOWHERE:
                    found[block] += works.wanted[slot] * (price[seat[slot]] if seat[slot] != NOWHERE else unit[pool])
            for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
                source, target = shapes.edge_source[edge], shapes.edge_target[edge]
                a = works.origin[w] if source == NOWHERE else at[source]
                b = works.origin[w] if target == NOWHERE else at[target]
                found[block] += flow_between(layout, w, edge, a, b)[0]
        for place in range(local.first_place[block], local.first_place[block + 1]):
            pool = local.pool[place]
            found[block] += pools.price[pool] * ceil(loads[pool] - WHOLE)
    return found
