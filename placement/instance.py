"""The static side of a problem: every workload with its graphs, labels, options and refusals, ready for any engine.

Nothing here depends on what other workloads do; engines choose among the options, and explanations read the refusals.
Both are worked out when they are looked at: a search over a large fleet looks at a few of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Candidates, Cohort, Option, Options, PoolKey, Refusal, Refusals
from placement.graph import ANSWER, INPUT, Edge, Graph, exact, graphs
from placement.latency import stage_us
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.propagation import Labels, propagate
from placement.routes import Route, Router
from placement.rulings import Rulings
from sites.noun import matches
from sites.site import Site


def workload_id(pipeline: Pipeline, origin: Site) -> str:
    """Return `pipeline@origin`."""
    return f"{pipeline.name}@{origin.name}"


@dataclass(frozen=True, slots=True)
class Workload:
    """A pipeline at one origin.

    Attributes:
        id: its name in plans.
        cohort: what it has in common with others.
        graphs: the declared one first, then one per combination of fallbacks.
        options: by stage or fallback, where it may run; sorted.
        refusals: by stage or fallback and site, why it may not.
        refuges: where it may run after a loss when that is not `options`: a workload that is held in its place.
        stored: bytes by knowledge that its stages read.
        rate: requests per second. `utilisation`, `priority`: of the pipeline, exact.
    """

    id: str
    pipeline: Pipeline
    origin: Site
    rate: Fraction
    priority: Fraction
    utilisation: Fraction
    labels: Labels
    graphs: tuple[Graph, ...]
    options: Mapping[str, tuple[Option, ...]]
    refusals: Mapping[str, Mapping[str, tuple[Refusal, ...]]]
    stored: Mapping[str, int]
    router: Router = field(repr=False)
    cohort: Cohort = field(repr=False)
    refuges: Mapping[str, tuple[Option, ...]] | None = None

    @property
    def limit_us(self) -> int | None:
        """Return the latency objective in microseconds; None when there is none."""
        return self.pipeline.spec.latency

    def stage_rate(self, stage: Stage) -> Fraction:
        """Return how many requests per second reach a stage."""
        return self.rate * exact(stage.share)

    def stage_time(self, option: Option) -> Fraction:
        """Return microseconds that a request spends in a stage at an option; zero when it is built in."""
        return Fraction(0) if option.pool is None else stage_us(option.pool.service_us, self.utilisation)

    def option(self, stage: str, site: Site, pool: PoolKey | None) -> Option | None:
        """Return the option of a stage at a site through a pool, or where it is built in; None when there is none.

        No other site is looked at; whether a route reaches this one is for the routes of a choice to tell.
        """
        for option in self.options_at(stage, site):
            if (None if option.pool is None else option.pool.key) == pool:
                return option
        return None

    def options_at(self, stage: str, site: Site) -> tuple[Option, ...]:
        """Return the options of a stage at a site, without a look at any other; a route may be missing."""
        if isinstance(self.options, Options):
            return self.options.at(stage, site)
        return tuple(option for option in self.options[stage] if option.site == site.name)

    def route(self, edge: Edge, a: str, b: str) -> Route | None:
        """Return the way of a flow between two sites; None when there is no permitted one."""
        return self.router.route(a, b, self.labels.flow(edge.source, edge.target), edge.is_async)

    def ends(self, edge: Edge, chosen: Mapping[str, Option]) -> tuple[str, str]:
        """Return the sites of a flow's two ends under a choice of options."""
        source = self.origin.name if edge.source == INPUT else chosen[edge.source].site
        return source, self.origin.name if edge.target == ANSWER else chosen[edge.target].site


@dataclass(frozen=True)
class Instance:
    """Every workload of a problem, by id.

    Attributes:
        workloads: sorted by id.
        rulings: what the law said, remembered; explanations ask on.
    """

    problem: Problem
    workloads: Mapping[str, Workload]
    rulings: Rulings = field(repr=False)


def instance_of(
    problem: Problem, only: Collection[str] | None = None, rulings: Rulings | None = None, *, is_brief: bool = False
) -> Instance:
    """Return the instance of a problem: labels, routes and candidates of every workload, or of those in `only`.

    Args:
        rulings: what the law said of the same sites under the same policies; asked anew when None.
        is_brief: name one reason against each refused site instead of all.
    """
    rulings = rulings or Rulings(problem)
    candidates = Candidates(problem, rulings, is_brief)
    found: dict[str, Workload] = {}
    for pipeline, origins in _wanted(problem, only):
        made = Maker(candidates, pipeline)
        found.update((workload.id, workload) for workload in map(made.workload, origins))
    return Instance(problem, dict(sorted(found.items())), rulings)


def _wanted(problem: Problem, only: Collection[str] | None) -> Iterator[tuple[Pipeline, tuple[Site, ...]]]:
    """Yield each pipeline with its origins, or with those that are named."""
    if only is None:
        yield from ((pipeline, problem.origins(pipeline)) for pipeline in problem.pipelines.values())
        return
    named: dict[str, list[Site]] = {}
    for name, _, at in (workload.partition("@") for workload in sorted(only)):
        pipeline, origin = problem.pipelines.get(name), problem.sites.get(at)
        if pipeline and origin and matches(pipeline.spec.origins, origin.metadata.labels):
            named.setdefault(name, []).append(origin)
    yield from ((problem.pipelines[name], tuple(origins)) for name, origins in named.items())


class Maker:
    """Makes the workloads of one pipeline, which share all that does not depend on their very origin."""

    def __init__(self, candidates: Candidates, pipeline: Pipeline) -> None:
        spec, stores = pipeline.spec, candidates.problem.stores
        stages = (*spec.stages, *spec.fallbacks)
        self.candidates = candidates
        self._pipeline = pipeline
        self._stages = {stage.name: stage for stage in stages}
        self._graphs = graphs(spec)
        self._stored = {s.knowledge: stores[s.knowledge].spec.size for s in stages if s.knowledge}
        self._cohorts: dict[object, Cohort] = {}

    def workload(self, origin: Site) -> Workload:
        """Return the workload at an origin."""
        pipeline, cohort = self._pipeline, self._cohort(origin)
        return Workload(
            id=workload_id(pipeline, origin),
            pipeline=pipeline,
            origin=origin,
            rate=pipeline.rate_at(origin),
            priority=exact(pipeline.spec.priority),
            utilisation=exact(pipeline.spec.utilisation),
            labels=cohort.labels,
            graphs=self._graphs,
            options=Options(cohort, origin),
            refusals=Refusals(cohort, origin),
            stored=self._stored,
            router=cohort.router,
            cohort=cohort,
        )

    def _cohort(self, origin: Site) -> Cohort:
        pipeline, candidates = self._pipeline, self.candidates
        kin = candidates.rulings.kin(pipeline.metadata.tenant, origin)
        if kin not in self._cohorts:
            labels, router = _labels(candidates.problem, pipeline, origin), candidates.router(pipeline, origin)
            self._cohorts[kin] = Cohort(candidates, pipeline, origin, labels, self._stages, router)
        return self._cohorts[kin]


def _labels(problem: Problem, pipeline: Pipeline, origin: Site) -> Labels:
    policy = problem.policies[pipeline.metadata.tenant]
    return propagate(pipeline, origin, problem.models, problem.stores, policy, problem.window)
