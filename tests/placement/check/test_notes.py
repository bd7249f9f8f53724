"""A label that says less than is derived is no fault, because the unknown is refused; that it does is noted."""

from __future__ import annotations

from typing import Any

import pytest

from placement.check import check, check_bytes
from tests.placement.check.test_classes import canonical
from tests.support.check import Shape, a_fleet
from tests.support.check_clinics import RAW, fleet_and_plan
from tests.support.check_guarded import bound_to, guarded, guarded_plan, laws


def relabelled(plan: Shape, kind: str, **facts: Any) -> Shape:
    """Return the plan with facts of the first atom of one label changed; None takes a fact away."""
    entry = plan["workloads"][0]["assignments"][0][kind][0]
    atom = {**entry["label"][0], **facts}
    entry["label"] = [{key: value for key, value in atom.items() if value is not None}, *entry["label"][1:]]
    return plan


def test_an_honest_plan_has_no_notes() -> None:
    fleet, plan = fleet_and_plan()
    assert check(plan, fleet).notes == ()


@pytest.mark.parametrize(("kind", "name"), [("stages", "patient-message/triage"), ("flows", "input>triage")])
@pytest.mark.parametrize("facts", [{"law": None}, {"purposes": None}, {"purposes": []}, {"identifiability": None}])
def test_a_label_that_leaves_out_what_is_known_is_noted(kind: str, name: str, facts: dict[str, Any]) -> None:
    fleet, plan = fleet_and_plan()
    result = check(relabelled(plan, kind, **facts), fleet)
    assert result.findings == ()
    (note,) = result.notes
    assert name in note
    assert "refuses more than it need" in note
    assert check_bytes(canonical(plan), fleet) == result
    assert result.to_json()["notes"] == [note]


@pytest.mark.parametrize("facts", [{"law": ["DE"]}, {"law": []}, {"purposes": ["marketing"]}, {"data": "user.contact"}])
def test_a_label_that_permits_more_is_a_finding(facts: dict[str, Any]) -> None:
    fleet, plan = fleet_and_plan()
    assert RAW[0]["law"] == ["FR"]
    assert "invariant/2" in {one.code for one in check(relabelled(plan, "stages", **facts), fleet).findings}


def test_a_label_without_its_key_is_a_finding() -> None:
    """Without the key nobody sees that pseudonymised data meets the names that it stands for."""
    fleet = a_fleet(guarded(), laws())
    plan = bound_to(guarded_plan(), fleet)
    assert check(plan, fleet).findings == ()
    label = plan["workloads"][0]["assignments"][0]["stages"][0]["label"]
    assert any("keyRef" in atom for atom in label)
    plan["workloads"][0]["assignments"][0]["stages"][0]["label"] = [
        {key: value for key, value in atom.items() if key != "keyRef"} for atom in label
    ]
    assert "invariant/2" in {one.code for one in check(plan, fleet).findings}
