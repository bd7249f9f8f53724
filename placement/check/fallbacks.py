"""Whether a fallback order holds: its targets in order, each reachable and in time, and no permitted fallback left out.

Who may take over, in law and on which machines, is asked once per class (`residency.fallback_target`). Here is what
hangs on links and names: routes to where the stage would then run, and the latency of the whole request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from placement.check.audit import Audit, Run
from placement.check.document import Outline, Places, StageEntry, TargetKind
from placement.check.graph import ANSWER, INPUT, Flow, Graph, declared
from placement.check.latency import HERE, Timing, over, stage_time, timing_of
from placement.check.presence import refused
from placement.check.residency import would_run
from placement.check.result import Finding
from sites.data import Label
from sites.site import Site


@dataclass(frozen=True, slots=True)
class Way:
    """A route that is needed once a target serves: the label, whether it waits, and the places of its ends."""

    label: Label
    waits: bool
    source: int
    target: int


@dataclass(frozen=True, slots=True, eq=False)
class Takeover:
    """A target of a fallback order, or one that the order lacks.

    Attributes:
        place: where it serves.
        ways: the routes of the request, by the numbers that `timing` gives them.
    """

    stage: str
    kind: TargetKind
    place: int
    ways: tuple[Way, ...]
    timing: Timing | None
    offered: bool = True


def in_order(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every order whose targets stand in a wrong order, twice, or where the stage already runs."""
    for order in run.fallbacks:
        listed = [(target.kind, target.where) for target in order.order]
        entry = run.stages.get(order.stage)
        declared_stages = declared(run.pipeline.spec)
        fallbacks = declared_stages[order.stage].fallback if order.stage in declared_stages else ()
        ranks = [_rank(kind, fallbacks) for kind, _ in listed]
        if ranks != sorted(ranks):
            expected = "other pools first, then fallbacks as they are declared, then queues"
            yield Finding("plan/fallback", run.id, order.stage, expected, "another order")
        if len(set(listed)) < len(listed):
            yield Finding("plan/fallback", run.id, order.stage, "each target once", "one twice")
        for kind, where in listed:
            same = entry and (kind.model, kind.variant, where) == (entry.kind.model, entry.kind.variant, entry.site)
            if (
                same
                and kind.stage is None
                and not kind.queues
                and kind.hardware in (None, entry and entry.kind.hardware)
            ):
                yield Finding("plan/fallback", run.id, order.stage, "another pool than the stage's own", str(where))


def _same(entry: StageEntry, kind: TargetKind, where: str | None) -> bool:
    here = (entry.site, entry.kind.model, entry.kind.variant)
    return here == (where, kind.model, kind.variant) and kind.hardware in (None, entry.kind.hardware)


def _rank(kind: TargetKind, fallbacks: tuple[str, ...]) -> int:
    if kind.queues:
        return len(fallbacks) + 2
    return 0 if kind.stage is None else 1 + (fallbacks.index(kind.stage) if kind.stage in fallbacks else len(fallbacks))


Known = dict[tuple[object, ...], Takeover]
"""Takeovers by what they are made of: labels, graph, machines and numbers of places, whichever sites fill them."""


def takeovers(audit: Audit, run: Run, outline: Outline, places: Places, known: Known) -> Iterator[Takeover]:
    """Yield every target of an assignment's orders, and every built-in fallback that they lack and that may serve."""
    at = {kind.stage: place for kind, place in outline.stages}
    machine = audit.snapshot.profiles.machine
    stages_at = tuple((kind, place, machine(places[place], kind.hardware or "")) for kind, place in outline.stages)
    for stage, order in outline.orders:
        for kind, place in order:
            if place is None:
                continue
            key = (run.labels, run.graph, stages_at, stage, kind, place, machine(places[place], kind.hardware or ""))
            if key not in known:
                known[key] = (
                    _queue(run, at, stage, kind, place)
                    if kind.queues
                    else _takeover(audit, run, at, stage, kind, (place, places[place]))
                )
            yield known[key]
    offered = {(stage, kind.stage) for stage, order in outline.orders for kind, _ in order if not kind.queues}
    queued = {stage for stage, order in outline.orders for kind, _ in order if kind.queues}
    stages = declared(run.pipeline.spec)
    for name in at.keys() & run.graph.stages.keys():
        for fallback in stages[name].fallback:
            new = fallback not in at and (name, fallback) not in offered
            waits = stages[fallback].task == "queue" and name in queued
            if new and not waits and not stages[fallback].models and may_serve(audit, run, fallback, run.origin):
                yield _takeover(
                    audit, run, at, name, TargetKind(fallback, None, None, None, False), (0, places[0]), offered=False
                )


def may_serve(audit: Audit, run: Run, fallback: str, site: Site) -> bool:
    """Return whether a fallback stage may run at a site, links and time aside."""
    stage = declared(run.pipeline.spec)[fallback]
    kept_apart = any(fallback in rule.stages for rule in run.pipeline.spec.apart)
    barred = any(True for _ in refused(audit, run, stage, site.name))
    return not kept_apart and not barred and not any(d.refused for d in would_run(audit, run, stage, site))


def _queue(run: Run, at: Mapping[str, int], stage: str, kind: TargetKind, place: int) -> Takeover:
    """Return a queue as a target: what the stage receives has to come there, whenever it does."""
    where = {**at, INPUT: 0}
    flows = [flow for flow in sorted(run.graph.flows) if flow[1] == stage and flow[0] in where]
    ways = dict.fromkeys(Way(run.labels.sent(*flow), False, where[flow[0]], place) for flow in flows)
    return Takeover(stage, kind, place, tuple(way for way in ways if way.source != place), None)


def _takeover(
    audit: Audit, run: Run, at: Mapping[str, int], stage: str, kind: TargetKind, to: tuple[int, str], *,
    offered: bool = True,
) -> Takeover:  # fmt: skip
    place, site = to
    serving = kind.stage or stage
    taken = {**run.replaced, stage: serving} if kind.stage else run.replaced
    graph = audit.graph(run.pipeline, taken)
    where = {**at, INPUT: 0, ANSWER: 0, serving: place}
    flows = [flow for flow in sorted(graph.flows) if flow[0] in where and flow[1] in where]
    taken_ways = {flow: _way(run, graph, flow, where) for flow in flows}
    ways = list(dict.fromkeys(way for way in taken_ways.values() if way.source != way.target))
    numbers = {flow: ways.index(way) if way in ways else HERE for flow, way in taken_ways.items()}
    timing = _timing(audit, run, graph, kind, (serving, site), numbers) if len(flows) == len(graph.flows) else None
    return Takeover(stage, kind, place, tuple(ways), timing, offered)


def _way(run: Run, graph: Graph, flow: Flow, where: Mapping[str, int]) -> Way:
    return Way(run.labels.sent(*flow), not graph.is_async(flow), where[flow[0]], where[flow[1]])


def _timing(
    audit: Audit, run: Run, graph: Graph, kind: TargetKind, serving: tuple[str, str], numbers: Mapping[Flow, int]
) -> Timing | None:  # fmt: skip
    own: dict[str, Fraction] = {}
    if kind.model is not None and kind.hardware is None:
        return None
    for name in graph.stages:
        entry = run.stages.get(name)
        if name == serving[0]:
            time = stage_time(audit.snapshot, run.pipeline, serving[1], kind.model, kind.variant, kind.hardware)
        elif entry is None:
            return None
        else:
            chosen = entry.kind
            time = stage_time(
                audit.snapshot, run.pipeline, entry.site, chosen.model, chosen.variant, chosen.hardware
            )  # fmt: skip
        if time is None:
            return None
        own[name] = time
    sizes = {flow: graph.size(flow, run.pipeline.spec.input.size) for flow in graph.flows}
    return timing_of(graph, own, numbers, sizes)


class Orders:
    """Weighs the fallback orders of assignments by their routes and by time."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def weigh(
        self, name: str, run: Run, origin: Site, takeovers: tuple[Takeover, ...], places: Places
    ) -> Iterator[Finding]:
        """Yield each target that no permitted route reaches, that is too slow, or stands behind a slower one."""
        before: tuple[str, float] | None = None
        for takeover in takeovers:
            subject = f"{takeover.stage} falls back to {takeover.kind.stage or 'itself'} at {places[takeover.place]}"
            time = self._time(run, origin, takeover, places)
            limit = run.pipeline.spec.latency
            late = time is not None and limit is not None and time > limit * (1 + 1e-9)
            if not takeover.offered:
                if time is not None and not late:
                    yield Finding("plan/fallback", name, subject, "a target of the order: it is permitted", "absent")
            elif time is None:
                yield Finding("invariant/15", name, subject, "permitted routes there and on", "none")
            elif late:
                yield Finding("plan/fallback", name, subject, f"within {limit} µs", f"{time:.0f} µs")
            elif takeover.kind.stage is None and not takeover.kind.queues:
                if not self._exists(takeover, places):
                    yield Finding("plan/fallback", name, subject, "a pool of the plan", "none")
                if (
                    before
                    and not run.pipeline.spec.survive
                    and before[0] == takeover.stage
                    and time < before[1] * (1 - 1e-9)
                ):
                    yield Finding(
                        "plan/fallback", name, subject, "the nearest first", f"{time:.0f} after {before[1]:.0f} µs"
                    )
                before = (takeover.stage, time)

    def _time(self, run: Run, origin: Site, takeover: Takeover, places: Places) -> float | None:
        """Return the microseconds of the request when a target serves; None without a permitted route."""
        routes = self._audit.bench(run.pipeline.metadata.tenant).routes
        measures = []
        for way in takeover.ways:
            route = routes.best(way.label, places[way.source], places[way.target], origin, waits=way.waits)
            if route is None:
                return None
            measures.append(routes.measure(route))
        return 0.0 if takeover.timing is None else takeover.timing.slowest(measures, over)

    def _exists(self, takeover: Takeover, places: Places) -> bool:
        kind = takeover.kind
        return (places[takeover.place], kind.model, kind.variant, kind.hardware) in self._audit.pool_names
