"""`hybrid whatif`: plan again with something lost or changed, and show what that forces."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.explanation.review import Review
    from placement.plan import Plan
    from placement.problem import Problem

app = typer.Typer(rich_markup_mode=None)

Many = list[str] | None

MOST_TOLD = 6
"""Workloads whose reasons are looked for; in a large fleet each takes a second."""


@app.command()
def whatif(
    plan: Annotated[Path, typer.Argument(help="The plan.json that runs now.")],
    lose: Annotated[Many, typer.Option(metavar="SITE", help="A site is gone, its origins with it.")] = None,
    lose_link: Annotated[Many, typer.Option("--lose-link", metavar="A--B", help="A wire is gone.")] = None,
    price: Annotated[Many, typer.Option(metavar="SITE=FACTOR", help="A site's prices times this: 1.2 or x1.2.")] = None,
    rate: Annotated[Many, typer.Option(metavar="PIPELINE=FACTOR", help="A pipeline's requests times this.")] = None,
    nodes: Annotated[
        Many, typer.Option(metavar="SITE=+N", help="Nodes more, or fewer, in each group of a site.")
    ] = None,
    instrument: Annotated[Many, typer.Option(metavar="TYPE", help="A transfer instrument falls.")] = None,
    repeal: Annotated[Many, typer.Option(metavar="LAYER/RULE", help="A permit falls, of a pack or one's own.")] = None,
    retire: Annotated[Many, typer.Option(metavar="MODEL", help="A model is retired.")] = None,
    end_waivers: Annotated[bool, typer.Option("--end-waivers", help="Every waiver has ended.")] = False,
    fleet: Annotated[Path | None, typer.Option(help="The fleet of the plan; looked for beside it.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Plan again, moving as little as possible, with something lost or changed; nothing is written."""
    from hybrid.cli.fleet_of import problem_of
    from hybrid.cli.reasons import who
    from placement.engine import plan as decide
    from placement.explanation.review import review
    from placement.instance import instance_of
    from placement.plan_reading import read_plan

    made = read_plan(plan)
    given = {
        "lose": lose, "lose_link": lose_link, "price": price, "rate": rate, "nodes": nodes, "instrument": instrument,
        "repeal": repeal, "retire": retire,
    }  # fmt: skip
    supposed = [(kind, text) for kind, texts in given.items() for text in texts or ()]
    _once(supposed)
    if not supposed and not end_waivers:
        raise InputError("nothing is supposed", advice="give --lose SITE, --price SITE=1.2 or another; see --help")
    problem = problem_of(made, plan, fleet)
    for kind, text in supposed:
        problem = _supposed(problem, kind, text)
    if end_waivers:
        from placement.explanation.supposition import without_waivers

        problem = without_waivers(problem)
    then = decide(problem, current=made, is_explained=False)
    found = review(made, then, instance_of(problem))
    told = _explained(problem, then, found)
    data = {
        **found.to_json(),
        "unplaced": [w.id for w in then.unplaced],
        "because": {found.id: [list(cause) for cause in found.causes] for _, found in who(told) if found.causes},
    }
    emit(output, data, lambda: _print(_lines(found, told)))
    next_step(f"hybrid explain {plan} WORKLOAD/STAGE --not SITE")


def _once(supposed: list[tuple[str, str]]) -> None:
    """Raise InputError for what is supposed twice: it would be lost from where it is gone already, or count double."""
    seen: set[tuple[str, str]] = set()
    for kind, text in supposed:
        known = (kind, "--".join(sorted(text.split("--"))) if kind == "lose_link" else text)
        if known in seen:
            option = f"--{kind.replace('_', '-')} {text}"
            raise InputError(f"{option} is given twice", advice="give each supposition once")
        seen.add(known)


def _print(lines: Iterator[str]) -> None:
    console = out()
    for line in lines:
        console.print(line, markup=False)


def _explained(problem: Problem, then: Plan, found: Review) -> Plan:
    """Return the plan with the reasons of some that fare worse: of each pipeline, one unplaced and one degraded.

    Of more than MOST_TOLD, those unplaced come first.
    """
    from placement.explanation.repairs import explanation, with_reason
    from placement.explanation.standing import Standing

    speaks: dict[tuple[str, str], str] = {}
    for status in found.difference.statuses if found.difference is not None else ():
        if status.workload in found.worse:
            speaks.setdefault((status.workload.partition("@")[0], status.after), status.workload)
    standing, unplaced = Standing(problem, then), {lacking.id for lacking in then.unplaced}
    for name in sorted(speaks.values(), key=lambda name: name not in unplaced)[:MOST_TOLD]:
        then = with_reason(then, name, explanation(standing.court(name), name))
    return then


def _lines(found: Review, told: Plan) -> Iterator[str]:
    """Yield the review, and why those who fare worse do: one speaks for all of its pipeline."""
    from hybrid.cli.reasons import lacking, who

    yield from found.lines()
    speak = {one.id for _, one in who(told) if one.causes_complete or one.causes} & set(found.worse)
    yield from lacking(told, speak)
    if others := len(found.worse) - len(speak):
        yield f"and {others} more fare worse, whose reasons are told by planning anew"


def _supposed(problem: Problem, kind: str, text: str) -> Problem:
    """Return the problem with one supposition. Raises PlacementError or InputError for one that means nothing."""
    from placement.explanation import supposition

    plain = {
        "lose": supposition.without_site, "lose_link": supposition.without_link, "repeal": supposition.without_permit,
        "instrument": supposition.without_instrument, "retire": supposition.without_model,
    }  # fmt: skip
    if kind in plain:
        return plain[kind](problem, text)
    name, _, value = text.rpartition("=")
    if kind == "nodes":
        return supposition.with_nodes(problem, name, _whole(value))
    return {"price": supposition.with_prices, "rate": supposition.with_rate}[kind](problem, name, _factor(value))


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{text!r} is no number of nodes", advice="write it as --nodes dc-paris=+2") from None


def _factor(text: str) -> Fraction:
    try:
        factor = Fraction(text.removeprefix("x"))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{text!r} is no factor", advice="write it as --price dc-paris=1.5") from None
    if factor < 0:
        raise InputError("neither a price nor a rate is negative", advice="give a factor of zero or more")
    return factor
