"""`hybrid explain`: say why a workload is where it is, or why a stage is not elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.explanation import StageView, WhyNot
    from placement.instance import Instance
    from placement.plan import Plan

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
    fleet: Fleet = None,
    output: OutputOption = Output.text,
) -> None:
    """Say why a workload is where it is; with --not, why a stage is not at a site, decision by decision."""
    from hybrid.cli.fleet_of import problem_of
    from placement.instance import instance_of
    from placement.plan import read_plan

    made = read_plan(plan)
    if what is None:
        _all(made, plan, output)
        return
    workload, _, stage = what.partition("/")
    problem = problem_of(made, plan, fleet)
    instance = instance_of(problem)
    _require(instance, workload, stage, site)
    if site is not None:
        _not_there(instance, workload, stage, site, output)
        return
    _show(made, instance, workload, stage or None, output)
    next_step(f"hybrid explain {plan} {workload}/STAGE --not SITE")


def _require(instance: Instance, workload: str, stage: str, site: str | None) -> None:
    """Raise InputError for a workload, stage or site that the fleet does not have."""
    if workload not in instance.workloads:
        raise InputError(f"no workload {workload!r}", advice=f"there are {', '.join(instance.workloads)}")
    stages = instance.workloads[workload].options
    if stage and stage not in stages:
        raise InputError(f"{workload} has no stage {stage!r}", advice=f"there are {', '.join(stages)}")
    if site is not None and not stage:
        raise InputError("--not is about one stage", advice=f"name it: {workload}/STAGE")
    if site is not None and site not in instance.problem.sites:
        raise InputError(f"no site {site!r}", advice=f"there are {', '.join(instance.problem.sites)}")


def _all(made: Plan, path: Path, output: Output) -> None:
    """Say who is not served as declared, from the plan alone."""
    from hybrid.cli.plan import lacking

    lines = list(lacking(made)) or ["every workload is placed as declared"]
    emit(output, {"lacking": lines}, lambda: _print(lines))
    first = next((w.id for w in made.workloads), next((w.id for w in made.unplaced), "WORKLOAD"))
    next_step(f"hybrid explain {path} {first}")


def _not_there(instance: Instance, workload: str, stage: str, site: str, output: Output) -> None:
    from placement.explanation import why_not

    answer = why_not(instance, workload, stage, site)
    emit(output, _answer_json(answer), lambda: _print_answer(answer))


def _answer_json(answer: WhyNot) -> dict[str, Any]:
    return {
        "workload": answer.workload, "stage": answer.stage, "site": answer.site, "answer": answer.answer,
        "rules": list(answer.rules), "decisions": list(answer.decisions),
        "costPerHour": {"there": answer.cost_there, "asPlanned": answer.cost_here},
    }  # fmt: skip


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        out().print(line, markup=False)


def _print_answer(answer: WhyNot) -> None:
    _print([f"{answer.workload}/{answer.stage} not at {answer.site}: {answer.answer}"])
    _print(f"  {rule}" for rule in answer.rules)
    for decision in answer.decisions:
        party = f" by {decision['party']}" if decision["party"] else ""
        asked = f"{decision['activity']} of {decision['data']} in {decision['place'] or 'an unknown place'}{party}"
        _print([f"  {decision['verdict']}: {asked} ({', '.join(decision['rules'])})"])


def _show(made: Plan, instance: Instance, workload: str, stage: str | None, output: Output) -> None:
    from placement.explanation import views

    seen = views(instance, made, workload, stage)
    emit(
        output,
        {"workload": workload, "stages": [_view_json(view) for view in seen]},
        lambda: _print_views(made, workload, seen),
    )


def _view_json(view: StageView) -> dict[str, Any]:
    sites = [
        {"site": s.site, "standing": s.standing, "refusals": [{"rule": r.rule, "text": r.text} for r in s.refusals]}
        for s in view.sites
    ]
    return {"stage": view.stage, "sites": sites}


def _print_views(made: Plan, workload: str, seen: list[StageView]) -> None:
    _print(_headline(made, workload))
    for view in seen:
        _print([f"{view.stage}:"])
        for at in view.sites:
            rules = ", ".join(dict.fromkeys(refusal.rule for refusal in at.refusals))
            _print([f"  {at.standing:<9}{at.site}{f': {rules}' if rules else ''}"])


def _headline(made: Plan, workload: str) -> Iterator[str]:
    from hybrid.cli.plan import lacking, places

    planned = made.workload(workload)
    if planned is not None:
        yield f"{workload} is {planned.status}: {places(planned)}"
    yield from (line for line in lacking(made) if f" {workload} " in line)
