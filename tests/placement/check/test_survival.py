"""What must survive: every loss that touches it has its assignments in the plan, and they hold together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from placement.check import Finding, check, check_bytes
from placement.engine import plan as planned
from placement.problem import problem_of
from sites.fleet import Fleet
from sites.question import Window
from tests.placement.check.test_classes import canonical
from tests.support.check import SINCE, UNTIL, Shape, a_fleet, a_rule
from tests.support.check_clinics import clinics, laws

LYON = "patient-message@clinic-lyon"
PARIS, WIRE = "site:dc-paris", "link:clinic-lyon--dc-paris"
Change = Callable[[Any], Any]


def two_regions() -> dict[str, Shape]:
    """Return the clinics with a second data centre, and a pipeline that must survive."""
    documents = clinics()
    paris, lyon = documents["sites/dc-paris.yaml"], documents["sites/clinic-lyon.yaml"]
    documents["sites/dc-lille.yaml"] = {**copy.deepcopy(paris), "metadata": {"name": "dc-lille"}}
    wire = lyon["spec"]["connectivity"]["links"][0]
    lyon["spec"]["connectivity"]["links"] = [wire, {**wire, "to": "dc-lille", "rtt": "25ms"}]
    documents["pipeline.yaml"]["spec"]["survive"] = 1
    return documents


@cache
def _plan() -> Shape:
    return planned(problem_of(a_fleet(two_regions(), laws()), Window(SINCE, UNTIL))).to_json()


def fleet_and_plan() -> tuple[Fleet, Shape]:
    return a_fleet(two_regions(), laws()), copy.deepcopy(_plan())


def found(breaks: Change = lambda plan: None, fleet: Change = lambda documents: None) -> tuple[Finding, ...]:
    documents = two_regions()
    fleet(documents)
    given, plan = a_fleet(documents, laws()), copy.deepcopy(_plan())
    plan["inputs"] = dict(given.digests)
    plan["invariants"]["checked"] = []
    breaks(plan)
    return check(plan, given).findings


def test_what_the_engine_plans_for_each_loss_holds() -> None:
    fleet, plan = fleet_and_plan()
    assert {entry["lost"] for entry in plan["failures"]} == {PARIS, WIRE} or {
        entry["lost"] for entry in plan["failures"]
    } == {"site:dc-lille", "link:clinic-lyon--dc-lille"}
    assert check(plan, fleet).findings == ()
    assert check_bytes(canonical(plan), fleet).findings == ()


def failure(plan: Shape) -> Shape:
    return next(entry for entry in plan["failures"] if entry["lost"].startswith("site:"))


def moved(plan: Shape) -> Shape:
    return failure(plan)["workloads"][0]["assignments"][0]


def draft(plan: Shape) -> Shape:
    return next(stage for stage in moved(plan)["stages"] if stage["stage"] == "draft")


def the_pool(plan: Shape) -> Shape:
    """Return the pool that is used after the loss alone."""
    return next(pool for pool in plan["pools"] if pool["site"] == draft(plan)["site"])


def usual(plan: Shape) -> Shape:
    return next(entry for entry in plan["workloads"] if entry["id"] == LYON)["assignments"][0]


def degraded(plan: Shape) -> None:
    here = moved(plan)
    here["stages"] = [stage for stage in here["stages"] if stage["stage"] != "draft"]


BROKEN: dict[str, tuple[str, Change]] = {
    "no failure is listed": ("invariant/15", lambda plan: plan.pop("failures")),
    "one failure is missing": ("invariant/15", lambda plan: plan["failures"].pop()),
    "one is there twice": ("invariant/15", lambda plan: plan["failures"].append(plan["failures"][0])),
    "one of a site that is none": ("invariant/15", lambda plan: failure(plan).update(lost="site:mars")),
    "one without its kind": ("invariant/15", lambda plan: failure(plan).update(lost=failure(plan)["lost"][5:])),
    "one of a site that nobody uses": (
        "invariant/15", lambda plan: plan["failures"].append({**failure(plan), "lost": "site:ship"})),
    "a workload is missing in it": ("invariant/15", lambda plan: failure(plan).update(workloads=[])),
    "a workload is there twice": (
        "invariant/15", lambda plan: failure(plan)["workloads"].append(failure(plan)["workloads"][0])),
    "a workload that is not touched": (
        "invariant/15", lambda plan: failure(plan)["workloads"][0].update(id="patient-message@ship")),
    "it stays where the loss is": ("invariant/15", lambda plan: failure(plan)["workloads"][0].update(
        assignments=[usual(plan)])),
    "it is degraded after the loss": ("invariant/15", degraded),
    "half of it goes nowhere": ("invariant/15", lambda plan: moved(plan).update(fraction=0.5)),
    "nothing serves it": ("invariant/15", lambda plan: failure(plan)["workloads"][0].update(assignments=[])),
    "a variant that is none": ("invariant/15", lambda plan: draft(plan).update(variant="int1")),
    "a label that falls": ("invariant/15", lambda plan: moved(plan)["flows"][0].update(label=[])),
    "rules that are none": ("invariant/15", lambda plan: draft(plan).update(rules=["law/none"])),
    "a route back over what is lost": ("invariant/15", lambda plan: moved(plan)["flows"][-1].update(
        route=[draft(plan)["site"], "clinic-lyon", "dc-paris", "clinic-lyon"])),
    "its pool is not kept": ("plan/pools", lambda plan: plan["pools"].remove(the_pool(plan))),
    "its pool has no replica": ("invariant/15", lambda plan: the_pool(plan).update(replicas=0, nodes={})),
    "its pool has no node": ("plan/nodes", lambda plan: the_pool(plan).update(nodes={})),
    "its pool pretends to be used": ("plan/load", lambda plan: the_pool(plan).update(load=0.5)),
    "nobody pays for its pool": ("plan/cost", lambda plan: next(
        entry for entry in plan["workloads"] if entry["id"] == LYON).update(costPerHour=0.520339)),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_one_thing_broken_in_a_failure_is_named(name: str) -> None:
    code, breaks = BROKEN[name]
    assert code in {finding.code for finding in found(breaks)}


def other(documents: dict[str, Shape]) -> Shape:
    """Return the data centre that takes over."""
    name = draft(_plan())["site"]
    return documents[f"sites/{name}.yaml"]["spec"]


def wire_to(documents: dict[str, Shape], name: str) -> Shape:
    links = documents["sites/clinic-lyon.yaml"]["spec"]["connectivity"]["links"]
    return next(link for link in links if link["to"] == name)


def refuses(**rule: Any) -> Change:
    whole = {**a_rule("new", "prohibit"), **rule}
    return lambda documents: documents["policy.yaml"]["spec"]["rules"].append(whole)


WORSE: dict[str, Change] = {
    "failing over is prohibited": refuses(activities=["failover"]),
    "failing over would be abroad": lambda documents: other(documents).update(activities={"failover": "US"}),
    "the wire to it is too narrow": lambda documents: wire_to(documents, draft(_plan())["site"]).update(
        bandwidth="40kbit/s"),
    "it is tainted": lambda documents: other(documents).update(taints=[{"name": "moved", "reason": "in May"}]),
    "it serves its own": lambda documents: other(documents).update(serves="own"),
    "what stays apart meets there": lambda documents: documents["pipeline.yaml"]["spec"].update(
        apart=[{"stages": ["recall", "draft"], "by": "country"}]),
    "one site serves too much then": lambda documents: documents["pipeline.yaml"]["spec"].update(
        spread=[{"stage": "draft", "by": "site", "most": 0.4}]),
}  # fmt: skip


@pytest.mark.parametrize("name", WORSE)
def test_what_does_not_hold_after_a_loss_is_named(name: str) -> None:
    assert any(one.code == "invariant/15" and "without" in one.subject for one in found(fleet=WORSE[name]))


def test_who_must_not_survive_needs_no_failures() -> None:
    def not_at_all(documents: dict[str, Shape]) -> None:
        documents["pipeline.yaml"]["spec"]["survive"] = 0

    codes = {(one.code, one.subject) for one in found(lambda plan: plan.pop("failures"), not_at_all)}
    assert not any(code == "invariant/15" for code, _ in codes)
