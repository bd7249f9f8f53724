"""The bound against the proven optimum: never above it, whatever binds, and not far below; the same twice."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from placement.bound import Bound, bound
from placement.exact.engine import can_all_be_placed, solve
from placement.instance import Instance, instance_of
from placement.problem import Problem, read_problem
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Placing
from placement.search.reference import layout_of
from placement.solution import tally
from tests.placement.test_exact_brute import problems
from tests.support.bounds import a_placing
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.search_draw import Draw
from tests.support.sites import a_link
from tools.fleets import write_fleet

LAWS = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
WORK = 200_000
BUSY = {"rate": "9/s", "utilisation": 0.9}


def optimum(instance: Instance) -> tuple[float, Compiled, Placing]:
    """Return the proven least cost of an instance, its arrays, and the placing that costs it."""
    solution = solve(instance)
    assert solution is not None
    compiled = layout_of(instance)
    return float(tally(instance, solution.choices).per_hour), compiled, a_placing(compiled, solution)


def bound_of(problem: Problem, work: int = WORK) -> tuple[float, Bound]:
    """Return the proven least cost of a problem, and the bound beside it."""
    cost, compiled, placing = optimum(instance_of(problem))
    return cost, bound(compiled.layout, placing=placing, work=work)


@LAWS
@given(problems())
def test_no_bound_exceeds_the_proven_optimum(problem: Problem) -> None:
    cost, compiled, placing = optimum(instance_of(problem))
    found = bound(compiled.layout, placing=placing, work=WORK)
    assert 0 <= found.per_hour <= cost
    if (placing.shape != NOWHERE).all():
        assert bound(compiled.layout, work=WORK).per_hour <= cost
    for w, name in enumerate(compiled.workloads):
        if found.over == "all" and placing.shape[w] == NOWHERE:
            assert not can_all_be_placed(instance_of(problem, only=[name]))


@pytest.mark.parametrize("seed", range(40))
def test_nor_where_law_knowledge_and_shared_state_bind(seed: int) -> None:
    cost, found = bound_of(Draw(seed).problem())
    assert 0 <= found.per_hour <= cost


@pytest.mark.parametrize("seed", range(3))
def test_on_generated_fleets_it_is_near_the_optimum(tmp_path: Path, seed: int) -> None:
    write_fleet(tmp_path / "fleet", 8, seed)
    cost, found = bound_of(read_problem(tmp_path / "fleet", dt.date(2026, 12, 1), dt.date(2027, 2, 28)), 5_000_000)
    assert 0.93 * cost <= found.per_hour <= cost


def test_the_same_arrays_give_the_same_bound(tmp_path: Path) -> None:
    write_fleet(tmp_path / "fleet", 8, 0)
    instance = instance_of(read_problem(tmp_path / "fleet", dt.date(2026, 12, 1), dt.date(2027, 2, 28)))
    _, compiled, placing = optimum(instance)
    assert bound(compiled.layout, placing=placing, work=WORK) == bound(compiled.layout, placing=placing, work=WORK)


def test_more_work_never_gives_less(tmp_path: Path) -> None:
    write_fleet(tmp_path / "fleet", 8, 1)
    instance = instance_of(read_problem(tmp_path / "fleet", dt.date(2026, 12, 1), dt.date(2027, 2, 28)))
    _, compiled, placing = optimum(instance)
    heights = [bound(compiled.layout, placing=placing, work=work).per_hour for work in (0, 1, 10_000, 100_000, WORK)]
    assert heights[0] == 0
    assert heights == sorted(heights)


def test_a_replica_that_one_alone_needs_is_paid_whole() -> None:
    cost, found = bound_of(a_problem(a_clinic(), a_model(), a_pipeline()))
    assert found.per_hour == pytest.approx(cost)
    assert found.over == "all"


def test_two_who_share_a_replica_pay_for_it_once() -> None:
    mail, post = a_pipeline("mail"), a_pipeline("post")
    cost, found = bound_of(a_problem(a_clinic(), a_model(), mail, post))
    assert found.per_hour == pytest.approx(cost)


def test_an_opened_replica_elsewhere_is_paid_by_those_it_is_opened_for() -> None:
    speed = [{"hardware": "x86_64", "service": "50ms", "throughput": "10/s"}]
    own = a_variant("own", needs={"cpus": 4}, speed=speed)
    sites = [a_clinic(name, links=["dc"]) for name in ("ana", "bo", "cy")]
    cost, found = bound_of(a_problem(*sites, a_model("small", own), a_region(price="2 EUR/h"), a_pipeline()))
    assert 0.99 * cost <= found.per_hour <= cost


def test_who_alone_could_use_many_shared_pools_pays_for_a_whole_replica_wherever_it_goes() -> None:
    regions = [a_region(f"dc-{index}", price=f"{index + 1} EUR/h") for index in range(8)]
    clinic = a_clinic(links=[f"dc-{index}" for index in range(8)])
    big = a_model("big", a_variant(needs={"cpus": 40}))
    cost, found = bound_of(a_problem(clinic, *regions, big, a_pipeline("mail", a_stage(models=["big"]))), work=2_000)
    assert found.per_hour == pytest.approx(cost)


def test_egress_counts() -> None:
    stage = a_stage(models=["big"])
    big = a_variant(needs={"cpus": 40})
    clinic = a_clinic(links=[a_link("dc", price="5 EUR/GB", bandwidth="1Gbit/s")])
    nouns = [clinic, a_region(), a_model("big", big), a_pipeline("mail", stage, input={"size": "1MB"}, **BUSY)]
    cost, found = bound_of(a_problem(*nouns))
    assert cost > 100
    assert found.per_hour == pytest.approx(cost)


def test_who_was_crowded_out_makes_it_a_bound_over_the_same_set() -> None:
    heavy, light = a_pipeline("heavy", priority=2, **BUSY), a_pipeline("light", a_stage(models=["other"]))
    small = a_model("small", a_variant(needs={"cpus": 7}))
    other = a_model("other", a_variant(needs={"cpus": 7}))
    cost, found = bound_of(a_problem(a_clinic(), small, other, heavy, light))
    assert found.over == "set"
    assert found.per_hour == pytest.approx(cost)


def test_whoever_watches_may_stop_it() -> None:
    _, compiled, placing = optimum(instance_of(a_problem(a_clinic(links=["dc"]), a_region(), a_model(), a_pipeline())))

    def stop(_: Bound) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bound(compiled.layout, placing=placing, work=WORK, tick=stop)
