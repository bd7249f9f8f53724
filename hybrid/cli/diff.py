"""`hybrid diff`: show what differs between two plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, out

app = typer.Typer(rich_markup_mode=None)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A plan.json.")],
    after: Annotated[Path, typer.Argument(help="Another plan.json.")],
    output: OutputOption = Output.text,
) -> None:
    """Show what moves, who is served otherwise, which pools grow or shrink, and what it costs."""
    from placement.difference import difference
    from placement.plan import read_plan

    found = difference(read_plan(before), read_plan(after))

    def show() -> None:
        for line in found.lines() if found else ["nothing that runs differs"]:
            out().print(line, markup=False)

    emit(output, found.to_json(), show)
