"""A label falls in the planner at a registered declassifier, and only for what was looked at."""

from __future__ import annotations

from typing import Any

import pytest

from placement.propagation import propagate
from tests.support.placement import DIGEST, a_model, a_pipeline, a_stage
from tests.support.sites import WINDOW, a_policy, a_site

HEALTH, OPERATIONS = "user.health_and_medical", "system.operations"
GATE: dict[str, Any] = {
    "stage": "triage", "digest": DIGEST, "fromAtoms": [{"data": HEALTH}],
    "toAtoms": [{"data": OPERATIONS, "law": ["FR"]}], "recipients": ["keep"], "sites": ["clinic"],
    "approver": "Officer (example)", "until": "2027-12-31",
}  # fmt: skip


def kept(
    *gates: dict[str, Any], owner: str | None = "Nurses", data: str = HEALTH, policy: Any = None, **given: Any
) -> dict[str, tuple[str, ...] | None]:
    """Return classes and laws that the stage behind `triage` receives; `policy` and `given` add to policy and stage."""
    triage = a_stage(**({} if owner is None else {"owner": owner}), **given)
    pipeline = a_pipeline("mail", triage, a_stage("keep", models=["other"], after=["triage"]), input={"data": [data]})
    models = {"small": a_model(), "other": a_model("other")}
    labels = propagate(pipeline, a_site(), models, {}, a_policy(declassifiers=list(gates), **(policy or {})), WINDOW)
    return {atom.data: atom.law for atom in labels.stages["keep"]}


def test_what_was_approved_falls() -> None:
    assert kept(GATE) == {OPERATIONS: ("FR",)}
    assert kept() == {HEALTH: ("FR",)}


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha256:" + "1" * 64},
        {"approver": "Nurses"},
        {"approver": " nurses "},
        {"approver": "\uff2eurses"},
        {"until": "2027-02-27"},
        {"recipients": ["answer"]},
        {"parameters": {"threshold": 3}},
        {"fromAtoms": [{"data": "user"}]},
        {"fromAtoms": [{"data": HEALTH, "law": ["CH"]}]},
        {"fromAtoms": [{"data": HEALTH, "purposes": ["analytics"]}]},
        {"fromAtoms": [{"data": HEALTH, "identifiability": "anonymised"}]},
    ],
)
def test_what_was_not_approved_so_stays(change: dict[str, Any]) -> None:
    assert kept({**GATE, **change}) == {HEALTH: ("FR",)}


def test_without_an_owner_nothing_falls() -> None:
    assert kept(GATE, owner=None) == {HEALTH: ("FR",)}


def test_an_approval_for_a_class_is_none_for_what_lies_below() -> None:
    genetic = "user.health_and_medical.genetic"
    assert kept(GATE, data=genetic) == {genetic: ("FR",)}


def test_a_law_that_nobody_names_for_what_is_left_is_unknown() -> None:
    assert kept({**GATE, "toAtoms": [{"data": OPERATIONS}]}) == {OPERATIONS: None}


def test_parameters_are_those_registered_flags_are_no_numbers() -> None:
    assert kept({**GATE, "parameters": {"threshold": 3}}, parameters={"threshold": 3}) == {OPERATIONS: ("FR",)}
    assert kept({**GATE, "parameters": {"threshold": 1}}, parameters={"threshold": True}) == {HEALTH: ("FR",)}
    assert kept(GATE, parameters={"threshold": 3}) == {HEALTH: ("FR",)}


def test_of_two_registrations_the_one_with_the_stage_s_parameters_counts() -> None:
    other = {**GATE, "parameters": {"threshold": 4}}
    assert kept(other, {**GATE, "parameters": {"threshold": 3}}, parameters={"threshold": 3}) == {OPERATIONS: ("FR",)}


OFFICER = {"name": "Officer (example)", "data": "user", "from": "2026-01-01", "until": "2027-12-31"}


@pytest.mark.parametrize(
    ("approvers", "falls"),
    [
        ([OFFICER], True),
        ([{**OFFICER, "name": "officer  (EXAMPLE)"}], True),
        ([], False),
        ([{**OFFICER, "name": "Nurses"}], False),
        ([{**OFFICER, "data": "user.financial"}], False),
        ([{**OFFICER, "from": "2026-12-02"}], False),
        ([{**OFFICER, "until": "2027-02-27"}], False),
    ],
)
def test_labels_fall_only_under_an_approver_with_authority(approvers: list[dict[str, Any]], falls: bool) -> None:
    expected = {OPERATIONS: ("FR",)} if falls else {HEALTH: ("FR",)}
    assert kept(GATE, policy={"approvers": approvers}) == expected
