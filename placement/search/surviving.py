"""What is known of the workloads with `survive: 1` while a fleet is searched: who can be, and what to keep off.

The search knows no losses. What it places is faced with each of them (`facing`); what is learned there narrows the
options of a further search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from placement.instance import Instance
from placement.losses import survives
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Layout, Placing
from placement.search.narrowing import Refuges, without
from placement.search.remaining import Remaining

Lacking = Callable[[Layout, Placing], NDArray[np.bool_]]
"""Tells by workload whether it is unplaced or degraded, and might do better alone in an empty fleet."""


@dataclass(slots=True)
class Survival:
    """What is known of the workloads of a layout that survive.

    Attributes:
        is_possible: tells who might do better alone in an empty fleet.
        survivors: ids. remaining: the network after each loss. refuges: where stages may go after any.
        shunned: by workload, losses for which it found no cover. barred: who proved to be impossible.
        low: who proved to be possible with fallbacks at most.
        homebound: who is cheapest where nothing touches it.
    """

    compiled: Compiled
    instance: Instance
    is_possible: Lacking
    survivors: NDArray[np.int32] = field(init=False)
    remaining: Remaining = field(init=False)
    refuges: Refuges = field(init=False)
    shunned: dict[int, set[int]] = field(default_factory=dict)
    barred: set[int] = field(default_factory=set)
    low: set[int] = field(default_factory=set)
    homebound: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Find who survives, and who cannot: some origins have one wire, and nothing at home."""
        workloads, layout = self.instance.workloads, self.compiled.layout
        found = [work for work, name in enumerate(self.compiled.workloads) if survives(workloads[name])]
        self.survivors = np.array(found, np.int32)
        self.remaining = Remaining(layout)
        self.refuges = Refuges(self.compiled, self.instance, found)
        first, origin = layout.ways.first_hop.tolist(), layout.works.origin.tolist()
        wired = ((work, hop) for work in found for hop in range(first[origin[work]], first[origin[work] + 1]))
        self.bar((work, self.remaining.wire(hop)) for work, hop in wired)

    def possible(self) -> Layout:
        """Return the layout without any option of who is barred."""
        return without(self.compiled.layout, {}, sorted(self.barred))

    def narrowed(self) -> Layout:
        """Return the layout without options that are known to end in no cover."""
        sites = self.remaining.sites
        shunned = {work: frozenset(loss for loss in found if loss < sites) for work, found in self.shunned.items()}
        shunned |= dict.fromkeys(self.homebound, frozenset(range(sites)))
        kept = {work: found for work, found in shunned.items() if found and work not in self.barred}
        return without(self.compiled.layout, kept, sorted(self.barred))

    def bar(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Bar who would find no place alone in an empty fleet after the loss, of these (workload, loss).

        Then whatever places it is touched by the loss, for what a loss does not touch is a place after it as well; and
        a cover would be such a place. The same is true of places as declared.
        """
        layout, works = self.compiled.layout, self.compiled.layout.works
        nowhere = np.full(len(works.wanted), NOWHERE, np.int32)
        declared = layout.shapes.first[works.pipeline].astype(np.int32)
        for ways, asked in self.remaining.batches(pairs):
            for found, worse in ((self.barred, np.full_like(declared, NOWHERE)), (self.low, declared + 1)):
                shape = declared.copy()
                shape[asked] = worse[asked]
                possible = self.is_possible(layout._replace(ways=ways), Placing(shape, nowhere, nowhere))
                found.update(work for work in asked if not possible[work])
