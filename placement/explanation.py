"""Why a stage is where it is, and why not elsewhere: from the same filters and the same solver that placed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from placement.candidates import Refusal
from placement.cost import money
from placement.exact import solve
from placement.instance import Instance, Workload
from placement.legal_relaxations import LEGAL
from placement.pipeline import Stage
from placement.plan import Plan, WorkloadPlan
from placement.solution import Choice, tally
from sites.decisions import decision_json

CHOSEN, POSSIBLE, REFUSED = "chosen", "possible", "refused"


@dataclass(frozen=True, slots=True)
class SiteView:
    """What one site is to one stage: chosen, possible (but dearer or full), or refused for these reasons."""

    site: str
    standing: str
    refusals: tuple[Refusal, ...]


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
        cost_there: of the whole plan per hour with the stage there; None where it cannot be.
        cost_here: of the whole plan per hour as it is best.
    """

    workload: str
    stage: str
    site: str
    answer: str
    rules: tuple[str, ...]
    decisions: tuple[dict[str, Any], ...] = ()
    cost_there: float | None = None
    cost_here: float | None = None


def views(instance: Instance, plan: Plan, workload: str, stage: str | None = None) -> list[StageView]:
    """Return how every site stands to the stages of a workload, or to one of them."""
    found = instance.workloads[workload]
    planned = plan.workload(workload)
    names = [s.name for s in _stages(found) if stage in (None, s.name)]
    return [StageView(name, tuple(_sites(instance, found, planned, name))) for name in names]


def _stages(workload: Workload) -> tuple[Stage, ...]:
    return (*workload.pipeline.spec.stages, *workload.pipeline.spec.fallbacks)


def _sites(instance: Instance, workload: Workload, planned: WorkloadPlan | None, stage: str) -> Iterator[SiteView]:
    chosen = {s.site for a in planned.assignments for s in a.stages if s.stage == stage} if planned else set()
    for site in instance.problem.sites:
        refusals = workload.refusals[stage].get(site)
        standing = CHOSEN if site in chosen else POSSIBLE if refusals is None else REFUSED
        yield SiteView(site, standing, refusals or ())


def why_not(instance: Instance, workload: str, stage: str, site: str) -> WhyNot:
    """Return why a stage is not at a site: the rules that refuse it, or the cost of the plan with it there."""
    found = instance.workloads[workload]
    refusals = found.refusals[stage].get(site)
    if refusals is not None:
        rules = tuple(sorted({refusal.rule for refusal in refusals}))
        answer = "; ".join(dict.fromkeys(refusal.text for refusal in refusals))
        decisions = tuple(_decisions(instance, found, stage, site)) if any(r.startswith(LEGAL) for r in rules) else ()
        return WhyNot(workload, stage, site, answer, rules, decisions)
    return _priced(instance, found, stage, site)


def _decisions(instance: Instance, workload: Workload, stage: str, site: str) -> Iterator[dict[str, Any]]:
    by_name = {s.name: s for s in _stages(workload)}
    failover = by_name[stage] in workload.pipeline.spec.fallbacks
    verdict = instance.rulings.stage(
        workload.pipeline, by_name[stage], workload.labels.stages[stage], instance.problem.sites[site],
        workload.origin, failover=failover,
    )  # fmt: skip
    for question, failing in verdict.failing:
        yield decision_json(question, failing)


def _priced(instance: Instance, workload: Workload, stage: str, site: str) -> WhyNot:
    """Solve with the stage held there, and compare."""
    graphs = tuple(graph for graph in workload.graphs if stage in {s.name for s in graph.stages})
    there = tuple(option for option in workload.options[stage] if option.site == site)
    held = replace(workload, graphs=graphs, options={**workload.options, stage: there})
    name = workload.id
    best = solve(instance)
    forced = solve(replace(instance, workloads={**instance.workloads, name: held}), must={name})
    if forced is None or best is None:
        answer = "no plan has it there: its latency, a wire or the room on the nodes would not hold"
        return WhyNot(name, stage, site, answer, ())
    here, then = (money(tally(instance, s.choices).per_hour) for s in (best, forced))
    currency = instance.problem.currency
    answer = f"it may run there; the whole plan would cost {then:.6g} {currency}/h instead of {here:.6g}"
    if worse := _worse(best.choices, forced.choices):
        answer += f", and {worse}"
    return WhyNot(name, stage, site, answer, (), (), then, here)


def _worse(best: Mapping[str, Choice], forced: Mapping[str, Choice]) -> str:
    lost = sorted(set(best) - set(forced))
    down = sorted(n for n, c in forced.items() if c.graph.replaced and n in best and not best[n].graph.replaced)
    parts = [
        f"{', '.join(names)} would be {state}" for names, state in ((lost, "unplaced"), (down, "degraded")) if names
    ]
    return " and ".join(parts)
