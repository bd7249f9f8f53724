"""What pools are asked for normally and after each loss, and so how many replicas they need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from placement.search.layout import NOWHERE, Layout
from placement.search.losing import Cover

Use = tuple[int, int]
"""A pool, and units of load that a workload asks of it."""

After = dict[int, dict[int, int]]
"""By pool and loss, units of load; of those pools alone to which somebody is moved."""


@dataclass(slots=True)
class Reserves:
    """Loads of a placing that stands every loss.

    Attributes:
        base: by pool, units of load normally. after: the same after each loss.
        covered: by workload and loss that touches it, what it uses then.
    """

    layout: Layout
    base: dict[int, int] = field(default_factory=dict)
    after: After = field(default_factory=dict)
    covered: dict[int, dict[int, list[Use]]] = field(default_factory=dict)
    _losses: dict[int, list[int]] = field(default_factory=dict)

    def put(self, loss: int, cover: Cover, load: Mapping[int, int] | NDArray[np.int64]) -> None:
        """Note how a loss is covered, and what is then asked of pools, in place of what was noted."""
        self.forget(loss)
        for pool in set(cover.pool.tolist()) - {NOWHERE}:
            self.after.setdefault(pool, {})[loss] = int(load[pool])
        for at, work in enumerate(cover.work.tolist()):
            uses = self.uses(work, cover.pool[cover.first[at] : cover.first[at + 1]])
            self.covered.setdefault(work, {})[loss] = list(uses)
        self._losses[loss] = cover.work.tolist()

    def loads(self, loss: int) -> dict[int, int]:
        """Return what is asked after a loss of the pools that somebody is moved to."""
        uses = (self.covered[work][loss] for work in self._losses.get(loss, ()))
        return {pool: self.after[pool][loss] for some in uses for pool, _ in some}

    def forget(self, loss: int) -> None:
        """Forget how a loss is covered."""
        for work in self._losses.pop(loss, ()):
            for pool, _ in self.covered.get(work, {}).pop(loss, ()):
                self.after[pool].pop(loss, None)

    def uses(self, work: int, pools: NDArray[np.int32]) -> Iterator[Use]:
        """Yield what a workload asks for when its slots are in these pools."""
        works = self.layout.works
        wanted = works.wanted[works.first_slot[work] : works.first_slot[work + 1]]
        for pool, units in zip(pools.tolist(), wanted.tolist(), strict=True):
            if pool != NOWHERE:
                yield pool, units

    def without(self, old: Mapping[int, list[Use]], new: Mapping[int, list[Use]]) -> Reserves:
        """Return what is asked of the pools that some workloads use once they are where nothing but home is lost.

        Args:
            old, new: by workload, what it uses normally.
        """
        uses = [use for work in old for some in (old[work], new[work], *self._then(work).values()) for use in some]
        pools = {pool for pool, _ in uses}
        base = {pool: self.base.get(pool, 0) for pool in pools}
        changed = Reserves(self.layout, base, {pool: dict(self.after.get(pool, {})) for pool in pools})
        for work in old:
            home, then = int(self.layout.works.origin[work]), self._then(work)
            changed.ask(old[work], -1, {home, *then})
            changed.ask(new[work], 1, {home})
            for loss, some in then.items():
                for pool, units in some:
                    changed.after[pool][loss] -= units
        return changed

    def _then(self, work: int) -> dict[int, list[Use]]:
        return self.covered.get(work, {})

    def ask(self, uses: list[Use], sign: int, but: Collection[int]) -> None:
        """Ask for more or less, normally and after all losses but some."""
        for pool, units in uses:
            self.base[pool] += sign * units
            loads = self.after[pool]
            for loss in loads.keys() - but:
                loads[loss] += sign * units

    def needed(self, pool: int) -> int:
        """Return how many replicas a pool needs."""
        most = max([self.base[pool], *self.after.get(pool, {}).values()])
        return -(-most // int(self.layout.pools.throughput[pool]))

    def binding(self, pool: int) -> list[int]:
        """Return the losses after which a pool needs every replica; none when it needs them normally too."""
        enough = (self.needed(pool) - 1) * int(self.layout.pools.throughput[pool])
        if self.base[pool] > enough:
            return []
        return sorted(loss for loss, units in self.after[pool].items() if units > enough)

    def price(self, pools: Collection[int]) -> float:
        """Return what the replicas of some pools cost per hour."""
        return sum(float(self.layout.pools.price[pool]) * self.needed(pool) for pool in sorted(pools))

    def take(self, changed: Reserves, works: Collection[int]) -> None:
        """Make a change of what some workloads use."""
        self.base |= changed.base
        self.after |= changed.after
        for work in works:
            self.covered.pop(work, None)
