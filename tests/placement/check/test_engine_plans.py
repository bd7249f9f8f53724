"""Whatever the engine plans, the checker, which shares nothing with it, has nothing to say against."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from placement.check import check
from placement.engine import plan
from placement.problem import KINDS, problem_of
from sites.fleet import Fleet, read_fleet
from sites.question import Window
from tests.placement.check.test_mutations import BROKEN_FLEETS
from tests.support.check import SINCE, UNTIL, a_fleet
from tests.support.check_clinics import clinics, fleet_and_plan, laws

EXAMPLE = Path(__file__).parents[3] / "sites" / "examples" / "clinics"


def planned_and_checked(fleet: Fleet, since: dt.date, until: dt.date) -> list[str]:
    """Plan, check, and return the findings as text."""
    document = plan(problem_of(fleet, Window(since, until))).to_json()
    return [f"{f.code} {f.workload} {f.subject}: {f.expected} / {f.found}" for f in check(document, fleet).findings]


def test_the_plan_of_the_example_fleet_holds() -> None:
    assert planned_and_checked(read_fleet(EXAMPLE, KINDS), SINCE, UNTIL) == []


def test_the_engine_finds_the_plan_that_was_worked_out_by_hand() -> None:
    fleet, by_hand = fleet_and_plan()
    found = plan(problem_of(fleet, Window(SINCE, UNTIL))).to_json()
    assert found["pools"] == by_hand["pools"]
    assert [entry["latency_ms"] for entry in found["workloads"]] == [w["latency_ms"] for w in by_hand["workloads"]]
    assert {key: found["cost"][key] for key in ("perHour", "billedPerHour", "egressPerHour")} == {
        key: by_hand["cost"][key] for key in ("perHour", "billedPerHour", "egressPerHour")
    }


REFUSED = ("the workload must survive", "the model is approved by nobody")
"""What the reader of problems refuses; this version does not plan `survive`."""


@pytest.mark.parametrize(
    "name",
    [name for name in BROKEN_FLEETS if name not in REFUSED],
)
def test_a_changed_fleet_is_planned_anew_and_holds(name: str) -> None:
    documents = clinics()
    BROKEN_FLEETS[name][1](documents)
    assert planned_and_checked(a_fleet(documents, laws()), SINCE, UNTIL) == []


def test_each_flow_that_a_fallback_needs_is_missed() -> None:
    """Somebody thins out a plan: its fallback orders stay, and a gateway under it could serve none of them."""
    fleet = read_fleet(EXAMPLE, KINDS)
    document = plan(problem_of(fleet, Window(SINCE, UNTIL))).to_json()
    cut = 0
    for workload in document["workloads"]:
        for part in workload["assignments"]:
            whole = part["flows"]
            for flow in [flow for flow in whole if flow["role"] == "fallback"]:
                part["flows"] = [other for other in whole if other is not flow]
                found = {(one.code, one.workload, one.found) for one in check(document, fleet).findings}
                assert ("invariant/1", workload["id"], "absent") in found, flow
                cut += 1
            part["flows"] = whole
    assert cut >= 10
    assert check(document, fleet).findings == ()
