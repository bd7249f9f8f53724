"""How long a workload's requests take when one stage goes elsewhere and every other stays where it is.

What the move leaves as it is is worked out once, so that to try a place costs its own flows only. Times here are
floats, for an order; whether the objective holds is decided exactly wherever it is close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from placement.candidates import Option
from placement.flows import Chart, Flow, sites_of
from placement.graph import ANSWER, INPUT
from placement.instance import Workload
from placement.pipeline import Stage
from placement.routes import Route
from placement.solution import Choice, latency_us

Rank = tuple[float, float, tuple[str, str, str, str, str]]
"""Latency, time of the stage and its own flows (both in microseconds, to the thousandth), key of the option."""

NEVER, FAR = float("-inf"), float("inf")
DOUBT = 0.01
"""Microseconds by which floats may be wrong."""

Joined = tuple[Flow, str, float]
"""A flow with the site at its other end, and its time or that of all beyond it."""


@dataclass(slots=True)
class Timing:
    """A choice as it is.

    Attributes:
        chart: its flows.
        limit: the latency objective; without one, beyond every time.
        sites: of every stage and both ends of the graph.
        into, out: by stage, its flows with the site at their other ends and their times.
        done: when a stage is done. `after`: from when it has all that it receives to the answer.
        wait: how many times its service a stage takes.
    """

    workload: Workload
    choice: Choice
    chart: Chart
    limit: float = field(init=False)
    sites: dict[str, str] = field(init=False)
    into: dict[str, list[Joined]] = field(default_factory=dict)
    out: dict[str, list[Joined]] = field(default_factory=dict)
    done: dict[str, float] = field(init=False)
    after: dict[str, float] = field(init=False)
    wait: float = field(init=False)

    def __post_init__(self) -> None:
        """Follow the graph forward and back."""
        workload, graph, options = self.workload, self.choice.graph, self.choice.options
        limit = workload.limit_us
        self.wait = float(1 + workload.utilisation / (2 * (1 - workload.utilisation)))
        self.limit = float("inf") if limit is None else limit
        self.sites = sites_of(workload, self.choice)
        for flow in self.chart.flows:
            source, target = self.sites[flow.edge.source], self.sites[flow.edge.target]
            time = flow.taken_us(source, target) or 0.0
            self.into.setdefault(flow.edge.target, []).append((flow, source, time))
            self.out.setdefault(flow.edge.source, []).append((flow, target, time))
        self.done, self.after = self._done(None), {ANSWER: 0.0}
        for stage in reversed(graph.stages):
            if stage.name in graph.waiting:
                counted = [
                    time + self.after[f.edge.target] for f, _, time in self.out.get(stage.name, ()) if f.edge.counts
                ]
                self.after[stage.name] = self.time(options[stage.name]) + max(counted, default=0.0)

    def time(self, option: Option) -> float:
        """Return what a request spends in a stage at an option."""
        return 0.0 if option.pool is None else option.pool.service_us * self.wait

    def avoiding(self, stage: Stage) -> float:
        """Return the latency over the paths that leave out a stage; `NEVER` when there is none."""
        done = self._done(stage.name)
        answers = [done[flow.edge.source] + time for flow, _, time in self.into.get(ANSWER, ()) if flow.edge.counts]
        return max(answers, default=NEVER)

    def _done(self, but: str | None) -> dict[str, float]:
        graph, options = self.choice.graph, self.choice.options
        done = {INPUT: 0.0}
        for stage in graph.stages:
            if stage.name == but:
                done[stage.name] = NEVER
            elif stage.name in graph.waiting:
                came = [done[flow.edge.source] + time for flow, _, time in self.into[stage.name]]
                done[stage.name] = max(came, default=0.0) + self.time(options[stage.name])
        return done


@dataclass(slots=True)
class Detour:
    """One stage of a choice that goes elsewhere.

    Attributes:
        counts: whether somebody waits for it.
    """

    timing: Timing
    stage: Stage
    counts: bool = field(init=False)
    _avoiding: float = field(init=False)
    _into: list[Joined] = field(init=False)
    _out: list[Joined] = field(init=False)
    _beyond: list[tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        """Look up what does not move."""
        timing, name = self.timing, self.stage.name
        done, after = timing.done, timing.after
        self._avoiding = timing.avoiding(self.stage)
        self.counts = name in timing.choice.graph.waiting
        self._into = [(flow, at, done.get(flow.edge.source, 0.0)) for flow, at, _ in timing.into[name]]
        self._out = [(flow, at, after.get(flow.edge.target, 0.0)) for flow, at, _ in timing.out.get(name, ())]
        first, source, _ = self._into[0]
        self._beyond = []
        for flow, at, rest in self._out:
            near = flow.ways.paths.way(source, at) if flow.ways.paths is first.ways.paths and at != source else None
            to = near.rtt_us / 2 if near else 0.0 if at == source and flow.ways.paths is first.ways.paths else FAR
            self._beyond.append((to, rest if flow.edge.counts else NEVER))

    def near(self) -> Iterator[tuple[int, str]]:
        """Yield (round trip, site) for the sites that the stage's first flow reaches, the nearest first."""
        flow, source, _ = self._into[0]
        return flow.ways.paths.near(source)

    def least(self, distance: int, service_us: int) -> tuple[float, float]:
        """Return a latency and an own time that no place so far from the first flow's source is below.

        A flow on to somebody else, over the same paths, is at least as long as the difference of the two distances from
        that source. Both grow with the distance.

        Args:
            service_us: the least of any pool.
        """
        far, stay = distance / 2, service_us * self.timing.wait
        own, rest = far + stay, 0.0
        for to, after in self._beyond:
            flow = far - to
            if flow > 0.0:
                own += flow
                after += flow
            if after > rest:
                rest = after
        first, _, ready = self._into[0]
        latency = ready + far + stay + rest - DOUBT if self.counts and first.edge.counts else 0.0
        # What avoids the stage takes as long to the bit, wherever it goes: many places tie, and their own time decides.
        return round(max(self._avoiding, latency), 3), own - DOUBT

    def rank(self, option: Option) -> Rank | None:
        """Return what a place is sorted by; None where a route is missing or the objective would not hold."""
        site = option.site
        own = stay = self.timing.time(option)
        arrives, leaves = 0.0, 0.0
        for flow, other, ready in self._into:
            taken = flow.taken_us(other, site)
            if taken is None:
                return None
            own += taken
            if flow.edge.counts and ready + taken > arrives:
                arrives = ready + taken
        for flow, other, rest in self._out:
            taken = flow.taken_us(site, other)
            if taken is None:
                return None
            own += taken
            if flow.edge.counts and taken + rest > leaves:
                leaves = taken + rest
        latency = max(self._avoiding, arrives + stay + leaves if self.counts else 0.0)
        if latency > self.timing.limit - DOUBT and not self._holds(latency, option):
            return None
        return round(latency, 3), round(own, 3), option.key

    def flows(self, option: Option) -> Iterator[tuple[Flow, Route]]:
        """Yield the flows to and from the stage at a place that has a rank, in the order of the graph."""
        ways = [(flow, other, option.site) for flow, other, _ in self._into]
        for flow, a, b in (*ways, *((flow, option.site, other) for flow, other, _ in self._out)):
            route = flow.ways.route(a, b)
            assert route is not None
            yield flow, route

    def _holds(self, latency: float, option: Option) -> bool:
        """Return whether the objective holds, exactly where it is close."""
        workload, choice = self.timing.workload, self.timing.choice
        limit = workload.limit_us
        if limit is None or latency > limit + DOUBT:
            return limit is None
        moved = Choice(choice.graph, {**choice.options, self.stage.name: option})
        return latency_us(workload, moved) <= limit
