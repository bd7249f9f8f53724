"""In a fleet too large to prove, a workload that no one place takes whole is served in parts, and each part holds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from placement import large
from placement.assembly import assemble
from placement.check import check
from placement.engine import looked_again, plan
from placement.exact.engine import solve
from placement.explanation.causes import Reason
from placement.instance import Instance, instance_of
from placement.plan import Plan
from placement.plan_reading import parse_plan
from placement.problem import Problem
from placement.solution import Solution, tally
from placement.watch import Watch
from sites.fleet import Fleet
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region
from tests.support.search_audit import weights
from tests.support.search_draw import Draw
from tests.support.sites import a_fleet, a_link

BUSY = {"rate": "0.5/s", "rates": [{"sites": {"size": "large"}, "rate": "800/s"}]}
"""At one clinic more than either region serves: 64 replicas of ten a second, filled to seven tenths."""


def a_busy_fleet(**spec: object) -> list[Noun]:
    """Return forty clinics, one of which asks for more than any one place takes, and two regions near it."""
    quiet = [a_clinic(f"clinic-{index:02}") for index in range(40)]
    links = [a_link("north"), a_link("south")]
    busy = a_clinic("hospital", links=links, labels={"role": "clinic", "size": "large"})
    return [*quiet, busy, a_region("north"), a_region("south"), a_model(), a_pipeline(**BUSY, **spec)]


def fleet_of(problem: Problem) -> Fleet:
    """Return the fleet that poses a problem."""
    nouns = (problem.sites, problem.pipelines, problem.models, problem.stores, problem.policies)
    return a_fleet(*(noun for each in nouns for noun in each.values()), given=tuple(problem.packs.values()))


def findings(made: Plan, fleet: Fleet) -> list[str]:
    return [f"{f.code} {f.workload} {f.subject}" for f in check(made.to_json(), fleet).findings]


def test_what_is_too_much_for_any_one_place_is_divided() -> None:
    problem = a_problem(*a_busy_fleet(split=True))
    made = plan(problem)
    assert made.engine.name == "search"
    assert made.unplaced == ()
    parts = next(workload for workload in made.workloads if workload.id == "mail@hospital").assignments
    assert {"north", "south"} <= {stage.site for part in parts for stage in part.stages}
    assert sum(Fraction(str(part.fraction)) for part in parts) == 1
    assert findings(made, fleet_of(problem)) == []
    assert made.cost.gap is not None


def test_without_the_field_it_is_left_out() -> None:
    made = plan(a_problem(*a_busy_fleet()))
    assert [lacking.id for lacking in made.unplaced] == ["mail@hospital"]


def test_planned_again_upon_itself_nothing_moves() -> None:
    problem = a_problem(*a_busy_fleet(split=True))
    made = plan(problem)
    again = plan(problem, current=parse_plan(made.to_bytes()))
    assert again.workloads == made.workloads


def dividing(problem: Problem) -> Problem:
    """Return a problem in which every pipeline may be split and asks for twelve times as much."""
    pipelines = {}
    for name, pipeline in problem.pipelines.items():
        spec = pipeline.spec.model_copy(update={"split": True, "rate": pipeline.spec.rate * 12})
        pipelines[name] = pipeline.model_copy(update={"spec": spec})
    return replace(problem, pipelines=pipelines)


DIVIDED = (17, 40, 51, 70, 72)
"""Drawn problems in which somebody is served in parts."""


def searched(instance: Instance) -> Solution:
    return looked_again(instance, large.solve(instance, current=None, watch=Watch()))


def written(instance: Instance, solution: Solution) -> Plan:
    lacking = {n for n in instance.workloads if n not in solution.choices or solution.choices[n].is_degraded}
    return assemble(instance, solution, {name: Reason("crowded", ()) for name in lacking}, "search")


@pytest.mark.parametrize("seed", [2, 11, *DIVIDED])
def test_a_drawn_problem_holds_and_is_never_better_than_the_optimum(seed: int) -> None:
    problem = dividing(Draw(seed).problem())
    instance = instance_of(problem)
    found, best = searched(instance), solve(instance)
    assert best is not None
    assert any(choice.beside for choice in found.choices.values()) == (seed in DIVIDED)
    assert findings(written(instance, found), fleet_of(problem)) == []
    ours, proved = weights(instance, found.choices), weights(instance, best.choices)
    assert found.bound <= tally(instance, found.choices).per_hour
    if best.is_proven:
        assert ours >= proved
        better = {name for name, choice in best.choices.items() if not choice.is_degraded}
        assert better.isdisjoint(found.impossible or ())
    if best.is_proven and ours == proved:
        assert tally(instance, best.choices).per_hour * (1 + Fraction(1, 10**6)) >= found.bound
