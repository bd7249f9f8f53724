"""A plan as one HTML page: the picture, who is not served and why, where everything runs, and what it costs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from hybrid.picture import zones
from hybrid.picture.page import stylesheet
from hybrid.picture.plan_view import STATUSES, View, view
from placement.plan import Plan, StagePlan, WorkloadPlan
from placement.problem import Problem

HOURS_PER_MONTH = 730
FOLD_AFTER = 40
MOST_ROWS = 2000
"""Rows of one table; a page with more helps nobody, and plan.json has them all."""

KINDS = (("", "solid: runs there"), ("thin", "thin: only if something fails"))


def render(plan: Plan, problem: Problem) -> str:
    """Return the page of a plan."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("hybrid.picture"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    shown = view(plan, problem)
    return environment.get_template("plan.html.j2").render(
        plan=plan, picture=Markup(_drawn(shown)), style=Markup(stylesheet()), collapsed=shown.collapsed,
        crowded=len(shown.lines) > zones.CROWDED,
        counts=_counts(plan), month=plan.cost.per_hour * HOURS_PER_MONTH, proven=_proven(plan), fold=FOLD_AFTER,
        lacking=list(_lacking(plan))[:MOST_ROWS], workloads=plan.workloads[:MOST_ROWS], path=path,
        pipelines=list(_pipelines(plan)), sites=list(_pools(plan)), most=MOST_ROWS,
    )  # fmt: skip


def _drawn(shown: View) -> str:
    crossing = sum(not line.spare for line in shown.lines)
    said = (
        f"{len(shown.nodes)} boxes in their zones, {crossing} lines of flows that cross between them. The tables below "
        "say the same in words."
    )
    return zones.draw(shown.nodes, shown.lines, "Where everything runs", said) + zones.legend(shown.lines, KINDS)


def _counts(plan: Plan) -> dict[str, int]:
    found = Counter(str(workload.status) for workload in plan.workloads)
    return {**{status: found[status] for status in STATUSES}, "unplaced": len(plan.unplaced)}


def _proven(plan: Plan) -> str:
    if plan.cost.gap == 0 and plan.cost.gap_over == "all":
        return "proven optimal"
    if plan.cost.gap is None:
        return "no bound"
    over = "all plans" if plan.cost.gap_over == "all" else "plans that serve the same workloads"
    return f"at most {100 * plan.cost.gap:.2f} % above the best of {over}"


def _lacking(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield who is not served as declared, the unplaced first."""
    for unplaced in plan.unplaced:
        yield {"id": unplaced.id, "status": "unplaced", "kind": unplaced.kind, "causes": unplaced.causes,
               "complete": unplaced.causes_complete, "repairs": unplaced.repairs}  # fmt: skip
    for workload in plan.workloads:
        if workload.status == "degraded":
            yield {"id": workload.id, "status": "degraded", "kind": workload.kind, "causes": workload.causes,
                   "complete": workload.causes_complete, "repairs": workload.repairs}  # fmt: skip


def _pipelines(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield each pipeline with its workloads by status, its cost, and the sites that its stages use most."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    costs: dict[str, float] = defaultdict(float)
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for workload in plan.workloads:
        counts[workload.pipeline][workload.status] += 1
        costs[workload.pipeline] += workload.cost_per_hour
        for stage in (stage for assignment in workload.assignments for stage in assignment.stages):
            used[workload.pipeline]["its own site" if stage.site == workload.origin else stage.site] += 1
    for unplaced in plan.unplaced:
        counts[unplaced.id.partition("@")[0]]["unplaced"] += 1
    for name in sorted(counts):
        yield {"name": name, "counts": counts[name], "cost": costs[name], "used": used[name].most_common(4)}


def _pools(plan: Plan) -> Iterator[tuple[str, list[Any]]]:
    """Yield each site with its pools, those with the most replicas first."""
    by_site: dict[str, list[Any]] = defaultdict(list)
    for pool in plan.pools:
        by_site[pool.site].append(pool)
    ranked = sorted(by_site.items(), key=lambda entry: (-sum(pool.replicas for pool in entry[1]), entry[0]))
    yield from ranked[:MOST_ROWS]


def path(workload: WorkloadPlan) -> list[tuple[str, list[StagePlan]]]:
    """Return a workload's stages by site, in their order, neighbours on one site together."""
    found: list[tuple[str, list[StagePlan]]] = []
    for stage in workload.assignments[0].stages:
        if found and found[-1][0] == stage.site:
            found[-1][1].append(stage)
        else:
            found.append((stage.site, [stage]))
    return found
