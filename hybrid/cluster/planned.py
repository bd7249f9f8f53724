"""Reads what a region is compiled from, and refuses a plan that is not of this fleet or has run out."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from placement.problem import Problem, read_problem

MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the digest of its bytes and the fleet that it was made from."""

    plan: dict[str, Any]
    digest: str
    problem: Problem


def read_planned(plan: Path, fleet: Path, today: dt.date) -> Planned:
    """Read both and check that they belong together.

    Raises:
        InputError: no plan, a plan that has run out, or one whose inputs have changed since (named).
        SitesError, PlacementError: what is wrong with the fleet.
    """
    if plan.stat().st_size > MOST_BYTES:
        raise InputError(f"{plan}: larger than a plan may be", advice="check the path")
    data = plan.read_bytes()
    try:
        found = json.loads(data)
        since, until = dt.date.fromisoformat(found["from"]), dt.date.fromisoformat(found["until"])
        inputs: dict[str, str] = found["inputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{plan}: no plan ({error})", advice="make one with `hybrid plan FLEET -o plan.json`"
        ) from error
    if today > until:
        raise InputError(f"{plan}: the plan ended on {until}", advice="plan again: hybrid plan FLEET -o plan.json")
    problem = read_problem(fleet, since, until)
    _check_inputs(plan, inputs, dict(problem.digests))
    return Planned(found, "sha256:" + hashlib.sha256(data).hexdigest(), problem)


def _check_inputs(plan: Path, planned: dict[str, str], found: dict[str, str]) -> None:
    changed = sorted(name for name in planned.keys() | found.keys() if planned.get(name) != found.get(name))
    if changed:
        raise InputError(
            f"{plan}: made from another state of the fleet; changed: {', '.join(changed[:5])}",
            advice="plan again: hybrid plan FLEET -o plan.json",
        )
