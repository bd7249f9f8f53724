"""How long a workload's requests take when one stage goes elsewhere and every other stays where it is.

What the move leaves as it is is worked out once, so that to try a place costs its own flows only. Times here are
floats, for an order; whether the objective holds is decided exactly wherever it is close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from placement.candidates import Option
from placement.graph import ANSWER, INPUT, Edge
from placement.instance import Workload
from placement.latency import MICROSECONDS
from placement.paths import Paths, Way
from placement.pipeline import Stage
from placement.routes import Route
from placement.solution import Choice, latency_us

Rank = tuple[float, float, tuple[str, str, str, str, str]]
"""Latency, time of the stage and its own flows (both in microseconds, to the thousandth), key of the option."""

NEVER = float("-inf")
DOUBT = 0.01
"""Microseconds by which floats may be wrong."""

Flow = tuple[Edge, str, float]


@dataclass(slots=True)
class Timing:
    """A choice as it is.

    Attributes:
        into, out: by stage (and the ends of the graph), its flows, each with the site at its other end and its time.
        done: when a stage is done. `after`: from when it has all that it receives to the answer.
        wait: how many times its service a stage takes.
    """

    workload: Workload
    choice: Choice
    into: dict[str, list[Flow]] = field(default_factory=dict)
    out: dict[str, list[Flow]] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    wait: float = field(init=False)

    def __post_init__(self) -> None:
        """Follow the graph forward and back."""
        workload, graph, options = self.workload, self.choice.graph, self.choice.options
        self.wait = float(1 + workload.utilisation / (2 * (1 - workload.utilisation)))
        for edge in graph.edges:
            source, target = workload.ends(edge, options)
            route = workload.route(edge, source, target)
            time = 0.0 if route is None else _flow_us(edge, route)
            self.into.setdefault(edge.target, []).append((edge, source, time))
            self.out.setdefault(edge.source, []).append((edge, target, time))
        self.done, self.after = self._done(None), {ANSWER: 0.0}
        for stage in reversed(graph.stages):
            if stage.name in graph.waiting:
                counted = (flow for flow in self.out.get(stage.name, ()) if flow[0].counts)
                rest = max((time + self.after[edge.target] for edge, _, time in counted), default=0.0)
                self.after[stage.name] = self.time(options[stage.name]) + rest

    def time(self, option: Option) -> float:
        """Return what a request spends in a stage at an option."""
        return 0.0 if option.pool is None else option.pool.service_us * self.wait

    def avoiding(self, stage: Stage) -> float:
        """Return the latency over the paths that leave out a stage; `NEVER` when there is none."""
        done = self._done(stage.name)
        answers = (flow for flow in self.into.get(ANSWER, ()) if flow[0].counts)
        return max((done[edge.source] + time for edge, _, time in answers), default=NEVER)

    def _done(self, but: str | None) -> dict[str, float]:
        graph, options = self.choice.graph, self.choice.options
        done = {INPUT: 0.0}
        for stage in graph.stages:
            if stage.name in graph.waiting:
                came = max((done[edge.source] + time for edge, _, time in self.into[stage.name]), default=0.0)
                done[stage.name] = NEVER if stage.name == but else came + self.time(options[stage.name])
        return done


@dataclass(slots=True)
class Detour:
    """One stage of a choice that goes elsewhere."""

    timing: Timing
    stage: Stage
    workload: Workload = field(init=False)
    choice: Choice = field(init=False)
    _avoiding: float = field(init=False)
    _into: list[tuple[Edge, str, float, Paths]] = field(default_factory=list)
    _out: list[tuple[Edge, str, float, Paths]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Look up what does not move."""
        timing, name = self.timing, self.stage.name
        self.workload, self.choice, self._avoiding = timing.workload, timing.choice, timing.avoiding(self.stage)
        self._into = [(e, at, timing.done.get(e.source, 0.0), self._paths(e)) for e, at, _ in timing.into[name]]
        self._out = [(e, at, timing.after.get(e.target, 0.0), self._paths(e)) for e, at, _ in timing.out.get(name, ())]

    def _paths(self, edge: Edge) -> Paths:
        label = self.workload.labels.flow(edge.source, edge.target)
        return self.workload.router.paths(label, edge.is_async)

    def near(self) -> Iterator[tuple[int, str]]:
        """Yield (round trip, site) for the sites that the stage's first flow reaches, the nearest first."""
        _, source, _, paths = self._into[0]
        return paths.near(source)

    def least(self, distance: int, service_us: int) -> tuple[float, float]:
        """Return a latency and an own time that no place so far from the first flow's source is below.

        Flows to and from that source over the same paths are as long, in either direction; others may be of no length.

        Args:
            service_us: the least of any pool.
        """
        edge, source, ready, paths = self._into[0]
        far, stay = distance / 2, service_us * self.timing.wait
        own, rest = far + stay, 0.0
        for other, at, tail, ways in self._out:
            flow = far if at == source and ways is paths else 0.0
            own += flow
            rest = max(rest, flow + tail) if other.counts else rest
        counts = edge.counts and self.stage.name in self.choice.graph.waiting
        latency = max(self._avoiding, ready + far + stay + rest) if counts else max(self._avoiding, 0.0)
        return latency - DOUBT, own - DOUBT

    def rank(self, option: Option) -> Rank | None:
        """Return what a place is sorted by; None where a route is missing or the objective would not hold."""
        own = stay = self.timing.time(option)
        arrives, leaves = 0.0, 0.0
        for edge, other, ready, paths in self._into:
            flow = _taken_us(edge, paths, other, option.site)
            if flow is None:
                return None
            own += flow
            if edge.counts:
                arrives = max(arrives, ready + flow)
        for edge, other, rest, paths in self._out:
            flow = _taken_us(edge, paths, option.site, other)
            if flow is None:
                return None
            own += flow
            if edge.counts:
                leaves = max(leaves, flow + rest)
        counts = self.stage.name in self.choice.graph.waiting
        latency = max(self._avoiding, arrives + stay + leaves) if counts else max(self._avoiding, 0.0)
        return (round(latency, 3), round(own, 3), option.key) if self._holds(latency, option) else None

    def flows(self, option: Option) -> Iterator[tuple[Edge, Route]]:
        """Yield the flows to and from the stage at a place that has a rank, in the order of the graph."""
        ways = [(edge, other, option.site) for edge, other, *_ in self._into]
        for edge, a, b in (*ways, *((edge, option.site, other) for edge, other, *_ in self._out)):
            route = self.workload.route(edge, a, b)
            assert route is not None
            yield edge, route

    def _holds(self, latency: float, option: Option) -> bool:
        limit = self.workload.limit_us
        if limit is None or latency < limit - DOUBT:
            return True
        if latency > limit + DOUBT:
            return False
        moved = Choice(self.choice.graph, {**self.choice.options, self.stage.name: option})
        return latency_us(self.workload, moved) <= limit


def _taken_us(edge: Edge, paths: Paths, a: str, b: str) -> float | None:
    """Return what a flow takes from one site to another; None when no open path joins them."""
    if a == b:
        return 0.0
    way = paths.way(a, b)
    return None if way is None else _flow_us(edge, way)


def _flow_us(edge: Edge, route: Way | Route) -> float:
    """Return half a round trip and the transfer, as `placement.latency.flow_us` does exactly."""
    if not route.bandwidth:
        return route.rtt_us / 2
    return route.rtt_us / 2 + edge.bytes * 8 * MICROSECONDS / route.bandwidth
