"""What the cheapest assignments take of pools that several sites reach: the slope of their groups' multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from placement.bound.frame import Frame
from placement.bound.serving import Room
from placement.bound.tables import MOST_FLOWS, Tables, neighbours
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from placement.search.layout import Shapes, Works


@njit(cache=True, nogil=True)
def take(works: Works, shapes: Shapes, frame: Frame, tables: Tables, room: Room, loads: NDArray[float64]) -> None:
    """Add by pool the units of load that the last evaluation of every member gives it, local pools included."""
    flows = np.empty(MOST_FLOWS + 1, np.int64)
    for m in range(len(frame.members)):
        row = room.row[m]
        first = frame.first_step[row]
        for step in range(first, frame.first_step[row + 1]):
            pool, is_own = NOWHERE, False
            for use in range(frame.first_use[step], frame.last_use[step]):
                if room.taken[use] > 0.0:
                    pool, is_own = works.own_pool[use], True
            if not is_own:
                chosen = neighbours(shapes, frame.shape[row], step - first, room.split[m], flows)
                option = tables.option[step, chosen]
                pool = works.remote_pool[option] if option != NOWHERE else NOWHERE
            if pool != NOWHERE:
                loads[pool] += frame.load[step]
