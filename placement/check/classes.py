"""One judgement for each class of assignments: what no check can tell apart is looked at once.

A class is an outline (all that the plan says but which sites), its pipeline, the profiles of its sites, machines and
links, and, after a loss, which stages run where they do not usually run. Why that is enough is said in
`placement.check.profiles`; an outline also fixes which of its sites are one and the same, and which is the origin. What
a class leaves open is weighed for each assignment by itself: whether its routes are the best, and all numbers that hang
on links and prices. A class in which something was found is looked at member by member, so that findings name each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from placement.check.audit import Audit, Run, Volume, exact
from placement.check.document import Outline, Places, StageKind
from placement.check.graph import Flow, Graph
from placement.check.labels import Labels
from placement.check.latency import HERE, Timing, stage_time, timing_of
from placement.check.load import Demand, Portion, Share, Traffic
from placement.check.recent import Recent
from placement.check.result import Finding
from placement.pipeline import Pipeline, Stage
from sites.data import Label

RunCheck = Callable[[Audit, Run], Iterator[Finding]]
"""A check of one assignment that reads nothing but what its class has; it may print names."""


class Needed(NamedTuple):
    """A route that has to be the best for the flows that take it: their label, whether they wait, and both places."""

    flows: tuple[Flow, ...]
    label: Label
    waits: bool
    source: int
    target: int
    route: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A class of assignments.

    Attributes:
        clean: whether the checks found nothing in one of them; of any other member they find the like.
        running: places at which stages run.
        spare: places at which a fallback would run or queue.
        needed: flows that leave a site, in the plan's order.
        routes: the different routes of these.
        timing: None when a stage or flow is missing, or has no speed.
    """

    pipeline: Pipeline
    graph: Graph
    clean: bool
    running: tuple[int, ...]
    spare: tuple[int, ...]
    demand: Demand
    needed: tuple[Needed, ...]
    routes: tuple[tuple[int, ...], ...]
    timing: Timing | None


MOST_CLASSES = 4096
"""So many classes are remembered at a time, at least: a plan in which each workload is its own would keep them all."""


class Classes:
    """The classes met lately, and the judgement on each."""

    def __init__(self, audit: Audit, checks: tuple[RunCheck, ...]) -> None:
        self._audit, self._checks = audit, checks
        self._shapes: Recent[tuple[object, ...], Shape] = Recent(MOST_CLASSES)
        self._shares: dict[tuple[object, ...], Share] = {}
        self._traffic: dict[Fraction, Traffic] = {}
        self._asked: dict[tuple[Volume, Labels, StageKind], Share] = {}
        self._sent: dict[tuple[Volume, Flow], Traffic] = {}
        self._timings: dict[tuple[object, ...], Timing] = {}
        self._portions: dict[tuple[object, ...], Portion] = {}

    def of(self, name: str, outline: Outline, places: Places, make: Callable[[], Run], *usual: bool) -> Shape:
        """Return the class of an assignment; `make` gives the assignment itself when its class is a new one.

        Args:
            name: of the pipeline.
            usual: for each stage, in a failure, whether it runs where it usually does.
        """
        snapshot = self._audit.snapshot
        kind, machine, crossing = snapshot.profiles.kind, snapshot.profiles.machine, snapshot.crossing
        try:
            kinds = tuple([kind(place) for place in places])
        except KeyError as missing:
            snapshot.site(str(missing.args[0]))
            raise
        hops = tuple([crossing(places[a], places[b]) for a, b in outline.hops]) if outline.hops else ()
        machines = tuple([machine(places[place], hardware) for place, hardware in outline.machines])
        key = (name, outline, kinds, machines, hops, usual)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes.put(key, self._judged(make(), outline))
        return shape

    def findings(self, run: Run) -> Iterator[Finding]:
        """Yield what the checks find in one assignment."""
        for check in self._checks:
            yield from check(self._audit, run)

    def _judged(self, run: Run, outline: Outline) -> Shape:
        self._audit.seen.graphs.setdefault(run.pipeline.name, set()).add(run.graph)
        needed = tuple(self._needed(run, outline))
        routes = tuple(dict.fromkeys(need.route for need in needed))
        return Shape(
            run.pipeline,
            run.graph,
            next(self.findings(run), None) is None,
            tuple(dict.fromkeys(place for _, place in outline.stages)),
            tuple(dict.fromkeys(place for _, order in outline.orders for _, place in order if place is not None)),
            Demand(
                tuple(self._shares_of(run, outline)),
                tuple(self._traffic_of(run, outline)),
                tuple(self._portions_of(run, outline)),
            ),
            needed,
            routes,
            self._timing(run, {flow: routes.index(need.route) for need in needed for flow in need.flows}),
        )

    def _shares_of(self, run: Run, outline: Outline) -> Iterator[tuple[int, Share]]:
        for kind, place in outline.stages:
            stage = run.graph.stages.get(kind.stage)
            if stage and kind.model is not None and kind.variant is not None and kind.hardware is not None:
                key = (run.volume, run.labels, kind)
                if key not in self._asked:
                    pool = (kind.model, kind.variant, kind.hardware, kind.partition)
                    self._asked[key] = self._share(run, stage, pool)
                yield place, self._asked[key]

    def _share(self, run: Run, stage: Stage, pool: tuple[str, str, str, str]) -> Share:
        """Return what a stage asks of its pool: one and the same for all that ask the like."""
        rate, shared = run.volume.stages[stage.name], stage.state == "shared"
        use = (shared, run.pipeline.metadata.tenant, run.labels.of(stage.name) if shared else ())
        found = (pool, rate, rate / exact(run.pipeline.spec.utilisation), stage.knowledge, use)
        return self._shares.setdefault(found, Share(*found, float(rate), float(found[2])))

    def _traffic_of(self, run: Run, outline: Outline) -> Iterator[tuple[int, int, Traffic]]:
        for flow, _, _, route in _primary(run, outline):
            if len(route) > 1:
                key = (run.volume, flow)
                if key not in self._sent:
                    bits = run.volume.rates[flow] * run.volume.sizes[flow] * 8
                    traffic = Traffic(bits, float(bits * 3600 / (8 * 10**9)))
                    self._sent[key] = self._traffic.setdefault(bits, traffic)
                for a, b in pairwise(route):
                    yield a, b, self._sent[key]

    def _portions_of(self, run: Run, outline: Outline) -> Iterator[tuple[int, Portion]]:
        under = {rule.stage for rule in run.pipeline.spec.spread}
        for kind, place in outline.stages:
            if kind.stage in under and kind.stage in run.graph.stages:
                found = (run.pipeline.name, kind.stage, run.rate)
                yield place, self._portions.setdefault(found, Portion(*found))

    def _needed(self, run: Run, outline: Outline) -> Iterator[Needed]:
        alike: dict[tuple[Label, bool, int, int, tuple[int, ...]], list[Flow]] = {}
        for flow, source, target, route in _primary(run, outline):
            if route != (source,) or target != source:
                key = (run.labels.sent(*flow), not run.graph.is_async(flow), source, target, route)
                alike.setdefault(key, []).append(flow)
        for key, flows in alike.items():
            yield Needed(tuple(flows), *key)

    def _timing(self, run: Run, routes: Mapping[Flow, int]) -> Timing | None:
        own: dict[str, Fraction] = {}
        for name, stage in run.graph.stages.items():
            entry = run.stages.get(name)
            if entry is None:
                if name in run.graph.optional:
                    continue
                return None
            kind, snapshot = entry.kind, self._audit.snapshot
            time = stage_time(snapshot, run.pipeline, entry.site, kind.model, kind.variant, kind.hardware)
            if time is None or (stage.models and kind.model is None):
                return None
            own[name] = time
        left = {name for name in run.graph.optional if name not in run.stages}
        if any(flow not in run.flows and not left & set(flow) for flow in run.graph.flows):
            return None
        numbers = tuple([routes.get(flow, HERE) for flow in run.graph.flows])
        key = (run.graph, tuple(own.items()), numbers)
        if key not in self._timings:
            taken = dict(zip(run.graph.flows, numbers, strict=True))
            self._timings[key] = timing_of(run.graph, own, taken, run.volume.sizes)
        return self._timings[key]


def _primary(run: Run, outline: Outline) -> Iterator[tuple[Flow, int, int, tuple[int, ...]]]:
    """Yield the primary flows of an outline that the graph has."""
    for kind, source, target, route in outline.flows:
        flow = (kind.from_stage, kind.to_stage)
        if kind.role == "primary" and flow in run.graph.flows:
            yield flow, source, target, route
