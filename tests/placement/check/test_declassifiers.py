"""A label falls at a registered declassifier and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from placement.check import CheckResult, check
from placement.check.declassifying import lowering
from placement.check.labels import Labels
from placement.check.snapshot import Snapshot
from placement.pipeline import Pipeline
from placement.propagation import propagate
from sites.policy import Policy
from sites.question import Window
from sites.site import Site
from tests.support.check import SINCE, UNTIL, ZERO, Shape, a_fleet, merged
from tests.support.check_clinics import HEALTH, OPERATIONS, clinics, laws, the_plan

REGISTERED: Shape = {
    "stage": "triage", "digest": ZERO, "fromAtoms": [{"data": HEALTH}],
    "toAtoms": [{"data": OPERATIONS, "law": ["FR"], "purposes": ["essential"]}],
    "recipients": ["draft"], "sites": ["clinic-lyon"],
    "approver": "Data protection officer (example)", "until": "2027-12-31",
}  # fmt: skip
LOWERED = [{"data": OPERATIONS, "law": ["FR"], "purposes": ["essential"]}]


def checked(
    *,
    owner: str | None = "Clinic staff (example)",
    given: Shape | None = None,
    approvers: list[Shape] | None = None,
    **changes: Any,
) -> CheckResult:
    """Check a plan in which `triage` sends operations data only, under a declassifier with these changes.

    `given` are the stage's parameters, `approvers` the policy's.
    """
    documents = clinics()
    documents["pipeline.yaml"]["spec"]["stages"][0] |= {"parameters": given} if given else {}
    documents["policy.yaml"]["spec"] |= {} if approvers is None else {"approvers": approvers}
    documents["policy.yaml"]["spec"]["declassifiers"] = [merged(REGISTERED, changes)]
    if owner:
        documents["pipeline.yaml"]["spec"]["stages"][0]["owner"] = owner
    fleet = a_fleet(documents, laws())
    plan = the_plan(fleet)
    flows = plan["workloads"][0]["assignments"][0]["flows"]
    sent = next(flow for flow in flows if (flow["fromStage"], flow["toStage"]) == ("triage", "draft"))
    sent.update(label=LOWERED, rules=["clinics/operations-anywhere", "eu-law/inside"])
    return check(plan, fleet)


def test_a_registered_declassifier_lowers_the_label_for_its_recipient() -> None:
    result = checked()
    assert result.findings == ()
    assert 3 in result.checked
    assert "authority" in result.not_checked[4]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("invariant/3", {"digest": "sha256:" + "1" * 64}),
        ("invariant/3", {"recipients": ["answer"]}),
        ("invariant/3", {"fromAtoms": [{"data": "user.financial"}]}),
        ("invariant/3", {"fromAtoms": [{"data": HEALTH, "identifiability": "anonymised"}]}),
        ("invariant/3", {"fromAtoms": [{"data": HEALTH, "law": ["CH"]}]}),
        ("invariant/3", {"fromAtoms": [{"data": "user"}]}),
        ("invariant/3", {"fromAtoms": [{"data": HEALTH, "purposes": ["analytics"]}]}),
        ("invariant/2", {"toAtoms": [{"data": OPERATIONS, "purposes": ["essential"]}]}),
        ("invariant/4", {"approver": "Clinic staff (example)"}),
        ("invariant/4", {"approver": "CLINIC  \u00a0staff (example) "}),
        ("invariant/4", {"approver": "\uff23linic staff (example)"}),
        ("invariant/4", {"until": "2027-03-30"}),
        ("invariant/4", {"owner": None}),
        ("invariant/5", {"sites": ["dc-paris"]}),
    ],
)
def test_a_declassifier_that_is_not_as_registered_lowers_nothing(code: str, changes: Shape) -> None:
    assert code in {finding.code for finding in checked(**changes).findings}


def test_without_registration_nothing_falls() -> None:
    found = {finding.code for finding in checked(stage="recall").findings}
    assert "invariant/3" in found


def test_a_declassifier_with_parameters_lowers_a_stage_that_runs_with_the_same() -> None:
    assert checked(parameters={"threshold": 3, "strict": True}, given={"strict": True, "threshold": 3}).findings == ()


@pytest.mark.parametrize("given", [{}, {"threshold": 4}, {"threshold": True}, {"threshold": 3, "strict": True}])
def test_other_parameters_lower_nothing(given: Shape) -> None:
    registered = {"threshold": 1} if given == {"threshold": True} else {"threshold": 3}
    found = checked(parameters=registered, given=given).findings
    assert any(finding.invariant == 3 and "parameters" in finding.expected for finding in found)


IN_FORCE = {"from": "2026-01-01", "until": "2027-12-31"}
OFFICER = {"name": "Data protection  Officer (example)", "data": "user", **IN_FORCE}


def test_an_approver_with_authority_over_the_class_or_one_above_closes_invariant_4() -> None:
    result = checked(approvers=[OFFICER])
    assert result.findings == ()
    assert 4 in result.checked


@pytest.mark.parametrize(
    "approvers",
    [
        [],
        [{**OFFICER, "name": "Somebody else"}],
        [{**OFFICER, "data": "user.financial"}],
        [{**OFFICER, "data": "user.health_and_medical.genetic"}],
        [{**OFFICER, "from": "2026-12-02"}],
        [{**OFFICER, "until": "2027-03-30"}],
        [{**OFFICER, "until": "2027-01-01"}, {**OFFICER, "from": "2027-01-02"}],
    ],
)
def test_an_approver_without_authority_lowers_nothing(approvers: list[Shape]) -> None:
    found = checked(approvers=approvers).findings
    assert any(finding.invariant == 4 and "authority" in finding.expected for finding in found)


def test_a_registration_that_nobody_relies_upon_may_be_out_of_date() -> None:
    """A planner that lowers nothing there makes a good plan."""
    documents = clinics()
    documents["policy.yaml"]["spec"]["declassifiers"] = [{**REGISTERED, "until": "2027-01-01"}]
    documents["pipeline.yaml"]["spec"]["stages"][0]["owner"] = "Clinic staff (example)"
    fleet = a_fleet(documents, laws())
    assert check(the_plan(fleet), fleet).findings == ()


def registered(*entries: Shape) -> dict[str, Shape]:
    """Return the clinics with these registrations, where `draft` follows `triage` alone."""
    documents = clinics()
    documents["policy.yaml"]["spec"]["declassifiers"] = list(entries)
    spec = documents["pipeline.yaml"]["spec"]
    spec["stages"][0] |= {"owner": "Clinic staff (example)"}
    spec["stages"][2] |= {"after": ["triage"], "fallback": []}
    spec["fallbacks"] = []
    return documents


def test_of_two_registrations_the_first_counts() -> None:
    assert sent_on(registered(REGISTERED, {**REGISTERED, "recipients": ["answer"]})) == {OPERATIONS}
    assert sent_on(registered({**REGISTERED, "recipients": ["answer"]}, REGISTERED)) == {HEALTH}


def test_a_fallback_in_the_place_of_a_declassifier_lowers_nothing() -> None:
    documents = registered(REGISTERED)
    documents["pipeline.yaml"]["spec"]["stages"][0] |= {"fallback": ["raw"]}
    documents["pipeline.yaml"]["spec"]["fallbacks"] = [{"name": "raw", "task": "quote", "output": "1KiB"}]
    assert sent_on(documents) == {HEALTH, OPERATIONS}


def sent_on(documents: dict[str, Shape]) -> set[str]:
    """Return the classes that `draft` holds, which planner and checker agree upon."""
    fleet = a_fleet(documents, laws())
    (pipeline,), (policy,) = fleet.of(Pipeline), fleet.of(Policy)
    snapshot, home = Snapshot.of(fleet), next(site for site in fleet.of(Site) if site.name == "clinic-lyon")
    checked = Labels(pipeline, home, snapshot, lowering(pipeline, policy, snapshot, (SINCE, UNTIL))).of("draft")
    planned = propagate(
        pipeline, home, snapshot.models, snapshot.knowledge, policy, Window(SINCE, UNTIL)
    ).stages["draft"]  # fmt: skip
    assert checked == planned
    return {atom.data for atom in checked}
