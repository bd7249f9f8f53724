"""How long a request takes when another target serves one of its stages: found from what stays, and what changes.

Every flow of the request needs a permitted route, whether anybody waits for it or not. Of an assignment the legs of all
flows are looked up once; for each target only those that begin or end at the stage that it takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from placement.check.audit import Audit, Run
from placement.check.document import StageKind, TargetKind
from placement.check.graph import ANSWER, INPUT, Graph
from placement.check.labels import Labels
from placement.check.latency import stage_time
from placement.pipeline import Pipeline
from sites.data import Label

ABSENT = -1.0
"""Instead of the microseconds of a leg: the plan lacks the stage at one of its ends."""

MOST_LEGS = 1 << 17
"""So many legs are remembered at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """What flows between two ends of a graph: its label, whether anybody waits for it, the bits of one request."""

    sender: str
    receiver: str
    label: Label
    waits: bool
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """The wires of a graph under one pipeline's labels.

    Attributes:
        at: the numbers of the wires that begin or end at each stage.
        queued: what each stage receives, as nobody waits for it.
        steps: each stage, senders first and the answer last; of its flows that are waited for the number of the step
            that sends (-1: the input) and of the wire. Stages that no answer waits for have None for a name.
        stages: all of them.
    """

    wires: tuple[Wire, ...]
    at: Mapping[str, tuple[int, ...]]
    queued: Mapping[str, tuple[Wire, ...]]
    steps: tuple[tuple[str | None, tuple[tuple[int, int], ...]], ...]
    stages: frozenset[str]

    @classmethod
    def of(cls, graph: Graph, labels: Labels, input_bytes: int) -> Wiring:
        """Return the wiring of a graph."""
        flows = sorted(graph.flows)
        wires = tuple(
            Wire(*flow, labels.sent(*flow), not graph.is_async(flow), graph.size(flow, input_bytes) * 8)
            for flow in flows
        )
        step = {INPUT: -1, **{name: index for index, name in enumerate(graph.order)}}
        return cls(
            wires,
            {name: tuple(n for n, flow in enumerate(flows) if name in flow) for name in graph.stages},
            {
                name: tuple(Wire(w.sender, name, w.label, False, w.bits) for w in wires if w.receiver == name)
                for name in graph.stages
            },
            tuple(
                (
                    None if name in graph.idle or name == ANSWER else name,
                    tuple((step[flow[0]], flows.index(flow)) for flow in graph.waited_for[name]),
                )
                for name in graph.order
            ),
            frozenset(graph.stages),
        )

    def slowest(self, legs: list[float | None], own: Mapping[str, float | None]) -> float | None:
        """Return the microseconds of the slowest path; None without a route, 0 where the plan lacks what it takes."""
        if None in legs:
            return None
        times = {name: own.get(name) for name in self.stages}
        if ABSENT in legs or None in times.values():
            return 0.0
        done: list[float] = []
        for name, arrivals in self.steps:
            latest = 0.0
            for sender, wire in arrivals:
                start = (done[sender] if sender >= 0 else 0.0) + (legs[wire] or 0.0)
                latest = max(latest, start)
            done.append(latest + ((times[name] or 0.0) if name else 0.0))
        return done[-1]


class Takeovers:
    """Times takeovers, and remembers wirings, legs and what a stage takes on a kind of machine."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._wirings: dict[tuple[Labels, Graph], Wiring] = {}
        self._legs: dict[tuple[Wire, int | None], dict[tuple[str, str], float | None]] = {}
        self._remembered = 0
        self._services: dict[tuple[object, ...], float | None] = {}

    def wiring(self, pipeline: Pipeline, labels: Labels, graph: Graph) -> Wiring:
        """Return the wiring of a pipeline's graph."""
        if (labels, graph) not in self._wirings:
            self._wirings[labels, graph] = Wiring.of(graph, labels, pipeline.spec.input.size)
        return self._wirings[labels, graph]

    def leg(self, wire: Wire, run: Run, source: str, target: str) -> float | None:
        """Return the microseconds that a flow takes between two sites; None without a permitted route."""
        bench = self._audit.bench(run.pipeline.metadata.tenant)
        known = self._legs.setdefault((wire, bench.questions.law_of(run.origin)), {})
        ends = (source, target)
        if ends not in known:
            if self._remembered >= MOST_LEGS:
                self._legs.clear()
                self._remembered = 0
            self._remembered += 1
            route = bench.routes.best(wire.label, source, target, run.origin, waits=wire.waits)
            measure = None if route is None else bench.routes.measure(route)
            known[ends] = None if measure is None else measure.microseconds(wire.bits)
        return known[ends]

    def service(self, pipeline: Pipeline, site: str, kind: StageKind | TargetKind) -> float | None:
        """Return the microseconds of a stage at a site; None when nobody knows them."""
        if kind.hardware is None:
            return 0.0
        machine = self._audit.snapshot.profiles.machine(site, kind.hardware)
        key = (pipeline.name, machine, kind.model, kind.variant)
        if key not in self._services:
            time = stage_time(self._audit.snapshot, pipeline, site, kind.model, kind.variant, kind.hardware)
            self._services[key] = None if time is None else float(time)
        return self._services[key]


class Served:
    """One assignment, as the pools of the plan serve it."""

    def __init__(self, audit: Audit, takeovers: Takeovers, run: Run) -> None:
        self._audit, self._takeovers, self._run = audit, takeovers, run
        outline, self._places = run.assignment.outline, run.assignment.places
        self._own = {kind.stage: self._service(self._places[place], kind) for kind, place in outline.stages}
        self._wiring = takeovers.wiring(run.pipeline, run.labels, run.graph)

    @cached_property
    def _legs(self) -> list[float | None]:
        """The microseconds of each wire as it runs now."""
        return [self._leg(wire, self._run.ends) for wire in self._wiring.wires]

    def queued(self, stage: str, place: int) -> float | None:
        """Return 0 when a queue gets what a stage receives, whenever it does; None when it does not."""
        where = {**self._run.ends, stage: place}
        legs = [self._leg(wire, where) for wire in self._wiring.queued.get(stage, ())]
        return None if None in legs else 0.0

    def with_target(self, stage: str, kind: TargetKind, place: int) -> float | None:
        """Return the microseconds of the request when a target serves; None without a permitted route."""
        serving = kind.stage or stage
        where = {**self._run.ends, serving: place}
        unknown = kind.model is not None and kind.hardware is None
        own = {**self._own, serving: None if unknown else self._service(self._places[place], kind)}
        if kind.stage is None:
            wiring, legs = self._wiring, self._legs.copy()
            for number in wiring.at.get(serving, ()):
                legs[number] = self._leg(wiring.wires[number], where)
        else:
            wiring = self._instead(stage, serving)
            legs = [self._leg(wire, where) for wire in wiring.wires]
        return wiring.slowest(legs, own)

    def flows(self, stage: str, kind: TargetKind, place: int) -> Iterator[tuple[str, str, int, int]]:
        """Yield the flows to and from a target: both ends, and the places of both.

        Of a queue they are known when one fallback of the stage queues.
        """
        serving, wiring = stage, self._wiring
        if kind.queues or kind.stage is not None:
            stages = self._run.labels.stages
            names = [name for name in stages[stage].fallback if stages[name].task == "queue"]
            serving = kind.stage or (names[0] if len(names) == 1 else stage)
            wiring = self._instead(stage, serving)
        where = {**self._run.ends, serving: place}
        for number in wiring.at.get(serving, ()) if serving != stage or not kind.queues else ():
            wire = wiring.wires[number]
            if wire.sender in where and wire.receiver in where:
                yield wire.sender, wire.receiver, where[wire.sender], where[wire.receiver]

    def _instead(self, stage: str, serving: str) -> Wiring:
        """Return the wiring of the graph in which a fallback serves for a stage."""
        run = self._run
        graph = self._audit.graph(run.pipeline, {**run.replaced, stage: serving})
        return self._takeovers.wiring(run.pipeline, run.labels, graph)

    def _service(self, site: str, kind: StageKind | TargetKind) -> float | None:
        return self._takeovers.service(self._run.pipeline, site, kind)

    def _leg(self, wire: Wire, where: Mapping[str, int]) -> float | None:
        source, target = where.get(wire.sender), where.get(wire.receiver)
        if source is None or target is None:
            return ABSENT
        if source == target:
            return 0.0
        return self._takeovers.leg(wire, self._run, self._places[source], self._places[target])
