"""Plans of fleets too large to prove: a search and a bound over the same arrays, on two cores, stopped by work.

The bound covers the plans that serve the same workloads at least as well. It begins from what the search has found
after its first part, while the search goes on; when the search then serves somebody else too, the bound is begun anew.
What `survive: 1` asks for, no bound does: a plan without it is a relaxation, so the bound holds for both. numba is
imported here and nowhere on a small plan's way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from placement.exact.model import Current
from placement.instance import Instance
from placement.losses import survives
from placement.solution import Solution, tally
from placement.watch import Progress, Watch

if TYPE_CHECKING:
    from placement.bound.lower import Bound
    from placement.search.compiled import Compiled
    from placement.search.engine import Found
    from placement.search.engine import Progress as Step
    from placement.search.layout import Layout, Placing
    from placement.search.losing import Cover
    from placement.search.surviving import Survival

NAME = "search"

FIRST = 0.75
"""Part of the search's work after which the bound begins."""


@dataclass(frozen=True, slots=True)
class Efforts:
    """Units of work for the search and for the bound."""

    search: int
    bound: int


def efforts(layout: Layout) -> Efforts:
    """Return how much work a layout is worth: three seconds for fifty sites, ten for 1,000, two minutes for 20,000."""
    stages = len(layout.works.wanted)
    return Efforts(search=min(100_000_000, 15_000 * stages) + 2_700 * stages, bound=20_000_000 + 1_000 * stages)


def solve(instance: Instance, *, current: Current | None, watch: Watch) -> Solution:
    """Return the best plan of an instance that so much work finds, with a bound on the cost of any.

    Args:
        current: where stages are now; with it, moves are fewest before cost is least.
    """
    from placement.search.compilation import compile_layout
    from placement.search.decoding import decode, failures_of
    from placement.search.holding import held_by

    watch.show(Progress("filtering", 0.0))
    compiled = compile_layout(instance.problem, instance.rulings)
    run = _Run(compiled, watch, efforts(compiled.layout), _survival(compiled, instance))
    found, lower = run.solve(None if current is None else held_by(compiled, current))
    choices, packing = decode(compiled, instance, found.placing, found.packing)
    failures = failures_of(compiled, instance, run.covers)
    total = tally(instance, choices, failures)
    # Arrays round loads up: a replica that the exact loads do not need is left out.
    packing = {key: places[: total.pools[key].replicas] for key, places in packing.items()}
    cost = total.per_hour
    bound = max(Fraction(0), min(Fraction(lower.per_hour), cost))
    work = found.work + lower.work
    lacking = _impossible(compiled, run.layout, found.placing, run.low)
    return Solution(choices, packing, bound, False, work, failures, lower.over, lacking)


def _survival(compiled: Compiled, instance: Instance) -> Survival | None:
    """Return what is known of those that survive losses; None when nobody does."""
    if not any(survives(workload) for workload in instance.workloads.values()):
        return None
    from placement.bound.lower import improvable
    from placement.search.surviving import Survival

    return Survival(compiled, instance, improvable)


def _impossible(compiled: Compiled, layout: Layout, placing: Placing, low: Collection[int]) -> frozenset[str]:
    """Return who is unplaced or degraded and could do no better alone in an empty fleet.

    Args:
        low: who survives losses with fallbacks at most.
    """
    from placement.bound.lower import improvable

    lacking = placing.shape != layout.shapes.first[layout.works.pipeline]
    hopeless = lacking & ~improvable(layout, placing)
    proved = {*hopeless.nonzero()[0].tolist(), *(work for work in low if lacking[work] and placing.shape[work] >= 0)}
    return frozenset(compiled.workloads[work] for work in proved)


class _EnoughError(Exception):
    """Somebody who looks on said stop."""


@dataclass(slots=True)
class _Run:
    """One search with its bound.

    Attributes:
        survival: what is known of those that survive losses; None when nobody does.
        lower: the best bound so far; the search's progress shows it.
        covers: by loss, how survivors are served after it.
    """

    compiled: Compiled
    watch: Watch
    efforts: Efforts
    survival: Survival | None = None
    lower: float | None = field(default=None)
    covers: Mapping[int, Cover] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """Return the layout without the options of who cannot survive a loss, wherever it is."""
        return self.compiled.layout if self.survival is None else self.survival.possible()

    @property
    def low(self) -> Collection[int]:
        """Return who survives losses with fallbacks at most, wherever it is."""
        return () if self.survival is None else self.survival.low

    def solve(self, held: Placing | None) -> tuple[Found, Bound]:
        """Return what the search found, and a bound over the plans that serve the same."""
        work = round(self.efforts.search * FIRST)
        first = self._search(work, None, held, 0.0, FIRST)
        with ThreadPoolExecutor(1) as beside:
            lower = beside.submit(self._bound, first, self.layout)
            left = self.efforts.search - work
            found = first if first.is_cut else self._search(left, first.placing, held, FIRST, 1.0)
            return found, self._bound_of(found, first, lower)

    def _search(self, work: int, start: Placing | None, held: Placing | None, begin: float, end: float) -> Found:
        """Return what a search finds in so much work, once it stands every loss."""
        from placement.search.engine import search

        tick = self._tell("searching", begin, end)
        if self.survival is None:
            return search(self.compiled.layout, work=work, start=start, held=held, tick=tick)
        from placement.search.standing import stand

        found = search(self.survival.narrowed(), work=work, start=start, held=held, tick=tick)
        self.watch.show(Progress("facing losses", end, found.cost, self.lower, None))
        stood = stand(self.survival, found.placing, found.packing, held, lambda: self.watch.is_stopped)
        self.covers = stood.covers
        return replace(found, placing=stood.placing, packing=stood.packing, work=found.work + stood.work)

    def _bound_of(self, found: Found, first: Found, lower: Future[Bound]) -> Bound:
        """Return the bound that was begun, when it covers what was found; else one that does."""
        if _serves_the_same(self.compiled.layout, found.placing, first.placing):
            return lower.result()
        lower.cancel()
        return self._bound(found, self.layout)

    def _bound(self, found: Found, layout: Layout) -> Bound:
        from placement.bound.lower import Bound, bound

        best = Bound(0.0, "set", 0)

        def tick(so_far: Bound) -> None:
            nonlocal best
            best, self.lower = so_far, so_far.per_hour
            if self.watch.is_stopped:
                raise _EnoughError

        try:
            return bound(layout, placing=found.placing, work=self.efforts.bound, tick=tick)
        except _EnoughError:
            return best  # of somebody who said stop: whatever is a bound by then

    def _tell(self, phase: str, begin: float, end: float) -> Callable[[Step], None]:
        """Return a tick that shows how far the search is, and ends it when somebody said stop."""

        def tick(step: Step) -> None:
            done = begin + (end - begin) * step.work / max(1, step.of)
            self.watch.show(Progress(phase, done, step.cost, self.lower, None))
            if self.watch.is_stopped:
                raise KeyboardInterrupt

        return tick


def _serves_the_same(layout: Layout, one: Placing, other: Placing) -> bool:
    """Return whether two placings serve, and serve as declared, the same workloads."""
    import numpy as np

    declared = layout.shapes.first[layout.works.pipeline]
    same_served = np.array_equal(one.shape < 0, other.shape < 0)
    return same_served and np.array_equal(one.shape == declared, other.shape == declared)
