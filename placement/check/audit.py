"""The plan laid beside its fleet: every workload with its graph, its labels and who decides about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from placement.check.declassifying import lowering
from placement.check.document import AssignmentEntry, FlowEntry, PlanDocument, StageEntry, WorkloadEntry
from placement.check.evaluator import Judge
from placement.check.graph import ANSWER, INPUT, Graph, graph, replacements
from placement.check.labels import Labels
from placement.check.questions import Questions
from placement.check.routes import Routes
from placement.check.snapshot import Snapshot, rate_of
from placement.errors import PlacementError
from placement.pipeline import Pipeline
from sites.country import country_of
from sites.site import Site


def exact(number: float) -> Fraction:
    """Return the decimal that a float was written as."""
    return Fraction(str(number))


@dataclass(frozen=True)
class Run:
    """One assignment of one workload, with the graph that it ought to run.

    Attributes:
        rate: requests per second that this assignment serves, recomputed.
    """

    workload: WorkloadEntry
    assignment: AssignmentEntry
    pipeline: Pipeline
    origin: Site
    graph: Graph
    labels: Labels
    rate: Fraction

    @property
    def id(self) -> str:
        """Return the workload's id."""
        return self.workload.id

    @cached_property
    def stages(self) -> Mapping[str, StageEntry]:
        """The plan's stages by name."""
        return {entry.stage: entry for entry in self.assignment.stages}

    @cached_property
    def flows(self) -> Mapping[tuple[str, str], FlowEntry]:
        """The plan's primary flows by their ends."""
        return {(flow.from_stage, flow.to_stage): flow for flow in self.assignment.flows if flow.role == "primary"}

    def site_of(self, end: str) -> str | None:
        """Return the site of a stage or of an end of the graph; None when the plan lacks the stage."""
        if end in (INPUT, ANSWER):
            return self.origin.name
        return self.stages[end].site if end in self.stages else None

    def flow_rate(self, flow: tuple[str, str]) -> Fraction:
        """Return the requests per second on a flow."""
        return self.rate * exact(self.graph.share(flow))

    def flow_bytes(self, flow: tuple[str, str]) -> int:
        """Return the bytes of one request on a flow."""
        return self.graph.size(flow, self.pipeline.spec.input.size)


@dataclass(frozen=True)
class Bench:
    """What decides for one tenant: the evaluator under its policy, the questions, the routes."""

    judge: Judge
    questions: Questions
    routes: Routes


class Audit:
    """Everything that the checks of one plan share; built once, read by all of them."""

    def __init__(self, document: PlanDocument, snapshot: Snapshot) -> None:
        self.document, self.snapshot = document, snapshot
        self._benches: dict[str, Bench] = {}
        self._labels: dict[tuple[str, str | None], Labels] = {}

    def bench(self, tenant: str) -> Bench:
        """Return what decides for a tenant. Raises PlacementError when it has no policy."""
        if tenant not in self._benches:
            policy = self.snapshot.policies.get(tenant)
            if policy is None:
                raise PlacementError(f"tenant {tenant!r} has no policy", advice="write exactly one Policy per tenant")
            judge = Judge(policy, self.snapshot.packs, self.document.since, self.document.until)
            questions = Questions(judge, self.snapshot)
            self._benches[tenant] = Bench(judge, questions, Routes(self.snapshot, questions))
        return self._benches[tenant]

    def labels(self, pipeline: Pipeline, origin: Site) -> Labels:
        """Return a pipeline's labels at an origin; origins of one country have the same."""
        place = origin.spec.location
        key = (pipeline.name, None if place is None else country_of(place))
        if key not in self._labels:
            policy = self.snapshot.policies[pipeline.metadata.tenant]
            lowers = lowering(pipeline, policy, self.snapshot, (self.document.since, self.document.until))
            self._labels[key] = Labels(pipeline, origin, self.snapshot, lowers)
        return self._labels[key]

    def run(self, workload: WorkloadEntry, assignment: AssignmentEntry) -> Run:
        """Return one assignment of a workload that the fleet knows."""
        pipeline, origin = self.snapshot.workloads[workload.id]
        self.bench(pipeline.metadata.tenant)
        replaced = replacements(pipeline, [entry.stage for entry in assignment.stages])
        rate = rate_of(pipeline, origin) * exact(assignment.fraction)
        labels = self.labels(pipeline, origin)
        return Run(workload, assignment, pipeline, origin, graph(pipeline, replaced), labels, rate)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every assignment of every workload that the fleet knows."""
        return tuple(
            self.run(workload, assignment)
            for workload in self.document.workloads
            if workload.id in self.snapshot.workloads
            for assignment in workload.assignments
        )
