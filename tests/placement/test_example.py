"""The example fleet tells its story: what may go anywhere goes where it is cheap, what may not stays home."""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from placement.check import check
from placement.engine import plan
from placement.explanation.standing import Standing
from placement.explanation.why import why_not
from placement.plan import Plan
from placement.plan_reading import parse_plan
from placement.problem import KINDS, Problem, read_problem
from sites.fleet import read_fleet

CLINICS = Path(str(files("sites") / "examples" / "clinics"))
EUROPEAN = ("clinic-", "dc-paris")


@cache
def problem() -> Problem:
    return read_problem(CLINICS, dt.date(2026, 12, 1), dt.date(2027, 2, 28))


@cache
def planned() -> Plan:
    return plan(problem())


def test_every_workload_is_served() -> None:
    assert planned().unplaced == ()
    assert planned().cost.gap == 0


def test_logs_go_where_it_is_cheapest_overseas() -> None:
    at = {w.origin: w.assignments[0].stages[0].site for w in planned().workloads if w.pipeline == "log-triage"}
    assert at["clinic-lyon"] == at["clinic-bern"] == "dc-virginia"


def test_messages_stay_under_european_control() -> None:
    messages = [w for w in planned().workloads if w.pipeline == "patient-message"]
    places = {s.site for w in messages for s in w.assignments[0].stages} | {
        site for w in messages for flow in w.assignments[0].flows for site in flow.route
    }
    assert all(place.startswith(EUROPEAN) for place in places)
    assert {s.site for w in messages for s in w.assignments[0].stages if s.stage == "draft"} == {"dc-paris"}


def test_the_disconnected_clinic_quotes_at_home() -> None:
    jura = planned().workload("patient-message@clinic-jura")
    assert jura is not None
    assert jura.status == "degraded"
    assert {stage.stage: stage.site for stage in jura.assignments[0].stages} == {
        "recall": "clinic-jura", "quote": "clinic-jura",
    }  # fmt: skip
    assert ("link:disconnected",) in jura.causes


def test_a_connected_clinic_falls_back_to_quoting_at_home() -> None:
    lyon = planned().workload("patient-message@clinic-lyon")
    assert lyon is not None
    draft = next(order for order in lyon.fallbacks if order.stage == "draft")
    assert (draft.order[-1].stage, draft.order[-1].site) == ("quote", "clinic-lyon")
    spare = {(f.from_stage, f.to_stage) for f in lyon.assignments[0].flows if f.role == "fallback"}
    assert {("recall", "quote"), ("quote", "answer")} <= spare


@pytest.mark.parametrize("site", ["dc-frankfurt", "dc-virginia"])
def test_the_board_s_rule_is_named_where_messages_may_not_go(site: str) -> None:
    name = "patient-message@clinic-lyon"
    answer = why_not(Standing(problem(), planned()).court(name), name, "draft", site)
    assert "residency:clinics/health-stays-european-controlled" in answer.rules
    assert answer.decisions


def test_the_independent_checker_finds_nothing() -> None:
    assert check(planned().to_json(), read_fleet(CLINICS, KINDS)).passed


def test_the_file_is_the_same_to_the_byte_and_reads_back() -> None:
    data = planned().to_bytes()
    assert plan(problem()).to_bytes() == data
    assert parse_plan(data).to_bytes() == data


def test_with_nothing_changed_the_current_plan_returns() -> None:
    kept = plan(problem(), current=planned())
    assert kept.workloads == planned().workloads
    assert kept.pools == planned().pools
