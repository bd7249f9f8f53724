"""A search breaks no rule, takes nothing twice, is the same every time, and never better than the proven optimum."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from placement.exact.engine import solve
from placement.instance import Instance, instance_of
from placement.problem import Problem, read_problem
from placement.rulings import Rulings
from placement.search.bench import BLOCKED
from placement.search.compilation import compile_layout
from placement.search.compiled import Compiled
from placement.search.engine import Found, Progress, in_order, search
from placement.search.insertion import improve
from placement.search.layout import NOWHERE, Layout, Placing
from placement.search.running import Run
from placement.search.state import HOLLOW
from placement.search.sweeping import rank_rows
from placement.solution import tally
from tests.support.search_audit import faults, weights
from tests.support.search_draw import Draw
from tools.fleets import write_fleet

FIRST = dt.date(2026, 12, 1)
WORK = 200_000


@cache
def drawn(seed: int) -> tuple[Compiled, Instance]:
    """Return a random small problem as arrays and as objects."""
    return _both(Draw(seed).problem())


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Compiled, Instance]:
    """Return a generated fleet of twenty sites as arrays and as objects."""
    directory = tmp_path_factory.mktemp("search") / "fleet"
    write_fleet(directory, 20, 1)
    return _both(read_problem(directory, FIRST))


def _both(problem: Problem) -> tuple[Compiled, Instance]:
    rulings = Rulings(problem)
    return compile_layout(problem, rulings), instance_of(problem, rulings=rulings, is_brief=True)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_found_holds_exactly(seed: int) -> None:
    compiled, instance = drawn(seed)
    assert faults(compiled, instance, search(compiled.layout, work=WORK)) == []


@pytest.mark.parametrize("work", [0, 10_000, 100_000, 3_000_000])
def test_a_fleet_holds_exactly_however_early_the_search_ends(fleet: tuple[Compiled, Instance], work: int) -> None:
    assert faults(*fleet, search(fleet[0].layout, work=work)) == []


@pytest.mark.parametrize("seed", range(12))
def test_it_is_never_better_than_the_optimum_and_places_as_much(seed: int) -> None:
    compiled, instance = drawn(seed)
    best = solve(instance)
    assert best is not None
    found = search(compiled.layout, work=WORK)
    unplaced, degraded = (weight * 1000 for weight in weights(instance, best.choices))
    assert (found.unplaced_weight, found.degraded_weight) == (unplaced, degraded)
    assert found.cost >= float(tally(instance, best.choices).per_hour) * (1 - 1e-6)


def test_the_fleet_is_near_the_optimum(fleet: tuple[Compiled, Instance]) -> None:
    compiled, instance = fleet
    best = solve(instance)
    assert best is not None
    found = search(compiled.layout, work=5_000_000)
    unplaced, degraded = (weight * 1000 for weight in weights(instance, best.choices))
    assert (found.unplaced_weight, found.degraded_weight) == (unplaced, degraded)
    optimum = float(tally(instance, best.choices).per_hour)
    assert optimum * (1 - 1e-6) <= found.cost <= 1.12 * optimum


def test_two_processes_find_the_same_bytes() -> None:
    program = "from tests.placement.test_search import digest; print(digest(7))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == digest(7) == digest(7)


def digest(seed: int) -> str:
    """Return the digest of what a search of a drawn problem finds."""
    found = search(drawn(seed)[0].layout, work=WORK)
    parts = [part.tobytes() for part in (*found.placing, *found.packing)]
    return hashlib.sha256(b"".join([*parts, str((found.cost, found.work)).encode()])).hexdigest()


def test_a_pool_that_proved_full_to_one_still_has_its_price_for_those_in_it(fleet: tuple[Compiled, Instance]) -> None:
    layout = fleet[0].layout
    run = Run.of_layout(layout, 10**9, None, None)
    order = in_order(layout)
    rank_rows(*run.by)
    run.blend(1.0, 0.0, 0.0)
    run.insert(order, 12)
    for work in order[run.state.shape[order] != NOWHERE]:
        first, last = layout.works.first_slot[work : work + 2]
        pools = np.unique(run.state.pool[first:last])
        run.bench.blocked[: len(pools)], run.bench.counts[BLOCKED] = pools, len(pools)
        improve(*run.by, work, 12, 0, 1)
    assert faults(*fleet, run.found(is_cut=False)) == []


def test_what_hollow_replicas_cost_is_kept_up_through_moves_and_undone_moves(fleet: tuple[Compiled, Instance]) -> None:
    layout = fleet[0].layout
    run = Run.of_layout(layout, 10**9, None, None)
    order = in_order(layout)
    run.smooth(0.5)
    rank_rows(*run.by)
    run.blend(1.0, 0.0, 0.0)
    run.insert(order, 12)
    run.close()
    run.improve(order, 12)
    part, pools = run.index.part, layout.pools
    hollow = float((pools.price * run.state.replicas)[part > 0].sum() - (part * run.state.load).sum())
    assert hollow > 0
    assert run.state.money[HOLLOW] == pytest.approx(hollow)


def test_work_is_kept_to_and_told(fleet: tuple[Compiled, Instance]) -> None:
    told: list[Progress] = []
    found = search(fleet[0].layout, work=6_000_000, tick=told.append)
    assert 6_000_000 <= found.work < 6_300_000
    assert [step.work for step in told] == sorted(step.work for step in told)
    assert len(told) > 3
    assert all(step.of == 6_000_000 for step in told)
    assert found.cost <= told[-1].cost


def test_who_interrupts_gets_the_best_so_far(fleet: tuple[Compiled, Instance]) -> None:
    last: list[Progress] = []

    def tick(progress: Progress) -> None:
        last[:] = [progress]
        if progress.work > 3_000_000:
            raise KeyboardInterrupt

    found = search(fleet[0].layout, work=10**9, tick=tick)
    assert found.is_cut
    assert found.cost <= last[0].cost
    assert faults(*fleet, found) == []


def test_a_plan_that_is_held_stays(fleet: tuple[Compiled, Instance]) -> None:
    before = search(fleet[0].layout, work=2_000_000)
    after = search(fleet[0].layout, work=2_000_000, held=before.placing)
    assert after.moves == 0
    assert all(np.array_equal(old, new) for old, new in zip(before.placing, after.placing, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_a_plan_of_a_drawn_problem_stays(seed: int) -> None:
    layout = drawn(seed)[0].layout
    before = search(layout, work=WORK)
    assert _same(before.placing, search(layout, work=WORK, held=before.placing).placing)


def test_what_is_lost_moves_and_nothing_else_without_need(fleet: tuple[Compiled, Instance]) -> None:
    compiled, _ = fleet
    before = search(compiled.layout, work=2_000_000)
    busiest = int(np.bincount(before.placing.site[before.placing.pool != NOWHERE]).argmax())
    layout, held = without_pools_at(compiled.layout, busiest), before.placing
    forced = int(((held.site == busiest) & (held.pool != NOWHERE)).sum())
    after = search(layout, work=5_000_000, held=held)
    fresh = search(layout, work=5_000_000)
    assert before.unplaced_weight <= after.unplaced_weight <= fresh.unplaced_weight
    assert not ((after.placing.site == busiest) & (after.placing.pool != NOWHERE)).any()
    assert after.moves <= 1.5 * forced


def without_pools_at(layout: Layout, site: int) -> Layout:
    """Return a layout in which the nodes of a site hold nothing."""
    groups = layout.groups
    memory = np.where(groups.site == site, 0, groups.memory)
    return layout._replace(groups=groups._replace(memory=memory))


def test_a_start_is_only_made_better(fleet: tuple[Compiled, Instance]) -> None:
    first = search(fleet[0].layout, work=300_000)
    again = search(fleet[0].layout, work=2_000_000, start=first.placing)
    assert _goals(again) <= _goals(first)
    assert faults(*fleet, again) == []


def _same(one: Placing, other: Placing) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _goals(found: Found) -> tuple[int, int, float]:
    return found.unplaced_weight, found.degraded_weight, found.cost
