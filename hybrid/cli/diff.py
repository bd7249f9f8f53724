"""`hybrid diff`: show what differs between two plans, or what another policy would do to a plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import REFUSED, Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.explanation.review import Review
    from placement.plan import Plan
    from placement.problem import Problem

app = typer.Typer(rich_markup_mode=None)

DAY = ["%Y-%m-%d"]


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A plan.json, or a fleet.")],
    after: Annotated[Path, typer.Argument(help="Another plan.json, or a fleet as it would be.")],
    only_legal: Annotated[
        bool, typer.Option("--legality", help="Only what becomes illegal, without planning anew.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when anything becomes illegal, unplaced or degraded.")
    ] = False,
    since: Annotated[dt.datetime | None, typer.Option("--from", formats=DAY, help="First day, for two fleets.")] = None,
    until: Annotated[dt.datetime | None, typer.Option("--until", formats=DAY, help="Last day, for two fleets.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Show what moves and what it costs between two plans; given a changed fleet, also what becomes illegal."""
    from placement.plan_reading import read_plan

    if before.is_dir() and not after.is_dir():
        raise InputError(f"{after} is no fleet", advice="give PLAN PLAN, PLAN FLEET or FLEET FLEET")
    if not after.is_dir():
        if only_legal or check:
            raise InputError("two plans say nothing of the law", advice="give a fleet as the second")
        _two_plans(read_plan(before), read_plan(after), output)
        return
    made, problem = _posed(before, after, since, until)
    found = _reviewed(made, problem, only_legal=only_legal)
    emit(output, found.to_json(), lambda: _print(_lines(found, only_legal)))
    if output is Output.text and not before.is_dir():
        next_step(f"hybrid plan {after} --current {before} -o plan.json")
    if check and (found.illegal or found.worse):
        raise typer.Exit(REFUSED)


def _two_plans(before: Plan, after: Plan, output: Output) -> None:
    from placement.explanation.difference import difference

    found = difference(before, after)
    emit(output, found.to_json(), lambda: _print(found.lines() if found else ["nothing that runs differs"]))


def _posed(before: Path, after: Path, since: dt.datetime | None, until: dt.datetime | None) -> tuple[Plan, Problem]:
    """Return the plan as it is, made now where a fleet was given, and the other fleet over the same days."""
    from hybrid.cli.plan import problem_at
    from placement.engine import plan as decide
    from placement.plan_reading import read_plan
    from placement.problem import read_problem

    made = decide(problem_at(before, since, until), is_explained=False) if before.is_dir() else read_plan(before)
    return made, read_problem(after, made.since, made.until)


def _reviewed(made: Plan, problem: Problem, *, only_legal: bool) -> Review:
    """Return what the fleet does to the plan; nothing is planned where no input differs."""
    from placement.engine import plan as decide
    from placement.explanation.review import review
    from placement.instance import instance_of

    instance = instance_of(problem)
    if only_legal:
        return review(made, None, instance)
    is_same = {name: digest for name, digest in made.inputs.items() if name != "checker"} == dict(problem.digests)
    return review(made, made if is_same else decide(problem, current=made, is_explained=False), instance)


def _lines(found: Review, only_legal: bool) -> Iterable[str]:
    if only_legal and not found.illegal:
        return ["everything that runs stays permitted"]
    return found.lines()


def _print(lines: Iterable[str]) -> None:
    console = out()
    for line in lines:
        console.print(line, markup=False)
