"""The bound against the proven optimum: never above it, whatever binds; the same twice; never negative."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from placement.bound import bound
from placement.exact import solve
from placement.instance import instance_of
from placement.problem import Problem
from placement.search.layout import NOWHERE
from placement.search.reference import layout_of
from placement.solution import tally
from tests.placement.test_exact_brute import problems
from tests.support.bounds import a_placing

LAWS = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
WORK = 20_000


@LAWS
@given(problems())
def test_no_bound_exceeds_the_proven_optimum(problem: Problem) -> None:
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    compiled = layout_of(instance)
    cost = float(tally(instance, solution.choices).per_hour)
    placing = a_placing(compiled, solution)
    found = bound(compiled.layout, placing=placing, work=WORK)
    assert 0 <= found.per_hour <= cost
    assert bound(compiled.layout, placing=placing, work=WORK) == found
    if (placing.shape != NOWHERE).all():
        assert bound(compiled.layout, work=WORK).per_hour <= cost
    assert bound(compiled.layout, placing=placing, work=0).per_hour == pytest.approx(0)
