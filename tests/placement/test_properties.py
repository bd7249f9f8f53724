"""Laws of every plan, on random small fleets: no rule broken, nothing over-committed, order of input irrelevant."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from placement.assembly import assemble
from placement.engine import places
from placement.exact.engine import NAME, solve
from placement.explanation.causes import Reason
from placement.instance import instance_of
from placement.plan import Plan
from placement.plan_reading import parse_plan
from placement.problem import Problem
from tests.placement.test_exact_brute import problems
from tests.support.placement_brute import Brute, Spot

LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


def planned(problem: Problem, current: Plan | None = None) -> Plan:
    """Return the plan without the search for causes, which has tests of its own."""
    instance = instance_of(problem)
    solution = solve(instance, current=None if current is None else places(current))
    assert solution is not None
    lacking = [n for n in instance.workloads if n not in solution.choices]
    return assemble(instance, solution, {name: Reason("impossible", ()) for name in lacking}, NAME)


@LAWS
@given(problems())
def test_every_stage_is_where_trying_everything_would_allow_it(problem: Problem) -> None:
    brute = Brute(problem)
    for workload in planned(problem).workloads:
        ways = brute.ways(problem.pipelines[workload.pipeline], problem.sites[workload.origin])
        spots = {
            s.stage: Spot(s.site, s.model or "", s.variant or "", s.hardware or "")
            for s in workload.assignments[0].stages
        }
        assert spots in [way.spots for way in ways]


@LAWS
@given(problems())
def test_nothing_is_over_committed(problem: Problem) -> None:
    made = planned(problem)
    for pool in made.pools:
        group = next(g for g in problem.sites[pool.site].spec.hardware if g.name == pool.hardware)
        assert sum(node.replicas for node in pool.nodes.values()) == pool.replicas
        assert all(int(name.rpartition("-")[2]) < group.count for name in pool.nodes)
        assert pool.utilisation <= 0.7
    brute = Brute(problem)
    for site, hardware in {(pool.site, pool.hardware) for pool in made.pools}:
        here = {
            Spot(p.site, p.model, p.variant, p.hardware): p.replicas
            for p in made.pools
            if (p.site, p.hardware) == (site, hardware)
        }
        assert brute.packs(brute.group(site, hardware), here, {spot: set() for spot in here})


@LAWS
@given(problems())
def test_the_order_of_input_changes_no_byte(problem: Problem) -> None:
    turned = replace(
        problem,
        sites=dict(sorted(problem.sites.items())),
        models=dict(reversed(problem.models.items())),
        stores=dict(reversed(problem.stores.items())),
        packs=dict(reversed(problem.packs.items())),
    )
    assert planned(turned).to_bytes() == planned(problem).to_bytes()


@LAWS
@given(problems())
def test_a_plan_reads_back_and_moves_nothing_when_nothing_changed(problem: Problem) -> None:
    made = planned(problem)
    assert parse_plan(made.to_bytes()).to_bytes() == made.to_bytes()
    again = planned(problem, current=made)
    assert again.workloads == made.workloads
    assert again.cost.per_hour == made.cost.per_hour
