"""The least that one workload costs at given prices: over its graphs, splits and options at the origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from placement.bound.frame import MOST_STAGES, Frame
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.bound.tables import Tables


class Room(NamedTuple):
    """Arrays to work in; `room_of` makes them.

    Attributes:
        price: by own option, per hour; infinite where it is closed.
        taken: by own option, whether the last evaluation took it.
        row, split: by member, the row and the split of stages that it took; for a graph without splits, the splits of
            its first stages alone.
        sums, own: by split, and by stage.
    """

    price: NDArray[float64]
    taken: NDArray[float64]
    row: NDArray[int64]
    split: NDArray[int64]
    sums: NDArray[float64]
    own: NDArray[int64]


def room_of(frame: Frame, options: int) -> Room:
    """Return room for as many own options, all of them free of charge."""
    count = len(frame.members)
    most = int(np.diff(frame.first_step).max(initial=1))
    return Room(
        np.zeros(options), np.zeros(options), np.zeros(count, np.int64), np.zeros(count, np.int64),
        np.zeros(1 << MOST_STAGES), np.zeros(most, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def serve(frame: Frame, tables: Tables, room: Room, m: int) -> float:
    """Return what member m costs at least; its row, split and own options are marked in `room`."""
    least = np.inf
    for row in range(frame.first_row[m], frame.first_row[m + 1]):
        first, count = frame.first_step[row], frame.first_step[row + 1] - frame.first_step[row]
        entry = frame.first_entry[row]
        total, split = 0.0, 0
        room.sums[0] = 0.0
        for j in range(count):
            cheapest, own = np.inf, NOWHERE
            for use in range(frame.first_use[first + j], frame.last_use[first + j]):
                if room.price[use] < cheapest:
                    cheapest, own = room.price[use], use
            room.own[j] = own
            if count <= MOST_STAGES:
                for below in range(1 << j):
                    room.sums[(1 << j) + below] = room.sums[below] + cheapest
            elif cheapest < tables.entry[entry + j]:
                total += cheapest
            else:
                total += tables.entry[entry + j]
                room.own[j] = NOWHERE
        if count <= MOST_STAGES:
            total = np.inf
            for chosen in range(1 << count):
                if tables.entry[entry + chosen] + room.sums[chosen] < total:
                    total, split = tables.entry[entry + chosen] + room.sums[chosen], chosen
            for j in range(count):
                if split >> j & 1 == 0:
                    room.own[j] = NOWHERE
        if total < least:
            clear(frame, room, m)
            least = total
            room.row[m], room.split[m] = row, split
            for j in range(count):
                if room.own[j] != NOWHERE:
                    room.taken[room.own[j]] = 1.0
    return least


@njit(cache=True, nogil=True)
def clear(frame: Frame, room: Room, m: int) -> None:
    """Forget the own options that member m took."""
    for step in range(frame.first_step[frame.first_row[m]], frame.first_step[frame.first_row[m + 1]]):
        for use in range(frame.first_use[step], frame.last_use[step]):
            room.taken[use] = 0.0


@njit(cache=True, nogil=True)
def serve_all(frame: Frame, tables: Tables, room: Room) -> NDArray[float64]:
    """Return what every member costs at least, one by one."""
    paid = np.empty(len(frame.members))
    for m in range(len(paid)):
        paid[m] = serve(frame, tables, room, m)
    return paid
