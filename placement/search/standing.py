"""A placing in which each workload with `survive: 1` is served after all losses that touch it, or is out.

Whoever finds no cover for some loss is placed anew where that loss does not touch it, with fallbacks if it must be, and
at last not at all; then all losses are faced again. What stands is made cheaper: survivors go home where that saves
more than it costs, and replicas that few losses need are done without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from placement.search import losing, settling, sweeping
from placement.search.engine import FAIRLY
from placement.search.facing import Facing
from placement.search.layout import NOWHERE, Packing, Placing
from placement.search.losing import Cover
from placement.search.returning import Returning
from placement.search.state import WORK, packing_of
from placement.search.surviving import Survival
from placement.search.tightening import tighten

MOST_TRIES = 4
"""How often a workload is placed anew as declared before it is with fallbacks, and then before it is given up."""

MOST_ROUNDS = 12
"""Rounds after which whoever has no cover is given up at once."""


class Stood(NamedTuple):
    """A placing that stands every loss.

    Attributes:
        covers: by loss (as `Remaining` numbers them), how the survivors that it touches are served then.
        work: what was done, in units that no clock enters.
    """

    placing: Placing
    packing: Packing
    covers: Mapping[int, Cover]
    work: int


def stand(
    survival: Survival, placing: Placing, packing: Packing, held: Placing | None, is_hurried: Callable[[], bool]
) -> Stood:
    """Return a placing as near to one as can be that stands every loss; `survival` learns who keeps off what.

    Args:
        packing: of the placing.
        held: where stages are now, and should stay: then nobody goes home to save cost.
        is_hurried: whether who has no cover is given up without another try, and nothing is made cheaper.
    """
    standing = _Standing(Facing.of(survival, placing, packing, held), is_hurried)
    standing.cover()
    best, goals = standing.found(), standing.facing.goals()
    if is_hurried():
        return best
    if held is None:
        for change in (standing.bring_in, standing.send_home):
            if change():
                standing.cover()
    tighten(standing.facing)
    return standing.found() if standing.facing.goals() < goals else best


@dataclass(slots=True)
class _Standing:
    """One placing that changes until it stands.

    Attributes:
        lowered: who is placed with fallbacks now. tried: how often workloads were placed anew.
    """

    facing: Facing
    is_hurried: Callable[[], bool]
    lowered: set[int] = field(default_factory=set)
    tried: dict[int, int] = field(default_factory=dict)

    def cover(self) -> None:
        """Face all losses until each is covered, and keep no replica that none of them needs."""
        for turn in range(len(self.facing.rank) + MOST_ROUNDS):
            failing = self.facing.face_all()
            if not failing:
                break
            self._yield(failing, is_last=turn >= MOST_ROUNDS or self.is_hurried())
        self.facing.fit()

    def _yield(self, failing: Mapping[int, Collection[int]], *, is_last: bool) -> None:
        """Place who has no cover for some loss anew, where none of those that it ever failed touches it."""
        facing, survival = self.facing, self.facing.survival
        order = sorted(failing, key=lambda work: int(facing.rank[work]))
        losing.leave_many(*facing.by[:3], np.array(order, np.int32))
        survival.bar((work, loss) for work in failing for loss in failing[work])
        self._blend(1.0 + 1e3 * float(facing.layout.pools.price.max(initial=0.0)))
        for work in order:
            survival.shunned.setdefault(work, set()).update(failing[work])
            if not is_last and work not in survival.barred:
                self._settle(work)
        facing.note(order)

    def _settle(self, work: int) -> None:
        """Place one workload anew, as declared while that is worth a try, then with fallbacks; or not at all."""
        shunned, layout = self.facing.survival.shunned, self.facing.layout
        first, last = layout.shapes.first[layout.works.pipeline[work] :][:2].tolist()
        if work not in self.lowered:
            if work not in self.facing.survival.low and self._has_a_try(work) and self._is_settled(work, first):
                return
            self.lowered.add(work)
            self.tried[work], shunned[work] = 0, set()
        if self._has_a_try(work):
            any(self._is_settled(work, shape) for shape in range(first + 1, last))

    def _has_a_try(self, work: int) -> bool:
        self.tried[work] = self.tried.get(work, 0) + 1
        return self.tried[work] <= MOST_TRIES

    def _is_settled(self, work: int, shape: int) -> bool:
        """Place a workload under one graph, away from what it shuns; return whether it has a place."""
        sites, hops = self.facing.survival.remaining.sites, len(self.facing.layout.ways.start)
        shunned = np.zeros(sites + hops, np.int8)
        shunned[sorted(self.facing.survival.shunned[work])] = 1
        return bool(settling.settle(*self.facing.by, work, shape, shunned, np.zeros(sites, np.int8)))

    def bring_in(self) -> bool:
        """Place who is out and may not have been tried in vain, now that others gave up their places."""
        facing = self.facing
        out = np.flatnonzero(facing.normal.shape == NOWHERE).tolist()
        order = sorted((w for w in out if w not in facing.survival.barred), key=lambda work: int(facing.rank[work]))
        self._blend(0.0)
        for work in order:
            facing.survival.shunned.setdefault(work, set())
            self._settle(work)
        placed = [work for work in order if facing.state.shape[work] != NOWHERE]
        facing.note(placed)
        return bool(placed)

    def _blend(self, move: float) -> None:
        """Let prices be those of more replicas, and a little of a fair part; `move` is what a move weighs."""
        self.facing.bench.blend[:] = 1.0, FAIRLY, 0.0, move
        sweeping.rank_rows(*self.facing.by)

    def send_home(self) -> bool:
        """Send survivors home where that saves something; return whether anybody went."""
        facing = self.facing
        self._blend(0.0)
        returning = Returning(facing.reserves, facing.state, facing.by, facing.normal, facing.at)
        away: dict[int, list[int]] = {}
        for work in sorted(facing.reserves.covered, key=lambda work: int(facing.rank[work])):
            away.setdefault(int(facing.layout.works.origin[work]), []).append(work)
        for works in away.values():
            returning.together(works)
        facing.note(sorted(returning.home))
        facing.survival.homebound.update(returning.home)
        return bool(returning.home)

    def found(self) -> Stood:
        """Return what stands now."""
        state = self.facing.state
        placing = Placing(*(part.copy() for part in self.facing.normal))
        # A cover that is replaced is never changed any more, nor is one of a round that is over.
        return Stood(placing, packing_of(state), dict(self.facing.covers), int(state.counts[WORK]))
