"""A lower bound on the cost of every plan that serves what a given one serves, computed and stopped by work.

Why it holds. Let pool i cost c_i per replica, y_i be its whole number of replicas, x_e say that workload w puts stage j
on it (e = (w, j, i)) and l_e its load in replicas: a plan has sum_e l_e x_e <= y_i and x_e <= y_i. For any shares
alpha_i, beta_e >= 0 with alpha_i + sum_e beta_e <= 1 therefore sum_e (alpha_i l_e + beta_e) x_e <= y_i, so a plan costs
at least what its stages pay at the prices c_i (alpha_i l_e + beta_e), its egress included. A capacity row r (cpus,
memory, disk or eighths of one hardware group, as fractions of all its nodes) says sum_i n_ri y_i <= 1; for any
pi_r >= 0 a plan that fits costs at least sum_i (c_i + sum_r pi_r n_ri) y_i - sum_r pi_r: the same with dearer replicas,
less what the capacity is worth. Prices given, no plan pays less than the sum over workloads of the cheapest assignment
of each, and a relaxation of that (`tables`) is still below it. What is left out (node by node packing, stores on disk,
loads of links, spread, failures that are survived, domains apart) only forbids plans.

A replica that all who may use a pool could not fill is counted as full when they all come: y is whole, so the rows hold
with l_e in parts of what all could ask.

A split workload pays a mean of assignments, never less than the cheapest. Loads are rounded down and throughputs up, so
that the exact plan is covered too; the sum is lowered by a ten-millionth for the rounding of floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from placement.bound.ascent import Ascent
from placement.bound.frame import frame_of
from placement.bound.scanning import close_all_late, fill
from placement.bound.serving import room_of, serve_all
from placement.bound.tables import first_order, tables_of
from placement.search.address import by_address
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Placing

SAFE = 1 - 1e-7
"""What the sum is lowered by."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A computed bound.

    Attributes:
        per_hour: no plan of those that it covers costs less.
        over: `all` when it covers every plan with as little unplaced and degraded as can be, `set` when those that
            serve the same workloads at least as well.
        work: effort that no clock enters; one unit is about one look at one workload.
    """

    per_hour: float
    over: Literal["all", "set"]
    work: int


def bound(
    layout: Layout, *, placing: Placing | None = None, work: int, tick: Callable[[Bound], None] | None = None
) -> Bound:
    """Return a bound over the plans that serve what `placing` serves at least as well.

    Whoever is unplaced there stays so, a degraded one may be served by any graph, a placed one by the declared one.
    With no `placing` it is over the plans that serve everybody who can be served at all.

    Args:
        work: effort after which nothing new is begun; any amount gives a valid bound, none gives zero.
        tick: called between kernels with the bound so far; may raise KeyboardInterrupt.
    """
    ids = np.arange(len(layout.works.origin)) if placing is None else np.flatnonzero(placing.shape != NOWHERE)
    if placing is None:
        ids = ids[_can_be_served(layout, ids, None)]
    over: Literal["all", "set"] = "all" if placing is not None and _is_best(layout, placing) else "set"
    if not len(ids) or work <= 0:
        return Bound(0.0, over, 0)
    ascent = Ascent.of(layout, ids, placing)
    while ascent.work < work and ascent.rise():
        if tick is not None:
            tick(Bound(max(0.0, ascent.best * SAFE), over, ascent.work))
    return Bound(max(0.0, ascent.best * SAFE), over, ascent.work)


def _is_best(layout: Layout, placing: Placing) -> bool:
    """Return whether whoever is unplaced or degraded could do no better in an empty fleet."""
    return not improvable(layout, placing).any()


def improvable(layout: Layout, placing: Placing) -> NDArray[np.bool_]:
    """Return by workload whether it is unplaced or degraded and might do better alone in an empty fleet.

    Who is lacking and not improvable is proved to be so: the relaxation serves whoever can be served.
    """
    declared = layout.shapes.first[layout.works.pipeline]
    ids = np.flatnonzero(placing.shape != declared)
    better = np.where(placing.shape == NOWHERE, NOWHERE, declared).astype(np.int32)
    found: NDArray[np.bool_] = np.zeros(len(placing.shape), np.bool_)
    found[ids] = _can_be_served(layout, ids, placing._replace(shape=better))
    return found


def _can_be_served(layout: Layout, ids: NDArray[np.int64], placing: Placing | None) -> NDArray[np.bool_]:
    """Return by workload whether it might be served alone by a graph that `placing` leaves it; `ids` are sorted."""
    if not len(ids):
        return np.zeros(0, np.bool_)
    frame = frame_of(layout, ids, placing)
    tables = tables_of(layout, frame)
    paid = np.zeros(len(layout.works.remote_pool))
    by = by_address(frame), by_address(tables)
    close_all_late(by_address(layout), *by)
    fill(by_address(layout), *by, paid, first_order(layout, paid), 0.0, 0, len(frame.members))
    room = room_of(frame, len(layout.works.own_pool))
    room.price[tables.is_open == 0] = np.inf
    least = serve_all(*by, by_address(room))
    can: NDArray[np.bool_] = np.zeros(len(layout.works.origin), np.bool_)
    can[frame.members] = least < np.inf
    return can[ids]
