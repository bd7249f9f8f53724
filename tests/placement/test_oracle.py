"""The oracle of one workload says what the solver says, beside nobody and beside everybody else."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.exact.engine import solve
from placement.explanation.court import pinned
from placement.explanation.ledger import EMPTY, Ledger
from placement.explanation.oracle import UnsureError, best_way
from placement.explanation.second_look import second_look
from placement.instance import instance_of
from placement.problem import Problem
from placement.solution import tally
from tests.placement import test_exact_places as places
from tests.placement.test_exact_brute import problems
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_variant

LAWS = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


@LAWS
@given(st.one_of(problems(), places.problems({})))
def test_alone_it_finds_the_solver_s_cost_or_the_solver_s_none(problem: Problem) -> None:
    instance = instance_of(problem)
    for name, workload in instance.workloads.items():
        try:
            way = best_way(problem, workload, EMPTY, workload.graphs[:1])
        except UnsureError:
            continue
        declared = replace(workload, graphs=workload.graphs[:1])
        solution = solve(replace(instance, workloads={name: declared}), must={name})
        assert (way is None) == (solution is None)
        if way is not None and solution is not None:
            cost = tally(instance, solution.choices).per_hour
            assert abs(way.per_hour - cost) <= cost / 10**6


@LAWS
@given(st.one_of(problems(), places.problems({})))
def test_beside_the_others_it_finds_what_the_solver_finds_with_them_held(problem: Problem) -> None:
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    ledger = Ledger(instance, solution.choices)
    for name, workload in instance.workloads.items():
        others = {n: c for n, c in solution.choices.items() if n != name}
        try:
            way = best_way(problem, workload, ledger.without(name), workload.graphs[:1])
        except UnsureError:
            continue
        held = {n: pinned(instance.workloads[n], choice) for n, choice in others.items()}
        declared = replace(workload, graphs=workload.graphs[:1])
        best = solve(replace(instance, workloads={**held, name: declared}), must={name, *held})
        assert (way is None) == (best is None)
        if way is not None and best is not None:
            cost = tally(instance, best.choices).per_hour - tally(instance, others).per_hour
            assert abs(way.per_hour - cost) <= Fraction(1, 10**6)


def test_a_replica_that_another_pays_for_costs_nothing_more() -> None:
    speed = [{"hardware": "x86_64", "service": "50ms", "throughput": "10/s"}]
    shared = a_model("small", a_variant("own", needs={"cpus": 4}, speed=speed))
    nouns = [shared, a_region(), a_pipeline(input={"size": "0B"})]
    instance = instance_of(a_problem(*(a_clinic(n, links=["dc"], hardware=[]) for n in ("ana", "bo")), *nouns))
    solution = solve(instance)
    assert solution is not None
    ledger = Ledger(instance, solution.choices)
    alone = best_way(instance.problem, instance.workloads["mail@bo"], EMPTY, instance.workloads["mail@bo"].graphs)
    beside = best_way(
        instance.problem, instance.workloads["mail@bo"], ledger.without("mail@bo"), instance.workloads["mail@bo"].graphs
    )
    assert alone is not None
    assert beside is not None
    assert alone.per_hour - beside.per_hour == Fraction(1, 32)  # four of 64 cpus at 0.5 EUR/h


@LAWS
@given(st.one_of(problems(), places.problems({})))
def test_a_second_look_finds_nothing_in_an_optimum_and_what_was_left_out_of_it(problem: Problem) -> None:
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    assert second_look(instance, solution.choices) == solution.choices
    for name in solution.choices if not any(p.spec.spread for p in problem.pipelines.values()) else ():
        fewer = {other: choice for other, choice in solution.choices.items() if other != name}
        assert name in second_look(instance, fewer)
