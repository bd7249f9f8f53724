"""`hybrid whatif`: plan again with something lost or changed, and show the difference."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.problem import Problem

app = typer.Typer(rich_markup_mode=None)


@app.command()
def whatif(
    plan: Annotated[Path, typer.Argument(help="The plan.json that runs now.")],
    lose: Annotated[list[str] | None, typer.Option(metavar="SITE", help="A site is gone, its origins with it.")] = None,
    price: Annotated[list[str] | None, typer.Option(metavar="SITE=FACTOR", help="A site's prices times this.")] = None,
    fleet: Annotated[Path | None, typer.Option(help="The fleet of the plan; looked for beside it.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Plan again, moving as little as possible, with a site lost or its prices changed; nothing is written."""
    from hybrid.cli.fleet_of import problem_of
    from hybrid.cli.plan import lacking
    from placement.difference import difference
    from placement.engine import plan as decide
    from placement.plan import read_plan
    from placement.supposition import with_prices, without_site

    made = read_plan(plan)
    problem = problem_of(made, plan, fleet)
    if not lose and not price:
        raise InputError("nothing is supposed", advice="give --lose SITE or --price SITE=FACTOR")
    for site in lose or ():
        _require(problem, site)
        problem = without_site(problem, site)
    for text in price or ():
        site, _, factor = text.partition("=")
        _require(problem, site)
        problem = with_prices(problem, site, _factor(factor))
    then = decide(problem, current=made)
    found = difference(made, then)

    def show() -> None:
        for line in (*(found.lines() if found else ["nothing that runs would differ"]), *lacking(then)):
            out().print(line, markup=False)

    emit(output, {**found.to_json(), "unplaced": [w.id for w in then.unplaced]}, show)
    next_step(f"hybrid explain {plan} WORKLOAD/STAGE --not SITE")


def _require(problem: Problem, site: str) -> None:
    if site not in problem.sites:
        raise InputError(f"no site {site!r}", advice=f"there are {', '.join(problem.sites)}")


def _factor(text: str) -> Fraction:
    try:
        factor = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{text!r} is no factor", advice="write it as --price dc-paris=1.5") from None
    if factor < 0:
        raise InputError("a price is never negative", advice="give a factor of zero or more")
    return factor
