"""`hybrid picture`: a plan as one HTML page, for people who would rather look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.console import next_step

app = typer.Typer(rich_markup_mode=None)


@app.command()
def picture(
    plan: Annotated[Path, typer.Argument(help="The plan's file.")],
    to: Annotated[Path | None, typer.Option("-o", "--out", help="The page; by default beside the plan.")] = None,
    fleet: Annotated[Path | None, typer.Option("--fleet", help="The fleet; by default found beside the plan.")] = None,
) -> None:
    """Draw a plan: zones, sites, flows coloured by data class, what is not served and why, costs; one HTML file."""
    from hybrid.cli.fleet_of import problem_of
    from hybrid.cli.plan import write
    from hybrid.picture.plan_page import render
    from placement.plan_reading import read_plan

    made = read_plan(plan)
    page = to or plan.with_suffix(".html")
    write(page, render(made, problem_of(made, plan, fleet)).encode())
    print(page)
    next_step(f"open {page} in a browser")
