"""Raises a bound step by step: prices of capacity that sites share on the outside, shares of local pools within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from placement.bound.blocks import UNBOUNDED, Shares, ascend_all, slope_of
from placement.bound.frame import KINDS, Frame, Local, frame_of, local_of, needs_of
from placement.bound.paid import paid
from placement.bound.serving import Room, room_of
from placement.bound.shared import take
from placement.bound.tables import Order, Tables, fill, tables_of
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Placing

FIRST_STEPS, STEPS = 60, 10
"""Steps within each block: when prices of capacity are met for the first time, and whenever they have moved."""

MOST_RISES, PATIENCE, SHORTEST = 200, 4, 1e-2
"""Moves of the prices of capacity; moves without progress after which they are halved; and when to stop that."""

HOPE = 1.05
"""How far above what has been reached one aims when no plan says where the top is."""


@dataclass(slots=True)
class Ascent:
    """One bound on its way up.

    Attributes:
        lean: [group, kind], worth per hour of the whole capacity of groups that sites share. need: [pool, kind].
        best: the highest bound so far. kept: the `lean` that gave it.
        top: what a plan pays when shared pools are charged by load; infinite when there is none to look at.
    """

    layout: Layout
    placing: Placing | None
    frame: Frame
    local: Local
    tables: Tables
    order: Order
    room: Room
    shares: Shares
    slope: Shares
    need: NDArray[float64]
    lean: NDArray[float64]
    kept: NDArray[float64]
    best: float = 0.0
    top: float = np.inf
    length: float = 1.0
    since: int = 0
    rises: int = 0
    work: int = 0

    @classmethod
    def of(cls, layout: Layout, ids: NDArray[int64], placing: Placing | None) -> Ascent:
        """Return the start of a bound over these workloads, sorted."""
        frame = frame_of(layout, ids, placing)
        tables = tables_of(layout, frame)
        order = Order(layout)
        unit = layout.pools.price / (layout.pools.throughput + 1.0)
        seen = fill(layout, frame, tables, unit, order.at(unit), 0, len(frame.members))
        local = local_of(layout, frame, tables.is_open)
        shares = _first_shares(layout, local, placing)
        lean = np.zeros((len(layout.groups.site), KINDS))
        return cls(
            layout, placing, frame, local, tables, order, room_of(frame, len(layout.works.own_pool)), shares,
            slope_of(shares), needs_of(layout.pools, layout.groups), lean, lean, work=seen,
        )  # fmt: skip

    def rise(self) -> bool:
        """Evaluate the bound at the present prices of capacity, then move them; return whether that may help again."""
        unit = self._reprice()
        blocks = len(self.frame.blocks) - 1
        reached, target = np.full(blocks, -np.inf), self._targets(unit)
        steps = STEPS if self.rises else FIRST_STEPS
        self.work += ascend_all(
            self.frame, self.local, self.tables.entry, self.shares, self.slope, self.room, target, steps, reached,
            0, blocks,
        )  # fmt: skip
        if self.top == np.inf and self.placing is not None:
            self.top = float(target.sum())
        value = float(reached.sum() - self.lean.sum())
        if value > self.best * (1 + 1e-6):
            self.since = 0
        else:
            self.since += 1
        if value > self.best:
            self.best, self.kept = value, self.lean
        if self.since >= PATIENCE:
            self.length, self.since, self.lean = self.length / 2, 0, self.kept
        self.rises += 1
        return self._move(value) and self.rises < MOST_RISES and self.length > SHORTEST

    def _reprice(self) -> NDArray[float64]:
        """Fill the tables and the prices of own options at the present worth of capacity."""
        layout, works = self.layout, self.layout.works
        unit = self._replica() / (layout.pools.throughput + 1.0)
        if self.rises:
            members = len(self.frame.members)
            self.work += fill(layout, self.frame, self.tables, unit, self.order.at(unit), 0, members)
        load = np.maximum(0.0, np.repeat(works.wanted, np.diff(works.own_first)) - 1.0)
        self.room.price[:] = np.where(works.own_pool == NOWHERE, 0.0, load * np.append(unit, 0.0)[works.own_pool])
        self.room.price[self.tables.is_open == 0] = np.inf
        return unit

    def _replica(self) -> NDArray[float64]:
        pools = self.layout.pools
        worth: NDArray[float64] = pools.price + (self.lean[pools.group] * self.need).sum(axis=1)
        return worth

    def _targets(self, unit: NDArray[float64]) -> NDArray[float64]:
        if self.placing is None:
            return np.full(len(self.frame.blocks) - 1, np.inf)
        return paid(self.layout, self.frame, self.local, self.placing, unit)

    def _move(self, value: float) -> bool:
        """Move the worth of shared capacity towards what is asked of it; return False when nothing presses."""
        pools = self.layout.pools
        loads = np.zeros(len(pools.site))
        take(self.layout.works, self.layout.shapes, self.frame, self.tables, self.room, loads)
        loads[self.local.pool] = 0.0
        used = np.zeros_like(self.lean)
        np.add.at(used, pools.group, (loads / (pools.throughput + 1.0))[:, None] * self.need)
        worth = np.zeros(len(self.lean))
        np.maximum.at(worth, pools.group, pools.price)
        slope = (used - 1.0) * worth[:, None]
        steep = float((slope[(self.lean > 0) | (slope > 0)] ** 2).sum())
        if steep <= 0.0:
            return False
        top = self.top if self.top < np.inf else self.best * HOPE
        step = self.length * max(top - value, 1e-4 * self.best) / steep
        self.lean = np.maximum(0.0, self.lean + step * worth[:, None] * slope)
        return True


def _first_shares(layout: Layout, local: Local, placing: Placing | None) -> Shares:
    """Return shares that split each local pool among those who use it in `placing`, or else among all who could."""
    count, sizes = len(local.pool), np.diff(local.first_user)
    slot = np.searchsorted(layout.works.own_first, local.use, side="right") - 1
    is_used = np.zeros(len(slot))
    if placing is not None:
        is_used = (placing.pool[slot] == layout.works.own_pool[local.use]).astype(np.float64)
    alpha, beta = np.zeros(count), np.zeros(len(local.use))
    if count:
        many = np.add.reduceat(is_used, local.first_user[:-1])
        loads = np.add.reduceat(is_used * local.fill, local.first_user[:-1])
        alpha = np.where(loads > 1.0, 1.0, 0.0)
        among = np.where(np.repeat(many > 0, sizes), is_used, 1.0)
        beta = among * np.repeat((1.0 - alpha) / np.where(many > 0, many, sizes), sizes)
    lean = np.zeros((len(local.group), KINDS))
    return Shares(alpha, beta, lean, np.zeros(count, np.int64), np.full(count, UNBOUNDED, np.int64))
