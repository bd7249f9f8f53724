"""The static side of a problem: every workload with its graphs, labels, options and refusals, ready for any engine.

Nothing here depends on what other workloads do; engines choose among the options, and explanations read the refusals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from placement.candidates import Candidates, Option, Refusal
from placement.graph import ANSWER, INPUT, Edge, Graph, exact, graphs
from placement.latency import stage_us
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.propagation import Labels, propagate
from placement.routes import Route, Router
from placement.rulings import Rulings
from sites.country import country_of
from sites.site import Site


def workload_id(pipeline: Pipeline, origin: Site) -> str:
    """Return `pipeline@origin`."""
    return f"{pipeline.name}@{origin.name}"


@dataclass(frozen=True)
class Workload:
    """A pipeline at one origin.

    Attributes:
        graphs: the declared one first, then one per combination of fallbacks.
        options: by stage or fallback, where it may run; sorted.
        refusals: by stage or fallback and site, why it may not.
        stored: bytes by knowledge that its stages read.
        refuges: where it may run after a loss when that is not `options`: a workload that is held in its place.
        rate: requests per second. `utilisation`, `priority`: of the pipeline, exact.
    """

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
    refuges: Mapping[str, tuple[Option, ...]] | None = None

    @cached_property
    def id(self) -> str:
        """Return the workload's id in plans."""
        return workload_id(self.pipeline, self.origin)

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
    for pipeline in problem.pipelines.values():
        shapes = graphs(pipeline.spec)
        labels: dict[str | None, Labels] = {}
        for origin in problem.origins(pipeline):
            if only is not None and workload_id(pipeline, origin) not in only:
                continue
            country = None if origin.spec.location is None else country_of(origin.spec.location)
            if country not in labels:
                labels[country] = _labels(problem, pipeline, origin)
            workload = _workload(pipeline, origin, shapes, labels[country], candidates)
            found[workload.id] = workload
    return Instance(problem, dict(sorted(found.items())), rulings)


def _labels(problem: Problem, pipeline: Pipeline, origin: Site) -> Labels:
    policy = problem.policies[pipeline.metadata.tenant]
    return propagate(pipeline, origin, problem.models, problem.stores, policy, problem.window)


def _workload(
    pipeline: Pipeline, origin: Site, shapes: tuple[Graph, ...], labels: Labels, candidates: Candidates
) -> Workload:
    spec = pipeline.spec
    router = candidates.router(pipeline, origin)
    stages = (*spec.stages, *spec.fallbacks)
    views = {stage.name: candidates.of(pipeline, origin, stage, labels, router) for stage in stages}
    return Workload(
        pipeline=pipeline,
        origin=origin,
        rate=pipeline.rate_at(origin),
        priority=exact(spec.priority),
        utilisation=exact(spec.utilisation),
        labels=labels,
        graphs=shapes,
        options={name: view[0] for name, view in views.items()},
        refusals={name: view[1] for name, view in views.items()},
        stored={s.knowledge: candidates.problem.stores[s.knowledge].spec.size for s in stages if s.knowledge},
        router=router,
    )
