"""The workloads of one origin with the pools that only they use: prices that make their least cost as high as it goes.

Prices of a local pool with cost c: an own option pays c x (alpha x its load in replicas + beta), so that as long as
alpha + sum of beta <= 1 no whole number of replicas costs less than its users pay. A capacity row of the origin's
groups has a multiplier that raises c. All of it is moved along a supergradient, and the best is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from placement.bound.frame import KINDS, Frame, Local
from placement.bound.serving import Room, serve
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from placement.bound.tables import Tables

PATIENCE = 6
"""Steps without progress after which they are halved."""

SPARE = 1e-9
"""By how much shares may add up to more than one; the bound as a whole is lowered by more than that."""

HOPE = 0.1
"""How much higher, as a fraction, one aims when no plan says where the top is."""

SHORTEST = 1e-3
"""When steps are this small a fraction of the first, nothing more is to be had."""


class Shares(NamedTuple):
    """Multipliers.

    Attributes:
        alpha: by place. beta: by user. lean: [private group, kind], worth per hour of its whole capacity.
    """

    alpha: NDArray[float64]
    beta: NDArray[float64]
    lean: NDArray[float64]


@njit(cache=True, nogil=True)
def ascend(
    frame: Frame, local: Local, tables: Tables, shares: Shares, slope: Shares, room: Room, block: int,
    target: float, steps: int,
) -> tuple[float, int]:  # fmt: skip
    """Raise one block's bound by at most so many steps; return (bound, steps) and leave the best shares behind.

    Args:
        slope: room for the supergradient.
        target: what some plan costs here; infinite when one aims a little above what has been reached.
    """
    kept = np.empty(room_for(local, block))
    best, length, since, done = -np.inf, 1.0, 0, 0
    while done < steps:
        done += 1
        charge(frame, local, shares, room, block)
        value = 0.0
        for m in range(frame.blocks[block], frame.blocks[block + 1]):
            value += serve(frame, tables, room, m)
        if value == np.inf:
            return 0.0, done  # nobody could be served so: nothing is claimed
        added, steep = climb(local, shares, slope, room, block)
        value += added
        since = 0 if value > best + 1e-6 * abs(best) else since + 1
        if value > best:
            best = value
            copy(local, shares, block, kept, True)
        if since >= PATIENCE:
            length, since = length / 2, 0
        if length < SHORTEST or steep <= 0.0 or best >= target * (1 - 1e-7):
            break
        aim = target if target < np.inf else best + HOPE * abs(best) + 1e-9
        move(local, shares, slope, block, length * max(aim - value, 1e-4 * abs(aim)) / steep)
    copy(local, shares, block, kept, False)
    return best, done


@njit(cache=True, nogil=True)
def charge(frame: Frame, local: Local, shares: Shares, room: Room, block: int) -> None:
    """Write the prices of the own options of a block's local pools."""
    for place in range(local.first_place[block], local.first_place[block + 1]):
        cost = replica(local, shares, place)
        for user in range(local.first_user[place], local.first_user[place + 1]):
            paid = cost * (shares.alpha[place] * local.fill[user] + shares.beta[user])
            room.price[local.use[user]] = paid if local.is_open[user] else np.inf


@njit(cache=True, nogil=True)
def replica(local: Local, shares: Shares, place: int) -> float:
    """Return what a replica costs per hour, the worth of what it takes of its group included."""
    cost: float = local.cost[place]
    if local.host[place] != NOWHERE:
        for kind in range(KINDS):
            cost += shares.lean[local.host[place], kind] * local.need[place, kind]
    return cost


@njit(cache=True, nogil=True)
def climb(local: Local, shares: Shares, slope: Shares, room: Room, block: int) -> tuple[float, float]:
    """Return (what capacity adds to a block's bound, square of the slope); the slope is written."""
    added, steep = 0.0, 0.0
    for group in range(local.first_group[block], local.first_group[block + 1]):
        for kind in range(KINDS):
            slope.lean[group, kind] = -1.0
            added -= shares.lean[group, kind]
    for place in range(local.first_place[block], local.first_place[block + 1]):
        cost, group = replica(local, shares, place), local.host[place]
        load, counted = 0.0, 0.0
        begin, end = local.first_user[place], local.first_user[place + 1]
        for user in range(begin, end):
            load += room.taken[local.use[user]] * local.fill[user]
            counted += room.taken[local.use[user]] * shares.beta[user]
        counted += shares.alpha[place] * load
        slope.alpha[place] = load
        steep += cost * slope.alpha[place] ** 2
        for user in range(begin, end):
            slope.beta[user] = room.taken[local.use[user]]
            steep += cost * slope.beta[user] ** 2
        if group != NOWHERE:
            for kind in range(KINDS):
                slope.lean[group, kind] += counted * local.need[place, kind]
    for group in range(local.first_group[block], local.first_group[block + 1]):
        for kind in range(KINDS):
            if shares.lean[group, kind] > 0.0 or slope.lean[group, kind] > 0.0:
                steep += local.worth[group] * slope.lean[group, kind] ** 2
    return added, steep


@njit(cache=True, nogil=True)
def move(local: Local, shares: Shares, slope: Shares, block: int, step: float) -> None:
    """Move a block's shares along the slope, and back to where they are valid."""
    for group in range(local.first_group[block], local.first_group[block + 1]):
        for kind in range(KINDS):
            further = step * local.worth[group] * slope.lean[group, kind]
            shares.lean[group, kind] = max(0.0, shares.lean[group, kind] + further)
    for place in range(local.first_place[block], local.first_place[block + 1]):
        shares.alpha[place] = max(0.0, shares.alpha[place] + step * slope.alpha[place])
        for user in range(local.first_user[place], local.first_user[place + 1]):
            shares.beta[user] = max(0.0, shares.beta[user] + step * slope.beta[user])
        into_simplex(local, shares, place)


@njit(cache=True, nogil=True)
def into_simplex(local: Local, shares: Shares, place: int) -> None:
    """Replace a pool's shares by the nearest that are not negative and add up to at most one (Michelot)."""
    begin, end = local.first_user[place], local.first_user[place + 1]
    while True:
        total, count = shares.alpha[place], 1 if shares.alpha[place] > 0.0 else 0
        for user in range(begin, end):
            total += shares.beta[user]
            count += 1 if shares.beta[user] > 0.0 else 0
        if total <= 1.0 + SPARE / 10:
            break
        cut = (total - 1.0) / count
        shares.alpha[place] = max(0.0, shares.alpha[place] - cut)
        for user in range(begin, end):
            shares.beta[user] = max(0.0, shares.beta[user] - cut)


@njit(cache=True, nogil=True)
def room_for(local: Local, block: int) -> int:
    """Return how many numbers the shares of a block are."""
    first, last = local.first_place[block], local.first_place[block + 1]
    groups = local.first_group[block + 1] - local.first_group[block]
    count: int = last - first + local.first_user[last] - local.first_user[first] + groups * KINDS
    return count


@njit(cache=True, nogil=True)
def copy(local: Local, shares: Shares, block: int, kept: NDArray[float64], is_out: bool) -> None:
    """Copy a block's shares out to `kept`, or back in from it."""
    at = 0
    first, last = local.first_place[block], local.first_place[block + 1]
    for place in range(first, last):
        if is_out:
            kept[at] = shares.alpha[place]
        else:
            shares.alpha[place] = kept[at]
        at += 1
    for user in range(local.first_user[first], local.first_user[last]):
        if is_out:
            kept[at] = shares.beta[user]
        else:
            shares.beta[user] = kept[at]
        at += 1
    for group in range(local.first_group[block], local.first_group[block + 1]):
        for kind in range(KINDS):
            if is_out:
                kept[at] = shares.lean[group, kind]
            else:
                shares.lean[group, kind] = kept[at]
            at += 1


@njit(cache=True, nogil=True)
def ascend_all(
    frame: Frame, local: Local, tables: Tables, shares: Shares, slope: Shares, room: Room,
    target: NDArray[float64], steps: int, best: NDArray[float64], begin: int, end: int,
) -> int:  # fmt: skip
    """Raise the bounds of blocks begin..end, write the better ones to `best`, and return how many workloads' worth."""
    done = 0
    for block in range(begin, end):
        found, taken = ascend(frame, local, tables, shares, slope, room, block, target[block], steps)
        best[block] = max(best[block], found)
        done += taken * (frame.blocks[block + 1] - frame.blocks[block])
    return done


def slope_of(shares: Shares) -> Shares:
    """Return room for the slope of these shares."""
    alpha, beta, lean = (np.zeros_like(part) for part in (shares.alpha, shares.beta, shares.lean))
    return Shares(alpha, beta, lean)
