"""`python -m tools.fleets DIR --sites N`: write a fleet and say what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tools.fleets.fleet import write_fleet


def main(
    directory: Annotated[Path, typer.Argument(help="A directory that is not there yet.")],
    sites: Annotated[int, typer.Option(min=3, help="How many sites.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 0,
) -> None:
    """Write a seeded fleet."""
    print(f"{directory}: {write_fleet(directory, sites, seed)}")


typer.run(main)
