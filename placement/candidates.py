"""Where each stage may run, and for every other place why not.

Filters are static per (pipeline, origin, stage): who serves whom, pins and taints, approval, quality, hardware, memory,
knowledge, declassifiers, residency, and whether a route reaches the place. A refusal is a value with its rule and a
sentence. Everything is asked when somebody looks, and what does not depend on the very origin is asked once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from placement import safeguards
from placement.domains import barred
from placement.graph import ANSWER, INPUT, answering
from placement.pipeline import Pipeline, Stage
from placement.pools import Fittings, Pool, PoolKey, Refusal
from placement.problem import Problem
from placement.propagation import Labels
from placement.routes import Router
from placement.rulings import Rulings
from sites.data import UNLABELLED, Label
from sites.noun import matches
from sites.site import Site
from sites.verdict import Outcome, Verdict

__all__ = ["Candidates", "Cohort", "Option", "Options", "Pool", "PoolKey", "Refusal", "Refusals", "who_not"]


@dataclass(frozen=True, slots=True)
class Option:
    """One place at which a stage may run; `pool` is None where it is built in. `rules` permit it."""

    site: str
    pool: Pool | None
    rules: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Return what tells the options of one stage apart, for sorting."""
        if self.pool is None:
            return (self.site, "", "", "", "")
        pool = self.pool.key
        return (pool.site, pool.model, pool.variant, pool.hardware, pool.partition)


@dataclass(slots=True)
class Candidates:
    """Filters the sites of a problem; what does not depend on the origin is remembered.

    Attributes:
        is_brief: whether one reason against a site is enough: who only asks what is possible reads no reasons.
    """

    problem: Problem
    rulings: Rulings
    is_brief: bool = False
    fittings: Fittings = field(init=False)
    _offering: tuple[Site, ...] | None = None
    _housed: dict[tuple[str, str, str], tuple[Pool, ...] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self.fittings = Fittings(self.problem)

    @property
    def offering(self) -> tuple[Site, ...]:
        """Return the sites that serve others than themselves."""
        if self._offering is None:
            self._offering = tuple(site for site in self.problem.sites.values() if site.spec.serves != "own")
        return self._offering

    def housed(self, pipeline: Pipeline, stage: Stage, site: Site) -> tuple[Pool, ...] | None:
        """Return the pools of a stage at a site that serves others, as far as its label does not matter; None if none.

        Where a stage is built in, no pool is all that it needs.
        """
        key = (pipeline.name, stage.name, site.name)
        if key not in self._housed:
            self._housed[key] = self.house(pipeline, stage, site)
        return self._housed[key]

    def house(self, pipeline: Pipeline, stage: Stage, site: Site) -> tuple[Pool, ...] | None:
        """Return the same for any site, and do not keep it."""
        if any(barred(pipeline, stage, site)) or any(self.of_knowledge(stage, site)):
            return None
        pools = self.fittings.of(stage, site).at(site.name)
        return pools if pools or not stage.models else None

    def of_knowledge(self, stage: Stage, site: Site) -> Iterator[Refusal]:
        """Yield the reason against a site where what a stage reads may not live."""
        if stage.knowledge is not None:
            where = self.problem.stores[stage.knowledge].spec.sites
            if not matches(where, site.metadata.labels):
                yield Refusal(f"knowledge:{stage.knowledge}", f"{stage.knowledge} may live only at sites with {where}")

    def router(self, pipeline: Pipeline, origin: Site) -> Router:
        """Return the routes open to a workload's flows."""
        return self.rulings.router(pipeline.metadata.tenant, self.problem.network, origin)


@dataclass(slots=True)
class Cohort:
    """The workloads of one pipeline whose origins the law does not tell apart, and what holds for all of them.

    Attributes:
        origin: one of their origins.
        stages: the stages and fallbacks by name.
    """

    candidates: Candidates
    pipeline: Pipeline
    origin: Site
    labels: Labels
    stages: Mapping[str, Stage]
    router: Router
    _partitions: dict[str, str] = field(default_factory=dict)
    _at: dict[tuple[str, str], tuple[Option, ...]] = field(default_factory=dict)
    _offered: dict[str, tuple[Site, ...]] = field(default_factory=dict)
    _answering: dict[str, bool] = field(default_factory=dict)

    def at(self, stage: Stage, site: Site) -> tuple[Option, ...]:
        """Return the options of a stage at a site, as far as the very origin does not matter."""
        if site.spec.serves == "own":
            return self._look(stage, site, self.candidates.house(self.pipeline, stage, site))
        key = (stage.name, site.name)
        if key not in self._at:
            self._at[key] = self._look(stage, site, self.candidates.housed(self.pipeline, stage, site))
        return self._at[key]

    def offered(self, stage: Stage) -> tuple[Site, ...]:
        """Return the sites that serve others and may run a stage, as far as the very origin does not matter."""
        if stage.name not in self._offered:
            sites = (site for site in self.candidates.offering if self.at(stage, site))
            self._offered[stage.name] = tuple(sites)
        return self._offered[stage.name]

    def _look(self, stage: Stage, site: Site, pools: tuple[Pool, ...] | None) -> tuple[Option, ...]:
        if pools is None or (permit := self.permit(stage, site)) is None or any(self._unguarded(stage, site)):
            return ()
        if stage.state == "shared":
            pools = self.candidates.fittings.of(stage, site).at(site.name, self._partition(stage))
        return tuple([Option(site.name, pool, permit.rules) for pool in (pools or (None,))])

    def permit(self, stage: Stage, site: Site) -> Verdict | None:
        """Return the permit of the law for a stage at a site; None when it is refused."""
        failover = stage in self.pipeline.spec.fallbacks
        label = self.labels.stages[stage.name]
        return self.candidates.rulings.permit(self.pipeline, stage, label, site, self.origin, failover=failover)

    def stands_in(self, stage: Stage, site: Site) -> bool:
        """Return whether a stage that may run at a site may also do so in place of another."""
        label, rulings = self.labels.stages[stage.name], self.candidates.rulings
        return rulings.permit(self.pipeline, stage, label, site, self.origin, failover=True) is not None

    def _partition(self, stage: Stage) -> str:
        if stage.name not in self._partitions:
            said = f"{self.pipeline.metadata.tenant} {self.labels.stages[stage.name]!r}".encode()
            self._partitions[stage.name] = hashlib.sha256(said).hexdigest()[:12]
        return self._partitions[stage.name]

    def _unguarded(self, stage: Stage, site: Site) -> Iterator[Refusal]:
        """Yield what the label has against a site beside the law."""
        yield from _confined(stage, self.labels, site)
        problem = self.candidates.problem
        policy = problem.policies[self.pipeline.metadata.tenant]
        found = (
            safeguards.against(stage, self.labels.stages[stage.name], site, policy, problem.stores)
            if policy.spec.retention
            else safeguards.unreachable(site)
        )
        yield from (Refusal(*each) for each in found)

    def against(self, stage: Stage, site: Site) -> Iterator[Refusal]:
        """Yield each reason against a site, whatever the very origin."""
        yield from (Refusal(*why) for why in barred(self.pipeline, stage, site))
        yield from self.candidates.of_knowledge(stage, site)
        yield from self._unguarded(stage, site)
        fitting = self.candidates.fittings.of(stage, site)
        yield from fitting.against if not fitting.made else ()
        failover = stage in self.pipeline.spec.fallbacks
        label = self.labels.stages[stage.name]
        verdict = self.candidates.rulings.stage(self.pipeline, stage, label, site, self.origin, failover=failover)
        if verdict.outcome != Outcome.permit:
            yield from (Refusal(f"residency:{name}", _law(verdict)) for name in verdict.rules)
            if any(question.atom.data == UNLABELLED for question, _ in verdict.failing):
                yield Refusal(f"residency:{UNLABELLED}", "nobody says what all of the data is")

    def reaches(self, stage: Stage, origin: Site, site: Site) -> bool:
        """Return whether the input of an origin reaches a stage at a site, and its answer the origin."""
        return all(self._joins(*way, origin.name, stage) for way in self._ways(stage, origin, site))

    def _joins(self, a: str, b: str, label: Label, home: str, stage: Stage) -> bool:
        """Return whether a route joins two sites, one of which is home: from there all others are found at once."""
        paths = self.router.paths(label, stage.is_async)
        here = frozenset((home,))
        return b in paths.reached(here) if a == home else a in paths.reached(here, backwards=True)

    def unreached(self, stage: Stage, origin: Site, site: Site) -> Iterator[Refusal]:
        """Yield why the input does not reach a stage at a site, or its answer not the origin."""
        for a, b, label in self._ways(stage, origin, site):
            if not self._joins(a, b, label, origin.name, stage):
                text = f"no permitted route from {a} to {b}"
                yield from (Refusal(rule, text) for rule in self.router.obstacles(a, b, label, stage.is_async))

    def _ways(self, stage: Stage, origin: Site, site: Site) -> Iterator[tuple[str, str, Label]]:
        home = origin.name
        if site.name == home or "disconnected" in (origin.spec.connectivity.mode, site.spec.connectivity.mode):
            return
        if INPUT in stage.after:
            yield home, site.name, self.labels.flow(INPUT, stage.name)
        if stage.name not in self._answering:
            self._answering[stage.name] = _answers(self.pipeline, stage)
        if self._answering[stage.name]:
            yield site.name, home, self.labels.flow(stage.name, ANSWER)


@dataclass(frozen=True, slots=True, eq=False)
class Options(Mapping[str, tuple[Option, ...]]):
    """By stage or fallback of one workload, the places where it may run, sorted; found when they are looked at."""

    cohort: Cohort
    origin: Site
    _known: dict[str, tuple[Option, ...]] = field(default_factory=dict)

    def __getitem__(self, stage: str) -> tuple[Option, ...]:
        """Return every option of a stage."""
        if stage not in self._known:
            self._known[stage] = tuple(sorted(self._all(self.cohort.stages[stage]), key=lambda option: option.key))
        return self._known[stage]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of stages and fallbacks."""
        return iter(self.cohort.stages)

    def __len__(self) -> int:
        """Return how many stages and fallbacks there are."""
        return len(self.cohort.stages)

    def at(self, stage: str, site: Site) -> tuple[Option, ...]:
        """Return the options of a stage at one site, without a look at any other; a route may be missing."""
        return () if any(who_not(site, self.origin)) else self.cohort.at(self.cohort.stages[stage], site)

    def _all(self, stage: Stage) -> Iterator[Option]:
        is_own = self.origin.spec.serves == "own"
        if is_own:
            yield from self.cohort.at(stage, self.origin)
            if self.origin.spec.connectivity.mode == "disconnected":
                return  # no other site is reached, and none need be asked
        for site in self.cohort.offered(stage):
            if not any(who_not(site, self.origin)) and self.cohort.reaches(stage, self.origin, site):
                yield from self.cohort.at(stage, site)


@dataclass(frozen=True, slots=True, eq=False)
class Refusals(Mapping[str, Mapping[str, tuple[Refusal, ...]]]):
    """By stage or fallback of one workload, every site where it may not run; found when it is looked at."""

    cohort: Cohort
    origin: Site

    def __getitem__(self, stage: str) -> Mapping[str, tuple[Refusal, ...]]:
        """Return the refusals of a stage by site."""
        return _Refused(self.cohort, self.origin, self.cohort.stages[stage])

    def __iter__(self) -> Iterator[str]:
        """Yield the names of stages and fallbacks."""
        return iter(self.cohort.stages)

    def __len__(self) -> int:
        """Return how many stages and fallbacks there are."""
        return len(self.cohort.stages)


@dataclass(frozen=True, slots=True, eq=False)
class _Refused(Mapping[str, tuple[Refusal, ...]]):
    """The sites where one stage may not run, with the reasons."""

    cohort: Cohort
    origin: Site
    stage: Stage
    _known: dict[str, tuple[Refusal, ...]] = field(default_factory=dict)

    def __getitem__(self, site: str) -> tuple[Refusal, ...]:
        """Return the reasons against a site. Raises KeyError where there are none."""
        if not (found := self._against(site)):
            raise KeyError(site)
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the sites that are refused."""
        return (site for site in self.cohort.candidates.problem.sites if self._against(site))

    def __len__(self) -> int:
        """Return how many sites are refused."""
        return sum(1 for _ in self)

    def _against(self, name: str) -> tuple[Refusal, ...]:
        if name not in self._known:
            reasons = self._reasons(self.cohort.candidates.problem.sites[name])
            some = islice(reasons, 1) if self.cohort.candidates.is_brief else reasons
            self._known[name] = tuple(sorted(set(some)))
        return self._known[name]

    def _reasons(self, site: Site) -> Iterator[Refusal]:
        yield from who_not(site, self.origin)
        yield from self.cohort.against(self.stage, site)
        yield from self.cohort.unreached(self.stage, self.origin, site)


def who_not(site: Site, origin: Site) -> Iterator[Refusal]:
    """Yield the reasons against a site that does not serve the origin, or that no wire reaches."""
    if site.name == origin.name:
        return
    serves = site.spec.serves
    if serves == "own" or (isinstance(serves, dict) and not matches(serves, origin.metadata.labels)):
        yield Refusal("serves:own", f"{site.name} serves {'itself only' if serves == 'own' else serves}")
    for end in (origin, site):
        if end.spec.connectivity.mode == "disconnected":
            yield Refusal("link:disconnected", f"{end.name} is disconnected")


def _confined(stage: Stage, labels: Labels, site: Site) -> Iterator[Refusal]:
    allowed = labels.confined.get(stage.name)
    if allowed is not None and site.name not in allowed:
        yield Refusal("declassifier:sites", f"labels fall at {stage.name}, which is approved for {', '.join(allowed)}")


def _law(verdict: Verdict) -> str:
    question, first = verdict.failing[0]
    said = "denied" if first.outcome == Outcome.deny else "not known to be permitted"
    return f"{question.activity} of {question.atom.data} in {question.place or 'an unknown place'} is {said}"


def _answers(pipeline: Pipeline, stage: Stage) -> bool:
    answers = answering(pipeline.spec)
    replaces = (s.name for s in pipeline.spec.stages if stage.name in s.fallback)
    return stage.answer and (stage.name in answers or any(name in answers for name in replaces))
