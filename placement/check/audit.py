"""The plan laid beside its fleet: every assignment with its graph, its labels and who decides about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache

from placement.check.declassifying import lowering
from placement.check.document import (
    AssignmentEntry,
    FallbackEntry,
    FlowEntry,
    FlowKind,
    Outline,
    Places,
    StageEntry,
)  # fmt: skip
from placement.check.evaluator import Judge
from placement.check.graph import ANSWER, INPUT, Flow, Graph, replacements
from placement.check.graph import graph as graph_of
from placement.check.labels import Labels
from placement.check.profiles import Numbers
from placement.check.questions import Questions
from placement.check.result import Finding
from placement.check.routes import NOTHING, Lost, Routes
from placement.check.schema import PlanDocument, PoolEntry, PoolKey
from placement.check.snapshot import Snapshot, rate_of
from placement.errors import PlacementError
from placement.pipeline import Pipeline
from sites.country import country_of
from sites.site import Site


@lru_cache(maxsize=65536)
def exact(number: float) -> Fraction:
    """Return the decimal that a float was written as."""
    return Fraction(str(number))


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """What flows and stages of a graph carry at a rate of requests per second: exactly, and as a plan's floats."""

    rates: Mapping[Flow, Fraction]
    paces: Mapping[Flow, float]
    sizes: Mapping[Flow, int]
    stages: Mapping[str, Fraction]

    @classmethod
    def of(cls, pipeline: Pipeline, graph: Graph, rate: Fraction) -> Volume:
        """Return the volume of a pipeline's graph."""
        rates = {flow: rate * exact(graph.share(flow)) for flow in graph.flows}
        return cls(
            rates,
            {flow: float(found) for flow, found in rates.items()},
            {flow: graph.size(flow, pipeline.spec.input.size) for flow in graph.flows},
            {name: rate * exact(stage.share) for name, stage in graph.stages.items()},
        )


@dataclass(frozen=True)
class Run:
    """One assignment of one workload, with the graph that it ought to run.

    Attributes:
        id: of the workload.
        rate: requests per second that this assignment serves, recomputed.
        replaced: which fallback serves for which stage.
        lost: what is lost in the failure that it is for; nothing in normal running.
        usual: where the workload's stages run when nothing is lost, for an assignment after a loss.
    """

    id: str
    assignment: AssignmentEntry
    pipeline: Pipeline
    origin: Site
    graph: Graph
    labels: Labels
    rate: Fraction
    volume: Volume
    replaced: Mapping[str, str] = field(default_factory=dict)
    lost: Lost = NOTHING
    usual: frozenset[tuple[str, str]] | None = None

    @property
    def fallbacks(self) -> tuple[FallbackEntry, ...]:
        """The fallback orders that the plan gives with this assignment."""
        return self.assignment.fallbacks

    @cached_property
    def stages(self) -> Mapping[str, StageEntry]:
        """The plan's stages by name."""
        return {entry.stage: entry for entry in self.assignment.stages}

    @cached_property
    def flows(self) -> Mapping[tuple[str, str], FlowEntry]:
        """The plan's primary flows by their ends."""
        kinds = [kind for kind, *_ in self.assignment.outline.flows]
        primary = [self.assignment.flow(number) for number, kind in enumerate(kinds) if kind.role == "primary"]
        return {flow.ends: flow for flow in primary}

    @cached_property
    def spare(self) -> Mapping[str, set[str]]:
        """The sites at which a fallback target would run each stage, or queue what it receives."""
        places = self.assignment.places
        found: dict[str, set[str]] = {}
        for end, place in self.spare_places:
            found.setdefault(end, set()).add(places[place])
        return found

    @cached_property
    def spare_places(self) -> frozenset[tuple[str, int]]:
        """The same as pairs of a stage and the number of a place."""
        found: set[tuple[str, int]] = set()
        stages = self.labels.stages
        for name, order in self.assignment.outline.orders:
            fallbacks = stages[name].fallback if name in stages else ()
            queues = [each for each in fallbacks if stages[each].task == "queue"]
            for kind, place in order:
                if place is not None:
                    found.add((kind.stage or name, place))
                    found.update((each, place) for each in (queues if kind.queues else ()))
        return frozenset(found)

    @cached_property
    def ends(self) -> Mapping[str, int]:
        """The number of the place of every stage that the plan has, and of the graph's two ends."""
        return {**{kind.stage: place for kind, place in self.assignment.outline.stages}, INPUT: 0, ANSWER: 0}

    def site_of(self, end: str) -> str | None:
        """Return the site of a stage or of an end of the graph; None when the plan lacks the stage."""
        if end in (INPUT, ANSWER):
            return self.origin.name
        return self.stages[end].site if end in self.stages else None

    def fails_over(self, stage: str, site: str) -> bool:
        """Return whether a stage runs at a site only because something failed: as a fallback, or after a loss."""
        return stage in self.graph.instead or (self.usual is not None and (stage, site) not in self.usual)


@dataclass(frozen=True)
class Bench:
    """What decides for one tenant: the evaluator under its policy, the questions, the routes."""

    judge: Judge
    questions: Questions
    routes: Routes


@dataclass(frozen=True)
class Seen:
    """What has been met in a plan.

    Attributes:
        sites: where anything runs, would run or would queue.
        hops: the ends of every link that a flow takes.
        graphs: what runs of each pipeline: graphs by the pipeline's name.
        copies: what is not known of copies that stages keep: how long they stay, or how they are erased.
        stricter: stages and flows whose label says less than is derived: a fact is unknown, or a purpose missing.
    """

    sites: set[str] = field(default_factory=set)
    hops: set[frozenset[str]] = field(default_factory=set)
    graphs: dict[str, set[Graph]] = field(default_factory=dict)
    copies: set[str] = field(default_factory=set)
    stricter: set[str] = field(default_factory=set)


class Audit:
    """Everything that the checks of one plan share."""

    def __init__(self, document: PlanDocument, snapshot: Snapshot) -> None:
        self.document, self.snapshot = document, snapshot
        self.seen = Seen()
        self._benches: dict[str, Bench] = {}
        self._labels: dict[tuple[str, str | None], Labels] = {}
        self._graphs: dict[tuple[str, tuple[tuple[str, str], ...]], Graph] = {}
        self._volumes: dict[tuple[Graph, Fraction], Volume] = {}
        self._clean: set[tuple[object, ...]] = set()
        self._lawful: dict[str, set[tuple[int | None, ...]]] = {}
        self._worded: dict[Labels, dict[FlowKind, int]] = {}
        self.wordings = Numbers()
        self._followers: dict[str, set[FlowKind]] = {}

    @property
    def tenants(self) -> list[str]:
        """The tenants that have any workload in the plan, sorted."""
        return sorted({self.snapshot.pipelines[name].metadata.tenant for name in self.seen.graphs})

    @cached_property
    def pools(self) -> Mapping[PoolKey, PoolEntry]:
        """The plan's pools by what names them."""
        return {pool.key: pool for pool in self.document.pools}

    @cached_property
    def pool_names(self) -> frozenset[tuple[str, str, str, str | None]]:
        """Every pool of the plan as a fallback order names it: site, model, variant, and hardware if it says it."""
        named = {(pool.site, pool.model, pool.variant, pool.hardware) for pool in self.document.pools}
        return frozenset((*named, *((site, model, variant, None) for site, model, variant, _ in named)))

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

    def graph(self, pipeline: Pipeline, replaced: Mapping[str, str]) -> Graph:
        """Return the graph of a pipeline in which fallbacks serve for the stages that they replace."""
        key = (pipeline.name, tuple(sorted(replaced.items())))
        if key not in self._graphs:
            self._graphs[key] = graph_of(pipeline, replaced)
        return self._graphs[key]

    def clean(self, key: tuple[object, ...], findings: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        """Yield findings; when there are none, never look again at what has the same key: all that they hang on."""
        if key in self._clean:
            return
        found = list(findings())
        if not found:
            self._clean.add(key)
        yield from found

    def lawful(self, tenant: str) -> set[tuple[int | None, ...]]:
        """Return which wordings, for whose law, were found to be right over which hops; who looks adds to them."""
        return self._lawful.setdefault(tenant, set())

    def worded(self, labels: Labels) -> dict[FlowKind, int]:
        """Return the numbers in `wordings` of what flows say under these labels; who looks adds to them."""
        return self._worded.setdefault(labels, {})

    def followers(self, pipeline: Pipeline) -> set[FlowKind]:
        """Return which spare flows were found to follow from a pipeline's fallbacks; who looks adds to them."""
        return self._followers.setdefault(pipeline.name, set())

    def run(
        self,
        name: str,
        outline: Outline,
        places: Places,
        lost: Lost = NOTHING,
        usual: frozenset[tuple[str, str]] | None = None,
    ) -> Run:
        """Return an assignment of a workload. Raises PlacementError when the fleet asks for no such workload."""
        known = self.snapshot.workload(name)
        if known is None:
            raise PlacementError(f"the fleet asks for no workload {name!r}", advice="plan again")
        pipeline, origin = known
        self.bench(pipeline.metadata.tenant)
        replaced = replacements(pipeline, [kind.stage for kind, _ in outline.stages])
        graph, rate = self.graph(pipeline, replaced), rate_of(pipeline, origin) * exact(outline.fraction)
        if (graph, rate) not in self._volumes:
            self._volumes[graph, rate] = Volume.of(pipeline, graph, rate)
        return Run(
            name, AssignmentEntry(outline, places), pipeline, origin, graph, self.labels(pipeline, origin), rate,
            self._volumes[graph, rate], replaced, lost, usual,
        )  # fmt: skip
