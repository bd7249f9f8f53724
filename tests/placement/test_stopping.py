"""Somebody says stop: the best plan so far holds, claims nothing that was not proved, and says that it is not all."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from placement.check import check_bytes
from placement.engine import cheaper, places, plan
from placement.exact.engine import solve
from placement.instance import instance_of
from placement.plan import Plan
from placement.problem import KINDS, Problem, read_problem
from placement.solution import Solution
from placement.watch import Progress, Watch
from sites.fleet import read_fleet
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem
from tools.fleets import write_fleet

SINCE, UNTIL = dt.date(2026, 12, 1), dt.date(2027, 2, 28)
COLOURS = {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}
PHASES = ("placing", "placing as declared", "least cost", "explaining")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fleet of twenty sites, which the exact engine plans in some seconds."""
    folder = tmp_path_factory.mktemp("fleet") / "twenty"
    write_fleet(folder, 20, 0)
    return folder


@pytest.fixture(scope="module")
def problem(fleet: Path) -> Problem:
    """Return the problem that it poses."""
    return read_problem(fleet, SINCE, UNTIL)


@pytest.fixture(scope="module")
def whole(problem: Problem) -> Plan:
    """Return the plan that nobody stopped."""
    return plan(problem, is_explained=False)


def stopped_in(phase: str, problem: Problem, current: Plan | None = None) -> tuple[Plan, list[Progress]]:
    """Return the plan of somebody who said stop at the first word of a phase, and all that was reported until then."""
    seen: list[Progress] = []

    def show(progress: Progress) -> None:
        seen.append(progress)
        watch.is_stopped = watch.is_stopped or progress.phase == phase

    watch = Watch(show)
    made = plan(problem, current=current, watch=watch)
    assert watch.is_stopped, [progress.phase for progress in seen]
    return made, seen


def unserved(made: Plan) -> tuple[int, int]:
    """Return how many workloads are unplaced, and how many are degraded."""
    return len(made.unplaced), sum(workload.status == "degraded" for workload in made.workloads)


@pytest.mark.parametrize("phase", PHASES)
def test_the_best_plan_so_far_holds_and_claims_no_more_than_was_proved(
    phase: str, fleet: Path, problem: Problem, whole: Plan
) -> None:
    made, _ = stopped_in(phase, problem)
    assert check_bytes(made.to_bytes(), read_fleet(fleet, KINDS)).passed
    assert unserved(made) >= unserved(whole)
    assert made.cost.lower_bound_per_hour <= whole.cost.per_hour or made.cost.gap_over == "set"
    is_proven = made.cost.gap == 0 and made.cost.gap_over == "all"
    assert is_proven == (phase == "explaining")
    if is_proven:
        assert (made.cost, unserved(made)) == (whole.cost, unserved(whole))


@pytest.mark.parametrize("phase", PHASES[1:3])
def test_what_an_earlier_goal_reached_is_kept(phase: str, problem: Problem, whole: Plan) -> None:
    made, _ = stopped_in(phase, problem)
    served = PHASES.index(phase)
    assert unserved(made)[:served] == unserved(whole)[:served]


def test_who_was_not_reached_is_placed_wherever_there_is_room(problem: Problem, whole: Plan) -> None:
    made, seen = stopped_in("placing", problem)
    assert all(progress.cost is None for progress in seen)
    assert len(made.workloads) >= 0.9 * len(whole.workloads)


def test_with_a_current_plan_everybody_who_was_not_reached_stays(problem: Problem, whole: Plan) -> None:
    made, _ = stopped_in("placing", problem, current=whole)
    assert places(made) == places(whole)
    assert made.cost.gap_over == "set"


def test_the_incumbent_and_the_bound_close_in_on_the_plan(problem: Problem, whole: Plan) -> None:
    seen: list[Progress] = []
    plan(problem, watch=Watch(seen.append), is_explained=False)
    priced = [p for p in seen if p.phase == "least cost" and p.cost is not None and p.bound is not None]
    assert priced
    assert all(p.bound is not None and p.cost is not None and p.bound <= p.cost + 1e-6 for p in priced)
    assert all(0 <= p.done <= 1 for p in seen)
    assert {p.unplaced for p in priced} <= set(range(len(instance_of(problem).workloads)))
    assert min(p.gap for p in priced if p.gap is not None) < 0.05


def test_watching_changes_no_byte(problem: Problem, whole: Plan) -> None:
    watched = plan(problem, watch=Watch(lambda progress: None), is_explained=False)
    assert watched.to_bytes() == whole.to_bytes()


def test_a_rebalance_that_was_stopped_early_is_not_cheap_because_it_serves_nobody() -> None:
    instance = instance_of(a_problem(a_clinic(), a_model(), a_pipeline()))
    stays = solve(instance)
    assert stays is not None
    assert cheaper(instance, stays, Solution({}, {}, Fraction(0), False, 0), 0.0) is stays


@contextmanager
def planning(fleet: Path, to: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield a process of `hybrid plan` whose progress goes to a terminal, and that terminal; it prints to `to`.txt."""
    ours, theirs = pty.openpty()
    days = ("--from", str(SINCE), "--until", str(UNTIL))
    words = [sys.executable, "-m", "hybrid", "plan", str(fleet), "-o", str(to), *days]
    with to.with_suffix(".txt").open("wb") as printed:
        process = subprocess.Popen(words, stdout=printed, stderr=theirs, env={**os.environ, **COLOURS})
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, word: bytes) -> bytes:
    """Return what a terminal shows up to a word, or to its end."""
    shown = b""
    while word not in shown:
        try:
            shown += os.read(terminal, 1 << 16)
        except OSError:  # the last who could write to it is gone
            break
    return shown


@pytest.mark.parametrize(("sites", "phase"), [(30, b"least cost"), (40, b"searching")])
def test_ctrl_c_writes_the_best_plan_so_far_and_says_so(sites: int, phase: bytes, tmp_path: Path) -> None:
    write_fleet(tmp_path / "fleet", sites, 0)
    with planning(tmp_path / "fleet", tmp_path / "plan.json") as (process, terminal):
        assert phase in read_until(terminal, phase)
        process.send_signal(signal.SIGINT)
        said = read_until(terminal, b"next:")
        process.wait(timeout=120)
    data = (tmp_path / "plan.json").read_bytes()
    written = json.loads(data)
    assert b"stopped: this is the best plan so far" in said
    assert "proven optimal" not in (tmp_path / "plan.txt").read_text()
    assert process.returncode == (1 if written["unplaced"] else 0)
    assert written["workloads"]
    assert written["cost"]["gapOver"] == "set" or written["cost"]["gap"] != 0
    assert check_bytes(data, read_fleet(tmp_path / "fleet", KINDS)).passed


def test_a_second_ctrl_c_ends_it_all_and_writes_nothing(tmp_path: Path) -> None:
    """On a busy machine the plan may be there before the second: then it is tried again."""
    write_fleet(tmp_path / "fleet", 30, 0)
    for attempt in range(5):
        file = tmp_path / f"plan-{attempt}.json"
        with planning(tmp_path / "fleet", file) as (process, terminal):
            read_until(terminal, b"placing")
            process.send_signal(signal.SIGINT)
            read_until(terminal, b"explaining")
            process.send_signal(signal.SIGINT)
            read_until(terminal, b"next:")
            process.wait(timeout=120)
        if process.returncode in (130, -signal.SIGINT):
            assert not file.exists()
            return
        assert check_bytes(file.read_bytes(), read_fleet(tmp_path / "fleet", KINDS)).passed
    pytest.fail("each of five plans was there before the second Ctrl-C")
