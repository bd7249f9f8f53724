"""A searched plan stands every loss that it promises to, as the exact engine understands it and the checker weighs it."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from placement import large
from placement.assembly import assemble
from placement.check import check
from placement.engine import plan
from placement.exact.engine import solve
from placement.explanation.causes import Reason
from placement.instance import Instance, instance_of
from placement.plan import Plan
from placement.problem import KINDS, Problem, problem_of
from placement.solution import Solution, tally
from placement.watch import Watch
from sites.fleet import Fleet, read_fleet
from sites.question import Window
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region
from tests.support.search_audit import weights
from tests.support.search_draw import Draw
from tests.support.sites import a_fleet, a_link
from tools.fleets import write_fleet

WINDOW = Window(dt.date(2026, 12, 1), dt.date(2027, 2, 28))
Shape = dict[str, Any]


def surviving(problem: Problem) -> Problem:
    """Return a problem in which every pipeline survives."""
    pipelines = {
        name: pipeline.model_copy(update={"spec": pipeline.spec.model_copy(update={"survive": 1})})
        for name, pipeline in problem.pipelines.items()
    }
    return replace(problem, pipelines=pipelines)


def searched(instance: Instance) -> Solution:
    return large.solve(instance, current=None, watch=Watch())


def written(instance: Instance, solution: Solution) -> Plan:
    lacking = {name: Reason("crowded", ()) for name in instance.workloads}
    return assemble(instance, solution, lacking, large.NAME)


def fleet_of(problem: Problem) -> Fleet:
    """Return the fleet that poses a problem."""
    nouns = (problem.sites, problem.pipelines, problem.models, problem.stores, problem.policies)
    return a_fleet(*(noun for each in nouns for noun in each.values()), given=tuple(problem.packs.values()))


def findings(made: Plan, fleet: Fleet) -> list[str]:
    document = {**made.to_json(), "inputs": {**fleet.digests, "checker": made.inputs["checker"]}}
    return [f"{f.code} {f.workload} {f.subject}: {f.expected} / {f.found}" for f in check(document, fleet).findings]


@pytest.mark.parametrize("seed", range(40))
def test_a_drawn_problem_holds_after_every_loss_and_is_never_better_than_the_optimum(seed: int) -> None:
    problem = surviving(Draw(seed).problem())
    instance = instance_of(problem)
    found, best = searched(instance), solve(instance)
    assert best is not None
    assert findings(written(instance, found), fleet_of(problem)) == []
    ours, proved = weights(instance, found.choices), weights(instance, best.choices)
    assert ours >= proved
    if best.is_proven and ours == proved:
        cost, least = (tally(instance, one.choices, one.failures).per_hour for one in (found, best))
        assert cost >= least * (1 - 1e-6)
        assert found.bound <= cost
