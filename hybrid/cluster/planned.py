"""Reads what a region is compiled from, and refuses a plan that is not of this fleet or has run out."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from placement.plan_reading import check_fresh, parse_plan
from placement.problem import Problem, read_problem


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the digest of its bytes and the fleet that it was made from."""

    plan: dict[str, Any]
    digest: str
    problem: Problem


def read_planned(plan: Path, fleet: Path, today: dt.date) -> Planned:
    """Read both and check that they belong together.

    Raises:
        InputError: the plan has run out.
        PlacementError: no plan, or one whose inputs have changed since (named).
        SitesError, PlacementError: what is wrong with the fleet.
    """
    data = plan.read_bytes()
    found = parse_plan(data, str(plan))
    if today > found.until:
        raise InputError(
            f"{plan}: the plan ended on {found.until}", advice="plan again: hybrid plan FLEET -o plan.json"
        )
    problem = read_problem(fleet, found.since, found.until)
    check_fresh(found, problem.digests)
    return Planned(json.loads(data), "sha256:" + hashlib.sha256(data).hexdigest(), problem)
