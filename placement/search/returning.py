"""Survivors go home where that is cheaper than to be elsewhere with something reserved for them.

What no loss touches needs no reserve. One workload alone often saves nothing, for others use the same replicas: those
of one origin go together first, then one by one. What is saved is reckoned to the replica, over all losses at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from placement.search import losing, settling
from placement.search.bench import Bench
from placement.search.index import Index
from placement.search.layout import Layout, Placing
from placement.search.reserves import Reserves
from placement.search.state import State

LEAST = 1e-9
"""Money per hour that is worth a change."""


@dataclass(slots=True)
class Returning:
    """Ways home from a placing that stands every loss.

    Attributes:
        by: layout, state, index and bench by address. at: the placing by address.
        home: who has gone.
    """

    reserves: Reserves
    state: State
    by: tuple[Layout, State, Index, Bench]
    normal: Placing
    at: Placing
    home: set[int] = field(default_factory=set)

    def together(self, works: Sequence[int]) -> None:
        """Send home whom it pays to, of the survivors of one origin."""
        if len(works) > 1 and self._try(works):
            return
        for work in works:
            self._try([work])

    def _try(self, works: Sequence[int]) -> bool:
        """Send workloads home if all find a place there and that is cheaper; nothing changes when it is not."""
        ids, layout = np.array(works, np.int32), self.reserves.layout
        old = {work: list(self.reserves.uses(work, self.state.pool[_slots(layout, work)])) for work in works}
        paid, replicas = float(self.state.egress[ids].sum()), self.state.replicas.copy()
        losing.leave_many(*self.by[:3], ids)
        if all(self._settled(work) for work in works):
            new = {work: list(self.reserves.uses(work, self.state.pool[_slots(layout, work)])) for work in works}
            changed = self.reserves.without(old, new)
            before, after = self.reserves.price(changed.base), changed.price(changed.base)
            if after + float(self.state.egress[ids].sum()) < before + paid - LEAST:
                self.reserves.take(changed, works)
                self.home.update(works)
                return True
        losing.leave_many(*self.by[:3], ids)
        losing.fit(*self.by[:3], replicas)
        losing.enter_many(*self.by[:3], self.at, ids)
        return False

    def _settled(self, work: int) -> bool:
        layout = self.reserves.layout
        sites = len(layout.ways.first_hop) - 1
        away, closed = np.ones(sites + len(layout.ways.start), np.int8), np.zeros(sites, np.int8)
        shape = int(self.normal.shape[work])
        return bool(settling.settle(*self.by, work, shape, away, closed))


def _slots(layout: Layout, work: int) -> slice:
    return slice(*layout.works.first_slot[[work, work + 1]].tolist())
