"""Why a stage is where it is, and why not elsewhere: from the same filters that placed it, and from the oracle.

Costs are differences of the whole plan per hour with everybody else where they are; the workload's own other stages
may move along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from placement.candidates import Refusal
from placement.cost import egress_per_hour, money
from placement.explanation.causes import causes_on, families_against
from placement.explanation.change import without
from placement.explanation.court import Bench, Court, UndecidedError
from placement.explanation.families import UNTOUCHED
from placement.explanation.ledger import EMPTY
from placement.explanation.legal_relaxations import LEGAL
from placement.explanation.repairs import numbered
from placement.instance import Workload
from placement.pipeline import Stage
from placement.solution import Choice, routed
from sites.decisions import decision_json

CHOSEN, POSSIBLE, REFUSED = "chosen", "possible", "refused"
MOST_PRICED = 24
"""Possible sites of one stage that are priced; in a fleet of thousands the first by name must do."""

MOST_SETS = 60
"""Sets of families that are tried where no rule refuses a site and yet a stage cannot be there."""


@dataclass(frozen=True, slots=True)
class SiteView:
    """What one site is to one stage: chosen, possible (but dearer or full), or refused for these reasons.

    Attributes:
        dearer: cost per hour of the plan with the stage there, less what it costs now; None where nobody asked, or it
            cannot be there beside the others.
        fits: whether it can be there beside the others; None where nobody asked, or nobody knows.
    """

    site: str
    standing: str
    refusals: tuple[Refusal, ...]
    dearer: float | None = None
    fits: bool | None = None


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage seen from every site, by name."""

    stage: str
    sites: tuple[SiteView, ...]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a stage is not at a site.

    Attributes:
        answer: in a sentence.
        rules: what refuses it; empty where only cost, latency or room speak against it.
        decisions: the failing decisions of the law, as `explain --output json` prints them.
        causes: where no rule refuses it and it still cannot be there: minimal sets of families, with numbers.
        cost_there: of this workload per hour with the stage there, beside the others; None where it cannot be.
        cost_here: of this workload per hour as it is.
        moves: the other stages that would move along, as `stage site`.
    """

    workload: str
    stage: str
    site: str
    answer: str
    rules: tuple[str, ...]
    decisions: tuple[dict[str, Any], ...] = ()
    causes: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[tuple[str, ...], ...] = ()
    cost_there: float | None = None
    cost_here: float | None = None
    moves: tuple[str, ...] = ()


def views(court: Court, name: str, stage: str | None = None) -> list[StageView]:
    """Return how every site stands to the stages of a workload, or to one of them, then with prices."""
    workload = court.instance.workloads[name]
    names = [s.name for s in _stages(workload) if stage in (None, s.name)]
    return [StageView(each, tuple(_sites(court, workload, each, is_priced=stage is not None))) for each in names]


def _stages(workload: Workload) -> tuple[Stage, ...]:
    return (*workload.pipeline.spec.stages, *workload.pipeline.spec.fallbacks)


def _sites(court: Court, workload: Workload, stage: str, *, is_priced: bool) -> Iterator[SiteView]:
    choice, priced = court.choices.get(workload.id), 0
    chosen = {part.options[stage].site for part in choice.parts if stage in part.options} if choice else set()
    for site in court.instance.problem.sites:
        refusals = workload.refusals[stage].get(site)
        standing = CHOSEN if site in chosen else POSSIBLE if refusals is None else REFUSED
        dearer, fits = None, None
        if is_priced and standing == POSSIBLE and priced < MOST_PRICED:
            priced += 1
            dearer, fits = _dearer(held(court, workload.id, stage, site))
        yield SiteView(site, standing, refusals or (), dearer, fits)


def held(court: Court, name: str, stage: str, site: str) -> Bench:
    """Return the bench of a workload one of whose stages must be at a site."""
    return replace(court.bench(name, is_alone=False), held=(stage, site))


def _dearer(bench: Bench) -> tuple[float | None, bool | None]:
    try:
        way = bench.best()
    except UndecidedError:
        return None, None
    return (None, False) if way is None else (money(way.per_hour - bench.now_per_hour), True)


def why_not(court: Court, name: str, stage: str, site: str) -> WhyNot:
    """Return why a stage is not at a site: the rules that refuse it, what it would need, or what it would cost."""
    found = court.instance.workloads[name]
    refusals = found.refusals[stage].get(site)
    if refusals is not None:
        rules = tuple(sorted({refusal.rule for refusal in refusals}))
        answer = "; ".join(dict.fromkeys(refusal.text for refusal in refusals))
        decisions = tuple(_decisions(court, found, stage, site)) if any(r.startswith(LEGAL) for r in rules) else ()
        return WhyNot(name, stage, site, answer, rules, decisions)
    try:
        return _priced(court, held(court, name, stage, site), stage, site)
    except UndecidedError as error:
        return WhyNot(name, stage, site, f"it may run there; what that costs is not known: {error}", ())


def _decisions(court: Court, workload: Workload, stage: str, site: str) -> Iterator[dict[str, Any]]:
    by_name = {s.name: s for s in _stages(workload)}
    failover = by_name[stage] in workload.pipeline.spec.fallbacks
    verdict = court.instance.rulings.stage(
        workload.pipeline, by_name[stage], workload.labels.stages[stage], court.instance.problem.sites[site],
        workload.origin, failover=failover,
    )  # fmt: skip
    for question, failing in verdict.failing:
        yield decision_json(question, failing)


def _priced(court: Court, bench: Bench, stage: str, site: str) -> WhyNot:
    """Return what the plan would cost with the stage there, or what stands against it though no rule does."""
    workload, now = bench.workload, court.choices.get(bench.workload.id)
    way = bench.best()
    if way is None:
        return _impossible(bench, stage, site)
    if now is not None and any(part.options[stage].site == site for part in now.parts if stage in part.options):
        return WhyNot(workload.id, stage, site, "it is there", ())
    here, there = bench.now_per_hour, way.per_hour
    currency = court.instance.problem.currency
    more = f"{float(there - here):+.6g} {currency}/h with everybody else where they are"
    moves = () if now is None else tuple(_moves(now, way.choice, stage))
    answer = f"it may run there: {more}"
    if now is not None:
        then, before = _split(workload, way.choice, there), _split(workload, now, here)
        answer += f" (replicas {float(then[0] - before[0]):+.6g}, traffic {float(then[1] - before[1]):+.6g})"
        if way.choice.graph.replaced and not now.graph.replaced:
            answer += ", and it would be degraded"
    if moves:
        answer += f"; {', '.join(moves)} would move along"
    return WhyNot(workload.id, stage, site, answer, (), cost_there=money(there), cost_here=money(here), moves=moves)


def _split(workload: Workload, choice: Choice, cost: Fraction) -> tuple[Fraction, Fraction]:
    """Return what of a workload's cost is replicas, and what is traffic."""
    traffic = sum(
        (
            egress_per_hour(workload.rate * edge.share * part.fraction, edge.bytes, route.price)
            for part in choice.parts
            for edge, route in routed(workload, part)
        ),
        Fraction(0),
    )
    return cost - traffic, traffic


def _moves(now: Choice, then: Choice, stage: str) -> Iterator[str]:
    for name, option in then.options.items():
        if name != stage and name in now.options and now.options[name].key != option.key:
            yield f"{name} to {option.site}"


def _impossible(bench: Bench, stage: str, site: str) -> WhyNot:
    """Return what would have to be otherwise for the stage to be there, alone and then beside the others."""
    alone = replace(bench, room=EMPTY, is_alone=True)
    is_crowded = alone.is_placed()
    setting = bench if is_crowded else alone
    # One family is mostly enough, and asked in no time; only where none is are sets of them looked for.
    single = [(family,) for family in _plain(setting) if setting.is_placed(without([family]))]
    causes = tuple(single) or causes_on(setting, MOST_SETS).causes
    numbers = tuple(numbered(setting, cause).numbers for cause in causes)
    told = [w for c, w in zip(causes, numbers, strict=True) if not any(f.partition(":")[0] in UNTOUCHED for f in c)]
    needs = " or ".join(" with ".join(words) for words in told) or "what no number tells"
    why = "the others leave no room for it there" if is_crowded else "no rule refuses it there, and yet it cannot be"
    return WhyNot(bench.workload.id, stage, site, f"{why}; it would take {needs}", (), causes=causes, numbers=numbers)


def _plain(bench: Bench) -> list[str]:
    """Return the families in front of all others that have levers."""
    return [f for f in families_against(bench, depth=1) if f.partition(":")[0] not in UNTOUCHED]
