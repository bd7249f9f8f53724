"""`hybrid explain`: say why a workload is where it is, why a stage is not elsewhere, and what each rule costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.explanation.court import Court
    from placement.explanation.why import StageView, WhyNot
    from placement.plan import Plan
    from placement.problem import Problem

app = typer.Typer(rich_markup_mode=None)

Fleet = Annotated[Path | None, typer.Option(help="The fleet of the plan; looked for beside it when not given.")]


@app.command()
def explain(
    plan: Annotated[Path, typer.Argument(help="The plan.json.")],
    what: Annotated[
        str | None, typer.Argument(metavar="[WORKLOAD[/STAGE]]", help="Such as mail@clinic/triage.")
    ] = None,
    site: Annotated[
        str | None, typer.Option("--not", metavar="SITE", help="Why the stage is not at this site.")
    ] = None,
    prices: Annotated[
        bool, typer.Option("--prices", help="What each rule in force costs per month, and whom it blocks.")
    ] = False,
    fleet: Fleet = None,
    output: OutputOption = Output.text,
) -> None:
    """Say why a workload is where it is; with --not, why a stage is not at a site, decision by decision."""
    from hybrid.cli.fleet_of import problem_of
    from placement.plan_reading import read_plan

    made = read_plan(plan)
    if prices:
        from hybrid.cli.prices import show_prices

        if what is not None or site is not None:
            raise InputError("--prices is about the whole plan", advice=f"hybrid explain {plan} --prices")
        show_prices(problem_of(made, plan, fleet), made, output)
        next_step(f"hybrid diff {plan} FLEET_WITH_ANOTHER_POLICY")
        return
    if what is None:
        _all(made, plan, output)
        return
    workload, _, stage = what.partition("/")
    problem = problem_of(made, plan, fleet)
    _require(problem, workload, stage, site)
    if site is not None:
        _not_there(made, problem, workload, stage, site, output)
        return
    _show(made, problem, workload, stage or None, output)
    next_step(f"hybrid explain {plan} {workload}/{stage or 'STAGE'} --not SITE")


def _require(problem: Problem, workload: str, stage: str, site: str | None) -> None:
    """Raise InputError for a workload, stage or site that the fleet does not have."""
    known = {f"{p.name}@{origin.name}": p for p in problem.pipelines.values() for origin in problem.origins(p)}
    if workload not in known:
        raise InputError(f"no workload {workload!r}", advice=f"there are {_some(sorted(known))}")
    spec = known[workload].spec
    stages = [s.name for s in (*spec.stages, *spec.fallbacks)]
    if stage and stage not in stages:
        raise InputError(f"{workload} has no stage {stage!r}", advice=f"there are {', '.join(stages)}")
    if site is not None and not stage:
        raise InputError("--not is about one stage", advice=f"name it: {workload}/STAGE")
    if site is not None and site not in problem.sites:
        raise InputError(f"no site {site!r}", advice=f"there are {_some(list(problem.sites))}")


def _some(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _all(made: Plan, path: Path, output: Output) -> None:
    """Say what the plan does and who is not served as declared, from the plan alone."""
    from hybrid.cli.reasons import lacking

    lines = list(lacking(made)) or ["every workload is placed as declared"]
    emit(output, {"summary": _summary(made), "lacking": lines}, lambda: _print([*_summary_lines(made), *lines]))
    served = [*(w.id for w in made.unplaced), *(w.id for w in made.workloads if w.status == "degraded")]
    first = next(iter([*served, *(w.id for w in made.workloads)]), "WORKLOAD")
    next_step(f"hybrid explain {path} {first}")


def _summary(made: Plan) -> dict[str, Any]:
    return {
        "workloads": len(made.workloads) + len(made.unplaced),
        "placed": sum(w.status == "placed" for w in made.workloads),
        "degraded": sum(w.status == "degraded" for w in made.workloads),
        "unplaced": len(made.unplaced),
        "perHour": made.cost.per_hour,
        "perMonth": round(made.cost.per_hour * 730, 6),
        "currency": made.cost.currency,
    }


def _summary_lines(made: Plan) -> Iterator[str]:
    told = _summary(made)
    counts = ", ".join(f"{told[status]} {status}" for status in ("placed", "degraded", "unplaced"))
    yield f"{told['workloads']} workloads: {counts}"
    yield f"cost {told['perHour']:.4f} {told['currency']}/h, {told['perMonth']:.2f} a month"
    costs: dict[str, float] = {}
    for workload in made.workloads:
        costs[workload.pipeline] = costs.get(workload.pipeline, 0.0) + workload.cost_per_hour
    for name, cost in sorted(costs.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"  {name}: {cost:.4f} {told['currency']}/h"


def _not_there(made: Plan, problem: Problem, workload: str, stage: str, site: str, output: Output) -> None:
    from placement.explanation.standing import Standing
    from placement.explanation.why import why_not

    answer = why_not(Standing(problem, made).court(workload), workload, stage, site)
    emit(output, _answer_json(answer), lambda: _print(_answer(answer)))


def _answer_json(answer: WhyNot) -> dict[str, Any]:
    return {
        "workload": answer.workload, "stage": answer.stage, "site": answer.site, "answer": answer.answer,
        "rules": list(answer.rules), "decisions": list(answer.decisions),
        "causes": [list(cause) for cause in answer.causes], "numbers": [list(words) for words in answer.numbers],
        "costPerHour": {"there": answer.cost_there, "asPlanned": answer.cost_here}, "movesAlong": list(answer.moves),
    }  # fmt: skip


def _print(lines: Iterable[str]) -> None:
    console = out()
    for line in lines:
        console.print(line, markup=False)


def _answer(answer: WhyNot) -> Iterator[str]:
    yield f"{answer.workload}/{answer.stage} not at {answer.site}: {answer.answer}"
    yield from (f"  {rule}" for rule in answer.rules)
    for decision in answer.decisions:
        party = f" by {decision['party']}" if decision["party"] else ""
        asked = f"{decision['activity']} of {decision['data']} in {decision['place'] or 'an unknown place'}{party}"
        yield f"  {decision['verdict']}: {asked} ({', '.join(decision['rules'])})"


def _show(made: Plan, problem: Problem, workload: str, stage: str | None, output: Output) -> None:
    from placement.explanation.path import path_of
    from placement.explanation.standing import Standing
    from placement.explanation.why import views

    court = Standing(problem, made).court(workload)
    made = _with_reason(made, court, workload)
    seen = views(court, workload, stage)
    choice = court.choices.get(workload)
    paths = [path_of(court.instance.workloads[workload], part) for part in choice.parts] if choice else []
    data = {
        "workload": workload,
        **_reason_json(made, workload),
        "paths": [path.to_json() for path in paths],
        "stages": [_view_json(view) for view in seen],
    }

    def show() -> None:
        _print(_headline(made, workload))
        for path in paths:
            _print(path.lines())
        for view in seen:
            _print(_view(view, made.cost.currency))

    emit(output, data, show)


def _with_reason(made: Plan, court: Court, workload: str) -> Plan:
    """Return the plan with all reasons of a workload: a large plan leaves numbers and repairs to who asks."""
    from hybrid.cli.reasons import who
    from placement.explanation.repairs import explanation, with_reason

    found = next((found for _, found in who(made) if found.id == workload), None)
    if found is None or (found.causes_complete and len(found.numbers) == len(found.causes)):
        return made
    return with_reason(made, workload, explanation(court, workload, found.kind or "crowded"))


def _reason_json(made: Plan, workload: str) -> dict[str, Any]:
    from hybrid.cli.reasons import who

    for status, found in who(made):
        if found.id == workload:
            repairs = [{"change": one.change, "costPerHour": one.cost_per_hour} for one in found.repairs]
            causes, numbers = [list(one) for one in found.causes], [list(one) for one in found.numbers]
            told = {"status": status, "kind": found.kind, "causes": causes, "numbers": numbers, "repairs": repairs}
            return {**told, "causesComplete": found.causes_complete}
    return {"status": "placed"}


def _view_json(view: StageView) -> dict[str, Any]:
    sites = [
        {
            "site": s.site, "standing": s.standing, "dearerPerHour": s.dearer, "fits": s.fits,
            "refusals": [{"rule": r.rule, "text": r.text} for r in s.refusals],
        }
        for s in view.sites
    ]  # fmt: skip
    return {"stage": view.stage, "sites": sites}


def _view(view: StageView, currency: str) -> Iterator[str]:
    """Yield a stage's sites: the chosen, the possible with their prices, and the refused, alike ones together."""
    yield f"{view.stage}:"
    refused: dict[str, list[str]] = {}
    for at in view.sites:
        if at.standing == "refused":
            rules = ", ".join(dict.fromkeys(refusal.rule for refusal in at.refusals))
            refused.setdefault(rules, []).append(at.site)
            continue
        dearer = "  (no room or time for it as the others are planned)" if at.fits is False else ""
        dearer = dearer if at.dearer is None else f"  {at.dearer:+.4f} {currency}/h"
        yield f"  {at.standing:<9}{at.site}{dearer}"
    for rules, sites in refused.items():
        yield f"  refused  {_some(sites)}: {rules}"


def _headline(made: Plan, workload: str) -> Iterator[str]:
    from hybrid.cli.plan import places
    from hybrid.cli.reasons import lacking

    planned = made.workload(workload)
    if planned is not None:
        yield f"{workload} is {planned.status}: {places(planned)}"
        latency, cost = planned.latency_ms, f"{planned.cost_per_hour:.4f} {made.cost.currency}/h"
        limit = "" if latency.limit is None else f" of {latency.limit:.0f}"
        takes = f"{latency.modelled:.1f}{limit} ms" if limit or latency.modelled else "nobody waits"
        yield f"{takes}, its part of the cost {cost}"
    yield from lacking(made, {workload})
