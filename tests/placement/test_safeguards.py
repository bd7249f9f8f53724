"""Bounded copies, air gaps, sub-processors and keys: the planner refuses, the checker names the number, both alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from placement.check import check
from placement.engine import plan
from placement.instance import instance_of
from placement.problem import problem_of
from sites.question import Window
from tests.support.check import SINCE, UNTIL, Shape, a_fleet, a_rule
from tests.support.check_clinics import HEALTH, OPERATIONS, clinics, laws

Change = Callable[[dict[str, Shape]], Any]
SITES = ("sites/clinic-lyon.yaml", "sites/dc-paris.yaml", "sites/ship.yaml")
STICK = {"kind": "usb", "direction": "both", "carries": ["bundle", "receipt"]}


def changed(*changes: Change) -> dict[str, Shape]:
    documents = clinics()
    for change in changes:
        change(documents)
    return documents


def keeps(retain: str | None, stage: int = 0) -> Change:
    kept = {"async": True} if retain is None else {"retain": retain}
    return lambda documents: documents["pipeline.yaml"]["spec"]["stages"][stage].update(kept)


def caps(**most: str) -> Change:
    names = {"health": HEALTH, "operations": OPERATIONS, "user": "user"}
    bounds = [{"data": names[name], "most": bound} for name, bound in most.items()]
    return lambda documents: documents["policy.yaml"]["spec"].update(retention=bounds)


def erases(within: str, *files: str) -> Change:
    def change(documents: dict[str, Shape]) -> None:
        for file in files or SITES:
            documents[file]["spec"]["erasure"] = {"within": within}

    return change


def documents_stay(retain: str) -> Change:
    return lambda documents: documents["knowledge.yaml"]["spec"].update(retain=retain)


def media(*found: Shape) -> Change:
    return lambda documents: documents["sites/ship.yaml"]["spec"].update(media=list(found))


def outcome(documents: dict[str, Shape]) -> tuple[dict[str, set[str]], Any]:
    """Return what refuses each stage at its own clinic, and what the checker says of the plan that was made."""
    fleet = a_fleet(documents, laws())
    problem = problem_of(fleet, Window(SINCE, UNTIL))
    refused = {
        f"{stage}@{site}": {reason.rule for reason in reasons}
        for workload in instance_of(problem).workloads.values()
        for stage, sites in workload.refusals.items()
        for site, reasons in sites.items()
        if site == workload.origin.name
    }
    return refused, check(plan(problem).to_json(), fleet)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ((keeps("30d"), caps(health="90d"), erases("30d")), set()),
        ((keeps("60d"), caps(health="90d"), erases("30d")), set()),
        ((keeps("61d"), caps(health="90d"), erases("30d")), {f"retention:{HEALTH}"}),
        ((keeps("30d"), caps(user="31d"), erases("2d")), {"retention:user"}),
        ((keeps("30d"), caps(health="90d")), {"erasure:none"}),
        ((keeps(None), caps(health="90d"), erases("1d")), {f"retention:{HEALTH}"}),
        ((keeps(None), caps(health="90d")), {f"retention:{HEALTH}", "erasure:none"}),
        ((keeps("30d"), caps(operations="1d"), erases("30d")), set()),
        ((keeps("30d"), erases("30d")), set()),
        ((caps(health="1d"),), set()),
    ],
)
def test_a_copy_outlives_no_cap_and_can_be_erased(changes: tuple[Change, ...], rules: set[str]) -> None:
    refused, result = outcome(changed(*changes))
    assert refused.get("triage@clinic-lyon", set()) == rules
    assert result.findings == ()


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ((caps(operations="90d"), documents_stay("60d"), erases("30d")), set()),
        ((caps(operations="90d"), documents_stay("61d"), erases("30d")), {f"retention:{OPERATIONS}"}),
        ((caps(operations="90d"), erases("30d")), {f"retention:{OPERATIONS}"}),
        ((caps(health="90d"), erases("30d")), set()),
    ],
)
def test_documents_are_copies_too(changes: tuple[Change, ...], rules: set[str]) -> None:
    refused, result = outcome(changed(*changes))
    assert refused.get("recall@clinic-lyon", set()) == rules
    assert result.findings == ()


def test_bounded_copies_with_an_erasure_path_close_invariant_18() -> None:
    _, result = outcome(changed(caps(health="90d"), documents_stay("30d"), erases("30d")))
    assert 18 in result.checked
    _, result = outcome(changed(caps(health="90d"), documents_stay("30d"), erases("30d", SITES[0])))
    assert result.not_checked[18] == "erasure at ship"
    _, result = outcome(changed(caps(health="90d"), erases("30d")))
    assert "care-protocols" in result.not_checked[18]


@pytest.mark.parametrize(
    ("found", "rules"),
    [
        ([STICK], set()),
        ([{**STICK, "direction": "in"}, {**STICK, "kind": "paper", "direction": "out", "carries": ["receipt"]}], set()),
        ([{**STICK, "direction": "in"}], {"media:receipt"}),
        ([{**STICK, "direction": "out"}], {"media:bundle"}),
        ([{**STICK, "carries": ["bundle"]}], {"media:receipt"}),
        ([{**STICK, "carries": ["evidence"]}], {"media:bundle", "media:receipt"}),
        ([], {"media:bundle", "media:receipt"}),
    ],
)
def test_what_crosses_an_air_gap_crosses_it_as_declared(found: list[Shape], rules: set[str]) -> None:
    refused, result = outcome(changed(media(*found)))
    assert refused["triage@ship"] if rules else "triage@ship" not in refused
    assert refused.get("triage@ship", set()) == rules
    assert result.findings == ()
    assert 19 in result.checked


def test_media_of_a_connected_site_are_not_asked_for() -> None:
    documents = changed(lambda shapes: shapes[SITES[0]]["spec"].update(media=[]))
    refused, _ = outcome(documents)
    assert "triage@clinic-lyon" not in refused


def hires(file: str, role: str, *others: Shape) -> Change:
    def change(documents: dict[str, Shape]) -> None:
        party = dict(documents[file]["spec"]["parties"][role])
        documents[file]["spec"]["parties"][role] = {**party, "subprocessors": list(others)}

    return change


ABROAD = {"name": "Hired Inc", "country": "US", "controlledBy": []}
LOCAL = {"name": "Hired SA", "country": "FR", "controlledBy": []}


@pytest.mark.parametrize(
    ("hired", "stays"),
    [(LOCAL, True), (ABROAD, False), ({**LOCAL, "subprocessors": [ABROAD]}, False),
     ({**LOCAL, "controlledBy": [ABROAD]}, False), ({"name": "Hired"}, False)],
)  # fmt: skip
def test_who_processes_for_a_party_takes_part(hired: Shape, stays: bool) -> None:
    refused, result = outcome(changed(hires("sites/clinic-lyon.yaml", "operator", hired)))
    assert ("triage@clinic-lyon" not in refused) == stays
    assert result.findings == ()


def test_sub_processors_declared_to_the_last_close_invariant_14() -> None:
    def everywhere(documents: dict[str, Shape]) -> None:
        for file in SITES:
            for role in list(documents[file]["spec"]["parties"]):
                hires(file, role)(documents)

    _, result = outcome(changed(everywhere))
    assert 14 in result.checked
    _, result = outcome(changed(everywhere, hires(SITES[0], "owner", LOCAL)))
    assert result.not_checked[14] == "subprocessors of clinic-lyon/owner's sub-processor"


def through_a_relay(*, holds: bool | None, condition: str, tls: str | None = "passthrough") -> dict[str, Shape]:
    """Return the clinics with an American relay between Lyon and Paris, and one rule on who may read what passes."""
    keys = {} if holds is None else {"holdsKeys": holds}
    relay = {**ABROAD, "name": "Relay Inc", **keys}

    def change(documents: dict[str, Shape]) -> None:
        hub = {**documents["sites/dc-paris.yaml"], "metadata": {"name": "hub"}}
        roles = dict.fromkeys(("operator", "owner", "keyCustodian", "support"), relay)
        link = documents["sites/clinic-lyon.yaml"]["spec"]["connectivity"]["links"][0]
        onward = {key: value for key, value in {**link, "to": "dc-paris", "tls": tls}.items() if value is not None}
        wired = {"mode": "connected", "links": [onward]}
        hub["spec"] = {**hub["spec"], "parties": roles, "connectivity": wired, "hardware": []}
        documents["sites/hub.yaml"] = hub
        documents["sites/clinic-lyon.yaml"]["spec"]["connectivity"]["links"] = [{**link, "to": "hub"}]
        rules = documents["policy.yaml"]["spec"]["rules"]
        rules[0] = {**rules[0], "activities": ["process", "store", "backup", "log", "failover", "access"]}
        rules.append(a_rule("passes", "require", activities=["transit"], **{condition: {"within": ["EU", "CH"]}}))

    return changed(change)


@pytest.mark.parametrize(
    ("holds", "condition", "tls", "routed"),
    [
        (False, "readableBy", "passthrough", True),
        (True, "readableBy", "passthrough", False),
        (None, "readableBy", "passthrough", False),
        (False, "compellableBy", "passthrough", False),
        (False, "readableBy", None, False),
    ],
)
def test_ciphertext_may_pass_who_holds_no_key(
    holds: bool | None, condition: str, tls: str | None, routed: bool
) -> None:
    documents = through_a_relay(holds=holds, condition=condition, tls=tls)
    fleet = a_fleet(documents, laws())
    made = plan(problem_of(fleet, Window(SINCE, UNTIL)))
    lyon = next(workload for workload in made.workloads if workload.origin == "clinic-lyon")
    assert (lyon.status == "placed") == routed
    result = check(made.to_json(), fleet)
    assert result.findings == ()
    assert (11 in result.checked) == (condition == "readableBy")
