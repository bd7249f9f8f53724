"""Finds the fleet that a plan was made from: named, or beside the plan, and still what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.plan import Plan
    from placement.problem import Problem


def problem_of(plan: Plan, path: Path, fleet: Path | None) -> Problem:
    """Read the fleet of a plan over the plan's own days. Raises PlacementError when it has changed since.

    Args:
        path: the plan's file.
        fleet: where it is; when None, the plan's folder, the current one, and those directly below are looked at.
    """
    from placement.plan_reading import check_fresh
    from placement.problem import read_problem

    problem = read_problem(fleet or _beside(plan, path), plan.since, plan.until)
    check_fresh(plan, problem.digests)
    return problem


def _beside(plan: Plan, path: Path) -> Path:
    files = [name for name in plan.inputs if name.endswith((".yaml", ".yml"))]
    for folder in _folders(path):
        if files and all((folder / name).is_file() for name in files):
            return folder
    raise InputError(f"the fleet of {path} is not beside it", advice="name it: --fleet FLEET")


def _folders(path: Path) -> Iterator[Path]:
    for folder in dict.fromkeys((path.resolve().parent, Path.cwd())):
        yield folder
        yield from sorted(below for below in folder.iterdir() if below.is_dir() and not below.name.startswith("."))
