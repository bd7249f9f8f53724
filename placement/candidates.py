"""Where each stage may run, and for every other place why not.

Filters are static per (pipeline, origin, stage): who serves whom, approval, quality, hardware, memory, knowledge,
declassifiers, residency, and whether a route reaches the place. A refusal is a value with its rule and a sentence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from placement import safeguards
from placement.catalogue import Model, Needs, Variant
from placement.cost import replica_per_hour
from placement.domains import barred
from placement.graph import ANSWER, INPUT, answering
from placement.hardware import shortages, speed_on
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.propagation import Labels
from placement.routes import Router
from placement.rulings import Rulings
from sites.data import UNLABELLED
from sites.noun import matches
from sites.site import Hardware, Site
from sites.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Why a place is out.

    Attributes:
        rule: `residency:layer/rule`, `hardware:…`, `quality:…`, `approval:…`, `knowledge:…`, `serves:…`, `link:…`,
            `pin:…`, `taint:…`, `apart:…`, `spread:…`.
        text: the same in a sentence, with numbers.
    """

    rule: str
    text: str


@dataclass(frozen=True, slots=True, order=True)
class PoolKey:
    """What tells pools apart; `partition` is empty unless a stage shares state (one pool per label and tenant)."""

    site: str
    model: str
    variant: str
    hardware: str
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas of one variant on one hardware group of one site.

    Attributes:
        service_us: time of one request, alone.
        throughput: requests per second of one replica.
        per_hour: cost of one replica.
        needs: what a replica takes from one node.
        group: the node it takes it from.
    """

    key: PoolKey
    service_us: int
    throughput: Fraction
    per_hour: Fraction
    needs: Needs = field(repr=False)
    group: Hardware = field(repr=False)


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


View = tuple[tuple[Option, ...], Mapping[str, tuple[Refusal, ...]]]
"""Options, and refusals by site."""

_Fit = tuple[tuple[Pool, ...], tuple[Refusal, ...]]


@dataclass(slots=True)
class Candidates:
    """Filters the sites of a problem; what does not depend on the origin is remembered.

    Attributes:
        is_brief: whether one reason against a site is enough: who only asks what is possible reads no reasons.
    """

    problem: Problem
    rulings: Rulings
    is_brief: bool = False
    _fits: dict[tuple[str, str, str], _Fit] = field(default_factory=dict)

    def router(self, pipeline: Pipeline, origin: Site) -> Router:
        """Return the routes open to a workload's flows."""
        return self.rulings.router(pipeline.metadata.tenant, self.problem.network, origin)

    def of(self, pipeline: Pipeline, origin: Site, stage: Stage, labels: Labels, router: Router) -> View:
        """Return the options of one stage, and for every other site the reasons against it."""
        options: list[Option] = []
        refusals: dict[str, tuple[Refusal, ...]] = {}
        for site in self.problem.sites.values():
            reasons = self._against(pipeline, origin, stage, labels, site, router)
            against = set(islice(reasons, 1) if self.is_brief else reasons)
            if against:
                refusals[site.name] = tuple(sorted(against))
                continue
            pools, _ = self._pools(pipeline, stage, labels, site)
            rules = self._ruling(pipeline, origin, stage, labels, site).rules
            options += [Option(site.name, pool, rules) for pool in (pools or (None,))]
        return tuple(sorted(options, key=lambda option: option.key)), refusals

    def _against(
        self, pipeline: Pipeline, origin: Site, stage: Stage, labels: Labels, site: Site, router: Router
    ) -> Iterator[Refusal]:
        """Yield each reason against a site, those that cost least to find first."""
        yield from _who(site, origin)
        yield from (Refusal(*why) for why in barred(pipeline, stage, site))
        yield from self._of_knowledge(stage, site)
        yield from _confined(stage, labels, site)
        policy = self.problem.policies[pipeline.metadata.tenant]
        found = safeguards.against(stage, labels.stages[stage.name], site, policy, self.problem.stores)
        yield from (Refusal(*each) for each in found)
        pools, unfit = self._pools(pipeline, stage, labels, site)
        yield from unfit if not pools else ()
        verdict = self._ruling(pipeline, origin, stage, labels, site)
        if verdict.outcome != Outcome.permit:
            yield from (Refusal(f"residency:{name}", _law(verdict)) for name in verdict.rules)
            if any(question.atom.data == UNLABELLED for question, _ in verdict.failing):
                yield Refusal(f"residency:{UNLABELLED}", "nobody says what all of the data is")
        yield from _reach(pipeline, origin, stage, labels, site, router)

    def _ruling(self, pipeline: Pipeline, origin: Site, stage: Stage, labels: Labels, site: Site) -> Verdict:
        failover = stage in pipeline.spec.fallbacks
        return self.rulings.stage(pipeline, stage, labels.stages[stage.name], site, origin, failover=failover)

    def _of_knowledge(self, stage: Stage, site: Site) -> Iterator[Refusal]:
        if stage.knowledge is not None:
            where = self.problem.stores[stage.knowledge].spec.sites
            if not matches(where, site.metadata.labels):
                yield Refusal(f"knowledge:{stage.knowledge}", f"{stage.knowledge} may live only at sites with {where}")

    def _pools(self, pipeline: Pipeline, stage: Stage, labels: Labels, site: Site) -> _Fit:
        pools, against = self._fit(pipeline, stage, site)
        if stage.state == "shared":
            partition = partition_of(pipeline, stage, labels)
            pools = tuple(_apart(pool, partition) for pool in pools)
        return pools, against

    def _fit(self, pipeline: Pipeline, stage: Stage, site: Site) -> _Fit:
        """Return the pools that could serve a stage at a site, and what is against the others."""
        key = (pipeline.name, stage.name, site.name)
        if key not in self._fits:
            stored = 0 if stage.knowledge is None else self.problem.stores[stage.knowledge].spec.size
            pools: list[Pool] = []
            against: list[Refusal] = []
            for model in (self.problem.models[name] for name in stage.models):
                if model.spec.state != "approved":
                    against.append(Refusal(f"approval:{model.name}", f"{model.name} is {model.spec.state}"))
                    continue
                for variant in model.spec.variants:
                    _try_variant(stage, model, variant, site, stored, pools, against)
            self._fits[key] = tuple(pools), tuple(sorted(set(against)))
        return self._fits[key]


def partition_of(pipeline: Pipeline, stage: Stage, labels: Labels) -> str:
    """Return what tells the pools of a stage apart: its label and tenant when it shares state, else nothing."""
    if stage.state != "shared":
        return ""
    said = f"{pipeline.metadata.tenant} {labels.stages[stage.name]!r}".encode()
    return hashlib.sha256(said).hexdigest()[:12]


def _try_variant(
    stage: Stage, model: Model, variant: Variant, site: Site, stored: int, pools: list[Pool], against: list[Refusal]
) -> None:
    name = f"{model.name}/{variant.name}"
    low = list(_too_low(stage, variant, name))
    against += low
    if not site.spec.hardware:
        against.append(Refusal("hardware:none", f"{site.name} has no hardware"))
    for group in site.spec.hardware:
        speed = speed_on(variant, group)
        short = [Refusal(f"hardware:{what}", f"{name} {why}") for what, why in shortages(variant.needs, group, stored)]
        if speed is None:
            short.append(Refusal("hardware:speed", f"{name} has no speed for {group.name}"))
        against += short
        if speed is not None and not short and not low:
            key = PoolKey(site.name, model.name, variant.name, group.name)
            cost = replica_per_hour(variant.needs, group)
            pools.append(Pool(key, speed.service, speed.throughput, cost, variant.needs, group))


def _too_low(stage: Stage, variant: Variant, name: str) -> Iterator[Refusal]:
    for metric, floor in stage.quality.items():
        has = variant.quality.get(metric)
        if not isinstance(has, (int, float)):
            yield Refusal(f"quality:{metric}", f"{name} has no {metric}; the stage asks for {floor:g}")
        elif has < floor:
            yield Refusal(f"quality:{metric}", f"{name} has {metric} {has:g}; the stage asks for {floor:g}")


def _who(site: Site, origin: Site) -> Iterator[Refusal]:
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


def _reach(
    pipeline: Pipeline, origin: Site, stage: Stage, labels: Labels, site: Site, router: Router
) -> Iterator[Refusal]:
    """Yield why the input does not reach a stage at a site, or its answer not the origin."""
    home = origin.name
    if site.name == home or "disconnected" in (origin.spec.connectivity.mode, site.spec.connectivity.mode):
        return
    ways = []
    if INPUT in stage.after:
        ways.append((home, site.name, labels.flow(INPUT, stage.name)))
    if _answers(pipeline, stage):
        ways.append((site.name, home, labels.flow(stage.name, ANSWER)))
    for a, b, label in ways:
        if router.route(a, b, label, stage.is_async) is None:
            text = f"no permitted route from {a} to {b}"
            yield from (Refusal(rule, text) for rule in router.obstacles(a, b, label, stage.is_async))


def _answers(pipeline: Pipeline, stage: Stage) -> bool:
    answers = answering(pipeline.spec)
    replaces = (s.name for s in pipeline.spec.stages if stage.name in s.fallback)
    return stage.answer and (stage.name in answers or any(name in answers for name in replaces))


def _apart(pool: Pool, partition: str) -> Pool:
    key = pool.key
    apart = PoolKey(key.site, key.model, key.variant, key.hardware, partition)
    return Pool(apart, pool.service_us, pool.throughput, pool.per_hour, pool.needs, pool.group)
