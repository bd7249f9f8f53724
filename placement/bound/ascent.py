"""Raises a bound step by step: prices of capacity that sites share on the outside, shares of local pools within."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.bound.blocks import Shares, ascend_all, slope_of
from placement.bound.frame import Frame, Local, frame_of, local_of, needs_of
from placement.bound.market import Market, market_of, pull, quote, shares_of, shift, slope_of_market, take
from placement.bound.paid import paid
from placement.bound.scanning import close_all_late, fill
from placement.bound.serving import Room, room_of
from placement.bound.starting import first_shares, seats, top_of
from placement.bound.tables import Tables, first_order, reprice, tables_of
from placement.search.address import by_address
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Placing

FIRST_STEPS, STEPS = 60, 10
"""Steps within each block: when prices of capacity are met for the first time, and whenever they have moved."""

MOST_RISES, PATIENCE, SHORTEST = 2000, 10, 1e-2
"""Moves of the prices of shared pools; moves without progress after which they are halved; and when to stop that."""

GIVE = 0.1
"""Part of the cost of a stage elsewhere that may be left uncharged on the way up; see `look`."""

KEEP = 0.7
"""How much of the direction of a move is that of the last one."""

HOPE = 1.05
"""How far above what has been reached one aims when no plan says where the top is."""


class By(NamedTuple):
    """The parts of an ascent as kernels take them."""

    layout: Layout
    frame: Frame
    local: Local
    tables: Tables
    market: Market
    pull: Market
    room: Room
    shares: Shares
    slope: Shares


@dataclass(slots=True)
class Ascent:
    """One bound on its way up.

    Attributes:
        seat: by slot, the option elsewhere that the placing takes there, if any.
        paid, unit: by option elsewhere and by pool, what a unit of load pays per hour. order: options by `paid`.
        best: the highest bound so far. kept: the market's shares that gave it.
        top: what the placing pays when a shared pool has as many replicas as its load fills, though at least one;
            infinite when there is no placing.
    """

    layout: Layout
    placing: Placing | None
    frame: Frame
    local: Local
    market: Market
    pull: Market
    tables: Tables
    room: Room
    shares: Shares
    slope: Shares
    seat: NDArray[int64]
    paid: NDArray[float64]
    unit: NDArray[float64]
    order: NDArray[int64]
    top: float
    best: float = 0.0
    length: float = 1.0
    since: int = 0
    rises: int = 0
    work: int = 0
    kept: tuple[NDArray[float64], ...] = ()
    by: By = field(init=False)

    def __post_init__(self) -> None:
        """Hand everything to the kernels by address."""
        self.by = By(
            by_address(self.layout), by_address(self.frame), by_address(self.local), by_address(self.tables),
            by_address(self.market), by_address(self.pull), by_address(self.room), by_address(self.shares),
            by_address(self.slope),
        )  # fmt: skip

    @classmethod
    def of(cls, layout: Layout, ids: NDArray[int64], placing: Placing | None) -> Ascent:
        """Return the start of a bound over these workloads, sorted."""
        frame = frame_of(layout, ids, placing)
        tables = tables_of(layout, frame)
        close_all_late(by_address(layout), by_address(frame), by_address(tables))
        local = local_of(layout, frame, tables.is_open)
        market = market_of(layout, frame, local, needs_of(layout.pools, layout.groups))
        paid, unit = np.zeros(len(layout.works.remote_pool)), np.zeros(len(layout.pools.site))
        quote(by_address(market), paid, unit)
        shares = first_shares(layout, local, placing)
        seat, top = seats(layout, placing), top_of(layout, frame, local, placing)
        room = room_of(frame, len(layout.works.own_pool))
        return cls(
            layout, placing, frame, local, market, slope_of_market(market), tables, room, shares, slope_of(shares),
            seat, paid, unit, first_order(layout, paid), top,
        )  # fmt: skip

    def rise(self) -> bool:
        """Evaluate the bound at the present prices of shared pools, then move them; return whether that may help."""
        self._reprice()
        blocks = len(self.frame.blocks) - 1
        reached = np.full(blocks, -np.inf)
        steps = STEPS if self.rises else FIRST_STEPS
        by = self.by
        self.work += ascend_all(
            by.frame, by.local, by.tables, by.shares, by.slope, by.room, self._targets(), steps, reached, 0, blocks
        )
        value = float(reached.sum() - self.market.lean.sum())
        self.since = 0 if value > self.best * (1 + 1e-6) else self.since + 1
        if value > self.best:
            self.best, self.kept = value, tuple(part.copy() for part in shares_of(self.market))
        if self.since >= PATIENCE:
            self.length, self.since = self.length / 2, 0
            for part, best in zip(shares_of(self.market), self.kept, strict=True):
                part[:] = best
            for part in shares_of(self.pull):
                part[:] = 0.0
        self.rises += 1
        return self._move(value) and self.rises < MOST_RISES and self.length > SHORTEST

    def _reprice(self) -> None:
        """Quote prices, sort options by them, and fill the tables."""
        works = self.layout.works
        before = self.paid.copy()
        quote(self.by.market, self.paid, self.unit)
        reprice(self.by.tables, self.order, works.remote_first, self.paid, before)
        self.work += fill(
            self.by.layout, self.by.frame, self.by.tables, self.paid, self.order, GIVE, 0, len(self.frame.members)
        )
        load = np.maximum(0.0, np.repeat(works.wanted, np.diff(works.own_first)) - 1.0)
        self.room.price[:] = np.where(works.own_pool == NOWHERE, 0.0, load * np.append(self.unit, 0.0)[works.own_pool])
        self.room.price[self.tables.is_open == 0] = np.inf

    def _targets(self) -> NDArray[float64]:
        if self.placing is None:
            return np.full(len(self.frame.blocks) - 1, np.inf)
        return paid(
            self.by.layout, self.by.frame, self.by.local, by_address(self.placing), self.seat, self.paid, self.unit
        )

    def _move(self, value: float) -> bool:
        """Move shares and the worth of capacity towards what is asked; return False when nothing presses."""
        asked, loads = np.zeros(len(self.paid)), np.zeros(len(self.unit))
        take(self.by.layout, self.by.frame, self.by.tables, self.by.room, asked, loads)
        steep = pull(self.by.market, self.by.pull, asked, loads, KEEP if self.rises > 1 else 0.0)
        if steep <= 0.0:
            return False
        top = self.top if self.top < np.inf else self.best * HOPE
        shift(self.by.market, self.by.pull, self.length * max(top - value, 1e-4 * self.best) / steep)
        return True
