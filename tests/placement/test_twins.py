"""Sites that are alike and alone are solved once, and planned as if each had been solved."""

from __future__ import annotations

from typing import Any

from placement.engine import places, plan
from placement.exact.engine import components, solve
from placement.exact.twins import likeness
from placement.instance import instance_of
from placement.plan import Plan
from placement.problem import Problem
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_stage, a_variant
from tests.support.sites import a_box


def fleet(*clinics: Noun, **spec: Any) -> Problem:
    """Return a problem of sites without links, with two variants to choose between and two pipelines."""
    variants = [a_variant(), a_variant("fast", needs={"cpus": 3})]
    other = a_pipeline("post", a_stage("sum"), rate="2/s")
    return a_problem(*clinics, a_model("small", *variants), a_pipeline(**spec), other)


def of_each(problem: Problem) -> dict[str, Plan]:
    """Return the plan of each site as if it were the only one."""
    sites = {name: [site] for name, site in problem.sites.items()}
    return {name: plan(fleet(*given)) for name, given in sites.items()}


def alone(name: str, **spec: Any) -> Noun:
    return a_clinic(name, mode="disconnected", **spec)


def test_twins_are_planned_like_each_of_them_alone() -> None:
    problem = fleet(alone("ana"), alone("bo"), alone("cy", hardware=[a_box(price="9 EUR/h")]))
    made, single = plan(problem), of_each(problem)
    for workload in made.workloads:
        (own,) = [w for w in single[workload.origin].workloads if w.id == workload.id]
        assert (own.assignments, own.cost_per_hour) == (workload.assignments, workload.cost_per_hour)
    assert made.cost.per_hour == round(sum(each.cost.per_hour for each in single.values()), 6)


def test_one_of_the_twins_is_solved() -> None:
    few, many = (solve(instance_of(fleet(*(alone(f"c{n}") for n in range(count))))) for count in (1, 40))
    assert few is not None
    assert many is not None
    assert many.work == few.work
    assert len(many.choices) == 40 * len(few.choices)


def test_another_price_another_rate_or_a_wire_makes_no_twin() -> None:
    cheap, dear = alone("ana"), alone("bo", hardware=[a_box(price="9 EUR/h")])
    busy = alone("cy", labels={"role": "clinic", "size": "large"})
    instance = instance_of(fleet(cheap, dear, busy, rates=[{"sites": {"size": "large"}, "rate": "9/s"}]))
    found = {likeness(instance, members, None, ()) for members in components(instance)}
    assert len(found - {None}) == 3


def test_twins_of_which_one_runs_already_are_told_apart() -> None:
    one = plan(fleet(alone("ana")))
    problem = fleet(alone("ana"), alone("bo"))
    again = solve(instance_of(problem), current=places(one))
    assert again is not None
    assert again.choices.keys() == instance_of(problem).workloads.keys()
