"""What each rule costs: the plan with it, beside the best plan without it, over the same service, per month.

A price is information. Nothing here proposes that a rule be relaxed; whoever answers for a rule may want to know what
it costs and whom it keeps from being served. A waiver, and a person's word that no pack is needed, have a price the
other way round: what the plan would cost without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from placement import changes
from placement.bench import Change, Court, UndecidedError, without
from placement.cost import money
from placement.exact import solve
from placement.graph import ANSWER, INPUT
from placement.instance import Instance, Workload, instance_of
from placement.legal_relaxations import LEGAL
from placement.problem import Problem
from placement.relaxations import RELAXATIONS
from placement.rulings import Rulings
from placement.solution import Solution, tally
from sites.country import country_of
from sites.policy import Policy
from sites.quantity import HOURS_PER_MONTH
from sites.verdict import Outcome

MOST_CONNECTED = 40
"""Sites with links up to which every plan without a rule is solved; beyond, prices are estimates."""

RESOURCES = ("capacity", "hardware", "link")
"""Kinds that are no rules: there is not enough of something."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One rule, waiver or word.

    Attributes:
        rule: the family, or `waiver:RULE`, `noPack:COUNTRY`.
        kind: organisation, law, pipeline, site, model, data, waiver or word.
        per_month: what it costs for the same service; of a waiver or word, what it saves.
        unplaced: workloads that it alone keeps from being served; of a waiver, that it alone lets be served.
        degraded: workloads that it alone keeps degraded; of a waiver, that it alone lets be served as declared.
        is_estimate: whether each workload was asked alone, with the others where they are.
    """

    rule: str
    kind: str
    per_month: float
    unplaced: tuple[str, ...]
    degraded: tuple[str, ...]
    is_estimate: bool = False

    @property
    def binds(self) -> bool:
        """Return whether anything would be otherwise without it."""
        return bool(self.per_month or self.unplaced or self.degraded)


def prices(problem: Problem, tick: Callable[[int, int], None] = lambda done, of: None) -> list[Priced]:
    """Return the price of every rule that refuses anything, and of every waiver and word, the dearest first.

    Args:
        tick: is told how many of how many are done.
    """
    instance = instance_of(problem)
    now = solve(instance)
    if now is None:
        return []
    ask = _Question(instance, now, is_small(problem))
    asked = [*_rules(instance), *_words(problem)]
    found = []
    for index, (rule, kind, change, is_word) in enumerate(asked):
        tick(index, len(asked))
        found.append(ask.price(rule, kind, change, is_word=is_word))
    return sorted(found, key=lambda one: (-one.per_month, -len(one.unplaced), -len(one.degraded), one.rule))


def is_small(problem: Problem) -> bool:
    """Return whether plans of this problem are solved again and again in seconds."""
    connected = (site for site in problem.sites.values() if site.spec.connectivity.mode != "disconnected")
    return sum(1 for _ in connected) <= MOST_CONNECTED


Asked = tuple[str, str, Change, bool]
"""(rule, kind, the change that takes it away, whether it permits rather than forbids)."""


def _rules(instance: Instance) -> Iterator[Asked]:
    """Yield every family that refuses a site or a hop to anybody, and those that bind whole workloads."""
    named = {
        r.rule for w in instance.workloads.values() for sites in w.refusals.values() for s in sites.values() for r in s
    }
    named |= {f"{LEGAL}{rule}" for rule in _against_hops(instance)}
    own = {policy.name for policy in instance.problem.policies.values()}
    for family in sorted(named):
        kind, _, what = family.partition(":")
        if kind in RELAXATIONS and kind not in RESOURCES:
            yield family, _kind(kind, what.partition("/")[0] in own), without([family]), False
    for pipeline in instance.problem.pipelines.values():
        spec, name = pipeline.spec, pipeline.name
        if spec.latency is not None:
            yield f"latency of {name}", "pipeline", Change("", changes.latency(name, None)), False
        if spec.survive:
            yield f"survive of {name}", "pipeline", Change("", changes.without_survival(name)), False
    for family in sorted({rule for pipeline in instance.problem.pipelines.values() for rule in _bound(pipeline.spec)}):
        yield family, "pipeline", without([family]), False


def _bound(spec: object) -> Iterator[str]:
    yield from (f"apart:{rule.by}" for rule in getattr(spec, "apart", ()))
    yield from (f"spread:{rule.stage}" for rule in getattr(spec, "spread", ()))


def _kind(kind: str, is_own: bool) -> str:
    if kind == "residency":
        return "organisation" if is_own else "law"
    return {"approval": "model", "quality": "pipeline", "pin": "pipeline", "serves": "site", "taint": "site"}.get(
        kind, "data"
    )


def _against_hops(instance: Instance) -> set[str]:
    """Return the rules of law that close a wire to some flow; one workload per pipeline and country speaks for all."""
    seen, found = set[tuple[str, str | None]](), set[str]()
    for workload in instance.workloads.values():
        place = workload.origin.spec.location
        like = (workload.pipeline.name, None if place is None else country_of(place))
        if like not in seen:
            seen.add(like)
            found |= _closed(instance, workload)
    return found


def _closed(instance: Instance, workload: Workload) -> set[str]:
    labels = {workload.labels.flow(edge.source, edge.target) for graph in workload.graphs for edge in graph.edges}
    tenant, found = workload.pipeline.metadata.tenant, set[str]()
    for (a, b), link in instance.problem.network.wires.items():
        if a < b:
            for label in labels:
                verdict = instance.rulings.hop(tenant, label, link, a, b, workload.origin)
                found.update(verdict.rules if verdict.outcome != Outcome.permit else ())
    return found


def _words(problem: Problem) -> Iterator[Asked]:
    """Yield every waiver and every word that no pack is needed, with the change that takes it back."""
    for tenant, policy in problem.policies.items():
        for waiver in policy.spec.waivers:
            left = tuple(other for other in policy.spec.waivers if other is not waiver)
            yield f"waiver:{waiver.rule}", "waiver", _policy(tenant, policy, waivers=left), True
        for word in policy.spec.no_pack:
            rest = tuple(other for other in policy.spec.no_pack if other is not word)
            about = word.country if word.data is None else f"{word.country} for {word.data}"
            yield f"noPack:{about}", "word", _policy(tenant, policy, no_pack=rest), True


def _policy(tenant: str, policy: Policy, **fields: object) -> Change:
    new = policy.model_copy(update={"spec": policy.spec.model_copy(update=fields)})
    legal = frozenset((f"{LEGAL}{sorted(fields)}{tenant}{id(new)}",))
    return Change("", lambda problem: replace(problem, policies={**problem.policies, tenant: new}), None, legal)


@dataclass(slots=True)
class _Question:
    """The plan as it is best today, and what it is compared with."""

    instance: Instance
    now: Solution
    is_exact: bool

    def price(self, rule: str, kind: str, change: Change, *, is_word: bool) -> Priced:
        """Return the price of what a change takes away."""
        then = self._instance(change)
        if _same(self.instance.workloads, then.workloads):
            return Priced(rule, kind, 0.0, (), ())
        if not self.is_exact:
            return self._estimated(rule, kind, change)
        best = solve(then)
        if best is None:
            return Priced(rule, kind, 0.0, (), ())
        fewer, more = (best, self.now) if is_word else (self.now, best)
        without_it, with_it = self._cost(then, fewer), self._cost(self.instance, fewer)
        cost = without_it - with_it if is_word else with_it - without_it
        return Priced(rule, kind, money(cost * HOURS_PER_MONTH), *_kept_from(fewer, more))

    def _instance(self, change: Change) -> Instance:
        problem = change.of(self.instance.problem)
        return instance_of(problem, rulings=Rulings(problem) if change.legal else self.instance.rulings)

    def _cost(self, instance: Instance, service: Solution) -> Fraction:
        """Return the least cost per hour of an instance that serves what `service` serves, and as it does."""
        kept = {
            name: _as_well(workload, is_degraded=service.choices[name].is_degraded)
            for name, workload in instance.workloads.items()
            if name in service.choices
        }
        found = solve(replace(instance, workloads=kept), must=set(kept))
        return Fraction(0) if found is None else tally(instance, found.choices, found.failures).per_hour

    def _estimated(self, rule: str, kind: str, change: Change) -> Priced:
        """Ask each workload alone, with the others where they are: a fleet of this size is not solved again."""
        court = Court(self.instance, self.now.choices, self.now.failures)
        saved, unplaced, degraded = Fraction(0), list[str](), list[str]()
        for name in self.instance.workloads:
            bench = court.bench(name, is_alone=False)
            choice = self.now.choices.get(name)
            try:
                way = bench.best(change)
            except UndecidedError:
                continue
            if choice is None or choice.is_degraded:
                (unplaced if choice is None else degraded).extend([name] if way is not None else [])
            elif way is not None:
                saved += max(Fraction(0), -bench.dearer(change, way))
        return Priced(rule, kind, money(saved * HOURS_PER_MONTH), tuple(unplaced), tuple(degraded), is_estimate=True)


def _as_well(workload: Workload, *, is_degraded: bool) -> Workload:
    return replace(workload, graphs=tuple(graph for graph in workload.graphs if bool(graph.replaced) == is_degraded))


def _kept_from(fewer: Solution, more: Solution) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who is unplaced, and who is degraded, in one solution and not in the other."""
    unplaced = tuple(name for name in more.choices if name not in fewer.choices)
    well = {name for name, choice in more.choices.items() if not choice.is_degraded}
    return unplaced, tuple(name for name, choice in fewer.choices.items() if choice.is_degraded and name in well)


def _same(before: Mapping[str, Workload], after: Mapping[str, Workload]) -> bool:
    """Return whether nothing that a planner sees differs: options, objectives, and routes between options."""
    return all(_seen(before[name]) == _seen(workload) for name, workload in after.items())


def _seen(workload: Workload) -> tuple[object, ...]:
    spec = workload.pipeline.spec
    places = {name: [option.key for option in options] for name, options in workload.options.items()}
    routes = {
        (edge.source, edge.target, a, b): None if (route := workload.route(edge, a, b)) is None else route.sites
        for graph in workload.graphs
        for edge in graph.edges
        for a in _ends(workload, edge.source)
        for b in _ends(workload, edge.target)
    }
    return (places, routes, spec.latency, spec.survive, spec.apart, spec.spread)


def _ends(workload: Workload, end: str) -> Iterable[str]:
    home = [workload.origin.name]
    return home if end in (INPUT, ANSWER) else dict.fromkeys(option.site for option in workload.options[end])
