"""A plan written by hand from the design passes; what is not known is said, and is no pass."""

from __future__ import annotations

import pytest

from placement.check import INVARIANTS, check
from placement.errors import PlacementError
from tests.support.check_clinics import fleet_and_plan


def test_a_plan_worked_out_by_hand_has_no_findings() -> None:
    fleet, plan = fleet_and_plan()
    result = check(plan, fleet)
    assert result.findings == ()
    assert result.passed


def test_every_invariant_is_either_checked_or_named_with_what_is_missing() -> None:
    fleet, plan = fleet_and_plan()
    result = check(plan, fleet)
    assert sorted([*result.checked, *result.not_checked]) == list(range(1, 21)) == list(INVARIANTS)
    assert result.not_checked == {
        11: "no rule relies on encryption (readableBy): every party counts as reading",
        14: "subprocessors of clinic-lyon/keyCustodian, clinic-lyon/operator, clinic-lyon/owner and 9 more",
        17: "no atom gives keyRef",
        18: "the Policy of tenant default declares no retention",
        19: "media of ship",
    }


def test_checking_twice_gives_the_same_and_leaves_the_plan_as_it_was() -> None:
    fleet, plan = fleet_and_plan()
    before = repr(plan)
    assert check(plan, fleet) == check(plan, fleet)
    assert repr(plan) == before


@pytest.mark.parametrize(
    ("name", "change"),
    [("policy.yaml", "sha256:" + "1" * 64), ("pack:eu-law", "sha256:" + "2" * 64), ("pipeline.yaml", None)],
)
def test_a_stale_plan_is_wrong_input_and_names_what_changed(name: str, change: str | None) -> None:
    fleet, plan = fleet_and_plan()
    if change is None:
        del plan["inputs"][name]
    else:
        plan["inputs"][name] = change
    with pytest.raises(PlacementError, match=name) as caught:
        check(plan, fleet)
    assert caught.value.exit_code == 2
    assert caught.value.advice


def test_an_input_that_is_gone_makes_the_plan_stale() -> None:
    fleet, plan = fleet_and_plan()
    plan["inputs"]["sites/berlin.yaml"] = "sha256:" + "3" * 64
    with pytest.raises(PlacementError, match=r"sites/berlin\.yaml is gone"):
        check(plan, fleet)


def test_a_plan_beside_another_checker_leaves_invariant_20_open() -> None:
    fleet, plan = fleet_and_plan()
    plan["inputs"]["checker"] = "sha256:" + "4" * 64
    result = check(plan, fleet)
    assert result.passed
    assert "another checker" in result.not_checked[20]


@pytest.mark.parametrize("field", ["workloads", "inputs", "cost", "from", "kind"])
def test_a_plan_without_a_field_is_wrong_input(field: str) -> None:
    fleet, plan = fleet_and_plan()
    del plan[field]
    with pytest.raises(PlacementError, match=field):
        check(plan, fleet)


def test_a_window_that_ends_before_it_begins_is_wrong_input() -> None:
    fleet, plan = fleet_and_plan()
    plan["until"] = "2026-11-30"
    with pytest.raises(PlacementError, match="before it begins"):
        check(plan, fleet)
