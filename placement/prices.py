"""What each rule costs: the plan with it, beside the best plan without it, over the same service, per month.

A price is information. Nothing here proposes that a rule be relaxed; whoever answers for a rule may want to know what
it costs and whom it keeps from being served. A waiver, and a person's word that no pack is needed, have a price the
other way round: what the plan would cost without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from placement.cost import money
from placement.errors import PlacementError
from placement.exact.engine import solve
from placement.exact.reach import is_small
from placement.explanation import alterations as changes
from placement.explanation.change import Change, without
from placement.explanation.court import Bench, Court, UndecidedError
from placement.explanation.legal_relaxations import LEGAL
from placement.explanation.relaxations import RELAXATIONS
from placement.explanation.standing import choice_of, failures_of
from placement.graph import ANSWER, INPUT
from placement.instance import Instance, Workload, instance_of
from placement.plan import Plan
from placement.problem import Problem
from placement.rulings import Rulings
from placement.solution import Choice, Failure, tally
from sites.country import country_of
from sites.policy import Policy
from sites.quantity import HOURS_PER_MONTH
from sites.verdict import Outcome

MOST_OF_A_CLASS, MOST_LACKING = 3, 50
"""Workloads of one pipeline and country that are asked for an estimate: of those served, and of those that lack."""

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


def prices(
    problem: Problem, plan: Plan | None = None, tick: Callable[[int, int], None] = lambda done, of: None
) -> list[Priced]:
    """Return the price of every rule that refuses anything, and of every waiver and word, the dearest first.

    A small fleet is solved with and without each rule. In a larger one each workload is asked alone, beside the others
    as `plan` has them.

    Args:
        tick: is told how many of how many are done.
    """
    ask = _question(problem, plan)
    instance = ask.instance
    asked = [*_rules(instance), *_words(problem)]
    found = []
    for index, (rule, kind, change, is_word) in enumerate(asked):
        tick(index, len(asked))
        found.append(ask.price(rule, kind, change, is_word=is_word))
    return sorted(found, key=lambda one: (-one.per_month, -len(one.unplaced), -len(one.degraded), one.rule))


def _question(problem: Problem, plan: Plan | None) -> _Question:
    instance = instance_of(problem)
    if plan is None or is_small(problem):
        now = solve(instance)
        if now is None:
            raise PlacementError("the solver found no plan, not even an empty one; please report the fleet")
        return _Question(instance, now.choices, now.failures, is_exact=True)
    choices = {one.id: choice_of(instance.workloads[one.id], one) for one in plan.workloads}
    return _Question(instance, choices, failures_of(plan), is_exact=False)


Asked = tuple[str, str, Change, bool]
"""(rule, kind, the change that takes it away, whether it permits rather than forbids)."""


def _rules(instance: Instance) -> Iterator[Asked]:
    """Yield every family that refuses a site or a hop to anybody, and those that bind whole workloads."""
    named = {r.rule for w in _speakers(instance) for sites in w.refusals.values() for s in sites.values() for r in s}
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
    """Return the rules of law that close a wire to some flow."""
    return {rule for workload in _speakers(instance) for rule in _closed(instance, workload)}


def _classes(instance: Instance) -> dict[tuple[str, str | None], list[str]]:
    """Return the workloads by pipeline and country of origin: what one of a class is refused, mostly all are."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for name, workload in instance.workloads.items():
        place = workload.origin.spec.location
        like = (workload.pipeline.name, None if place is None else country_of(place))
        found.setdefault(like, []).append(name)
    return found


def _speakers(instance: Instance) -> list[Workload]:
    """Return all workloads of a small fleet, and one of each class in a large one."""
    if is_small(instance.problem):
        return list(instance.workloads.values())
    return [instance.workloads[names[0]] for names in _classes(instance).values()]


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
    now: Mapping[str, Choice]
    failures: tuple[Failure, ...]
    is_exact: bool

    def price(self, rule: str, kind: str, change: Change, *, is_word: bool) -> Priced:
        """Return the price of what a change takes away."""
        if not self.is_exact:
            return self._estimated(rule, kind, change) if not is_word else Priced(rule, kind, 0.0, (), (), True)
        then = self._instance(change)
        if _same(self.instance.workloads, then.workloads):
            return Priced(rule, kind, 0.0, (), ())
        best = solve(then)
        if best is None:
            return Priced(rule, kind, 0.0, (), ())
        fewer, more = (best.choices, self.now) if is_word else (self.now, best.choices)
        without_it, with_it = self._cost(then, fewer), self._cost(self.instance, fewer)
        cost = without_it - with_it if is_word else with_it - without_it
        return Priced(rule, kind, money(cost * HOURS_PER_MONTH), *_kept_from(fewer, more))

    def _instance(self, change: Change) -> Instance:
        problem = change.of(self.instance.problem)
        return instance_of(problem, rulings=Rulings(problem) if change.legal else self.instance.rulings)

    def _cost(self, instance: Instance, service: Mapping[str, Choice]) -> Fraction:
        """Return the least cost per hour of an instance that serves what `service` serves, and as it does."""
        kept = {
            name: _as_well(workload, is_degraded=service[name].is_degraded)
            for name, workload in instance.workloads.items()
            if name in service
        }
        found = solve(replace(instance, workloads=kept), must=set(kept))
        return Fraction(0) if found is None else tally(instance, found.choices, found.failures).per_hour

    def _estimated(self, rule: str, kind: str, change: Change) -> Priced:
        """Ask some workloads of each class alone, with the others where they are, and take them for the rest."""
        court = Court(self.instance, self.now, self.failures)
        saved, unplaced, degraded = Fraction(0), list[str](), list[str]()
        for names in _classes(self.instance).values():
            well = [name for name in names if name in self.now and not self.now[name].is_degraded]
            asked = well[:MOST_OF_A_CLASS]
            gains = [max(Fraction(0), -(_dearer(court.bench(n, is_alone=False), change) or Fraction(0))) for n in asked]
            saved += sum(gains, Fraction(0)) * Fraction(len(well), max(1, len(asked)))
            for name in [name for name in names if name not in well][:MOST_LACKING]:
                if _dearer(court.bench(name, is_alone=False), change) is not None:
                    (degraded if name in self.now else unplaced).append(name)
        return Priced(rule, kind, money(saved * HOURS_PER_MONTH), tuple(unplaced), tuple(degraded), is_estimate=True)


def _dearer(bench: Bench, change: Change) -> Fraction | None:
    """Return what the plan costs more with a change and the best way then; None when there is none, or nobody knows."""
    try:
        way = bench.best(change)
    except UndecidedError:
        return None
    return None if way is None else bench.dearer(change, way)


def _as_well(workload: Workload, *, is_degraded: bool) -> Workload:
    return replace(workload, graphs=tuple(graph for graph in workload.graphs if bool(graph.replaced) == is_degraded))


def _kept_from(fewer: Mapping[str, Choice], more: Mapping[str, Choice]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who is unplaced, and who is degraded, under one set of choices and not under the other."""
    unplaced = tuple(name for name in more if name not in fewer)
    well = {name for name, choice in more.items() if not choice.is_degraded}
    return unplaced, tuple(name for name, choice in fewer.items() if choice.is_degraded and name in well)


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
