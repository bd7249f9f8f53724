"""`hybrid plan`: decide where every stage runs, print the table, write the plan."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import REFUSED, Output, OutputOption, emit, err, next_step, out, table
from hybrid.cli.watching import watching
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.plan import AssignmentPlan, LatencyPlan, Plan, WorkloadPlan
    from placement.problem import Problem

app = typer.Typer(rich_markup_mode=None)

MOST_ROWS = 200
"""Workloads beyond which each pipeline has one row instead of each workload."""

DAY = ["%Y-%m-%d"]
Since = Annotated[dt.datetime | None, typer.Option("--from", formats=DAY, help="First day; today when not given.")]
Until = Annotated[dt.datetime | None, typer.Option("--until", formats=DAY, help="Last day; by default 90 days on.")]


@app.command()
def plan(
    fleet: Annotated[Path, typer.Argument(help="Directory of manifests.")],
    to: Annotated[Path | None, typer.Option("-o", "--out", help="Write the plan to this file.")] = None,
    current: Annotated[Path | None, typer.Option(help="The plan that runs now: move as little as possible.")] = None,
    check_current: Annotated[
        bool, typer.Option("--check-current", help="Exit 1 when anything would change against --current.")
    ] = False,
    rebalance: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, help="Move more than is forced when all moves save over P % of the cost."),
    ] = None,
    since: Since = None,
    until: Until = None,
    is_whole: Annotated[bool, typer.Option("--all", help="Print a row for each workload, however many.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Decide where every stage of every workload runs: residency always, then service, then least cost.

    Ctrl-C ends the search and keeps the best plan so far; a second one ends the command.
    """
    from placement.engine import plan as decide
    from placement.plan_reading import read_plan

    before = None if current is None else read_plan(current)
    for option, given in (("--check-current", check_current), ("--rebalance", rebalance is not None)):
        if given and before is None:
            raise InputError(f"{option} has nothing to compare with", advice="give --current PLAN")
    problem = problem_at(fleet, since, until)
    with watching() as watch:
        made = decide(problem, current=before, rebalance=rebalance, watch=watch)
    if watch.is_stopped:
        err().print(f"stopped: {_cut_short(made)}", style="yellow", markup=False)
    if to is not None:
        write(to, made.chunks())
    emit(output, made.to_json() if output is Output.json else None, lambda: show(made, is_whole=is_whole))
    if before is not None and check_current:
        _refuse_changes(before, made)
    if output is Output.text:
        next_step(_next(made, fleet, to))
    if made.unplaced:
        raise typer.Exit(REFUSED)


def _cut_short(made: Plan) -> str:
    """Return what somebody who stopped a plan gets instead of all."""
    if not _is_proven(made):
        return "this is the best plan so far, and not the best that could be found"
    return "the plan is whole, and not every cause of what is lacking was looked for"


def _is_proven(made: Plan) -> bool:
    return made.cost.gap == 0 and made.cost.gap_over == "all"


def problem_at(fleet: Path, since: dt.datetime | None, until: dt.datetime | None) -> Problem:
    """Read a fleet as a problem from `since` (today, UTC: the one reading of a clock) to `until`."""
    from placement.horizon import cut
    from placement.problem import read_problem

    first = dt.datetime.now(dt.UTC).date() if since is None else since.date()
    if until is not None and until.date() < first:
        raise InputError(f"--until {until.date()} lies before {first}", advice="give days in their order")
    problem = read_problem(fleet, first, None if until is None else until.date())
    return cut(problem) if until is None else problem


def write(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write beside the file and rename: nobody ever reads half a plan. A link is followed, a device left alone."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is there and no regular file", advice="give -o a file")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def show(made: Plan, *, is_whole: bool) -> None:
    """Print a plan for people: the table, who is not served as declared and why, what it costs.

    Args:
        is_whole: give each workload a row; otherwise each pipeline has one when workloads are many.
    """
    from hybrid.cli.reasons import lacking

    out().print(f"plan from {made.since} to {made.until}", markup=False)
    names, money = _names(made), f"{made.cost.currency}/h"
    pipelines = sorted({name.partition("@")[0] for name in names})
    if is_whole or len(names) <= MOST_ROWS:
        for pipeline in pipelines:
            table(pipeline, ("origin", "status", "where", "latency ms", money), _rows(made, pipeline))
    else:
        columns = ("pipeline", "placed", "degraded", "unplaced", "mostly at", "slowest ms", money)
        table(f"{len(names)} workloads (each of them: --all)", columns, _sums(made, pipelines))
    for line in (*lacking(made), *_costs(made)):
        out().print(line, markup=False)


def _names(made: Plan) -> list[str]:
    return [w.id for w in made.workloads] + [w.id for w in made.unplaced]


def _rows(made: Plan, pipeline: str) -> Iterator[tuple[str, ...]]:
    for workload in made.workloads:
        if workload.pipeline == pipeline:
            cost = f"{workload.cost_per_hour:.4f}"
            yield workload.origin, workload.status, places(workload), _latency(workload.latency_ms), cost
    for unplaced in made.unplaced:
        name, _, origin = unplaced.id.partition("@")
        if name == pipeline:
            yield origin, "UNPLACED", "nowhere", "", ""


def _sums(made: Plan, pipelines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each pipeline: how many are served how, where most of their stages are, and what they cost."""
    served = {pipeline: [w for w in made.workloads if w.pipeline == pipeline] for pipeline in pipelines}
    out_of = Counter(lacking.id.partition("@")[0] for lacking in made.unplaced)
    for pipeline, works in served.items():
        stages = [
            "their own sites" if stage.site == work.origin else stage.site
            for work in works for part in work.assignments for stage in part.stages
        ]  # fmt: skip
        (site, many), *_ = Counter(stages).most_common(1) or [("nowhere", 0)]
        mostly = f"{site} {100 * many / len(stages):.0f} %" if stages else site
        slowest = max((work.latency_ms for work in works), key=lambda latency: latency.modelled, default=None)
        placed = sum(work.status == "placed" for work in works)
        yield (
            pipeline, f"{placed}", f"{len(works) - placed}", f"{out_of[pipeline]}", mostly,
            "" if slowest is None else _latency(slowest), f"{sum(work.cost_per_hour for work in works):.4f}",
        )  # fmt: skip


def _latency(latency: LatencyPlan) -> str:
    """Return the modelled latency and its objective; a workload whose stages are all async has neither."""
    if latency.limit is None:
        return f"{latency.modelled:.0f}" if latency.modelled else "async"
    return f"{latency.modelled:.0f} of {latency.limit:.0f}"


def places(workload: WorkloadPlan) -> str:
    """Return where a workload's stages are: `triage, recall here · draft dc-paris`; of one that is split, each part."""
    found = [_places(assignment, workload.origin) for assignment in workload.assignments]
    if len(found) == 1:
        return found[0]
    return ", ".join(f"{100 * a.fraction:g} %: {there}" for a, there in zip(workload.assignments, found, strict=True))


def _places(assignment: AssignmentPlan, origin: str) -> str:
    """Return where the stages of one assignment are, neighbours on one site together."""
    parts: list[tuple[list[str], str]] = []
    for stage in assignment.stages:
        if parts and parts[-1][1] == stage.site:
            parts[-1][0].append(stage.stage)
        else:
            parts.append(([stage.stage], stage.site))
    return " · ".join(f"{', '.join(names)} {'here' if site == origin else site}" for names, site in parts)


def _costs(made: Plan) -> Iterator[str]:
    cost = made.cost
    if _is_proven(made):
        proven = "proven optimal"
    else:
        over = "all plans" if cost.gap_over == "all" else "the same set"
        proven = f"gap {'unknown' if cost.gap is None else f'{100 * cost.gap:.2f} %'} over {over}"
    yield (
        f"cost      {cost.per_hour:.4f} {cost.currency}/h (egress {cost.egress_per_hour:.4f}, whole nodes "
        f"{cost.billed_per_hour:.4f}), bound {cost.lower_bound_per_hour:.4f}: {proven}"
    )


def _refuse_changes(before: Plan, made: Plan) -> None:
    from placement.explanation.difference import difference

    changes = difference(before, made)
    if changes:
        for line in changes.lines():
            out().print(line, markup=False)
        raise typer.Exit(REFUSED)


def _next(made: Plan, fleet: Path, to: Path | None) -> str:
    if to is None:
        return f"hybrid plan {fleet} -o plan.json"
    lacking = [w.id for w in made.unplaced] + [w.id for w in made.workloads if w.status == "degraded"]
    return f"hybrid explain {to} {lacking[0]} --fleet {fleet}" if lacking else f"hybrid check {to} {fleet}"
