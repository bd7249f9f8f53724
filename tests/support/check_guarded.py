"""A fleet that says everything the twenty invariants ask, so that all of them are checked, and its plan.

The two clinics and their data centre, with an American relay on the way that holds no key, a declassifier with
parameters and an approver, an instrument, bounded copies, sub-processors, and a stick for the ship.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from placement.check import checker_digest
from placement.engine import plan
from placement.problem import problem_of
from sites.fleet import Fleet
from sites.question import Window
from tests.support.check import SINCE, UNTIL, ZERO, Shape, a_fleet, a_rule, merged
from tests.support.check_clinics import HEALTH, OPERATIONS, PURPOSE, clinics, laws

LYON, PARIS, SHIP, HUB = (f"sites/{name}.yaml" for name in ("clinic-lyon", "dc-paris", "ship", "hub"))
PIPELINE, POLICY, STORE = "pipeline.yaml", "policy.yaml", "knowledge.yaml"
ROLES = ("operator", "owner", "keyCustodian", "support")
ALWAYS = {"from": "2026-01-01", "until": "2027-12-31"}
DECLASSIFIER: Shape = {
    "stage": "triage", "digest": ZERO, "parameters": {"threshold": 3}, "fromAtoms": [{"data": HEALTH}],
    "toAtoms": [{"data": OPERATIONS, "law": ["FR"], "identifiability": "anonymised", "purposes": [PURPOSE]}],
    "recipients": ["draft"], "sites": ["clinic-lyon", "ship"], "approver": "Officer (example)", "until": "2027-12-31",
}  # fmt: skip
INSTRUMENT: Shape = {"type": "dpa", "exporter": "Group FR", "importer": "Group FR", "data": "user", **ALWAYS}


def a_member(name: str, country: str, *, keys: bool) -> Shape:
    """Return an independent party that hires nobody."""
    return {"name": name, "country": country, "controlledBy": [], "holdsKeys": keys, "subprocessors": []}


def guarded() -> dict[str, Shape]:
    """Return the manifests by file."""
    documents = clinics()
    for file in (LYON, PARIS, SHIP):
        group = dict.fromkeys(ROLES, a_member("Group FR", "FR", keys=True))
        documents[file]["spec"] |= {"parties": group, "erasure": {"within": "1d"}}
    stick = {"kind": "usb", "direction": "both", "carries": ["bundle", "receipt"]}
    documents[SHIP]["spec"]["media"] = [stick]
    link = documents[LYON]["spec"]["connectivity"]["links"][0]
    relays = {"parties": dict.fromkeys(ROLES, a_member("Relay Inc", "US", keys=False)), "hardware": []}
    wired = {"connectivity": {"mode": "connected", "links": [link]}}
    documents[HUB] = merged(documents[PARIS], {"metadata": {"name": "hub"}, "spec": {**relays, **wired}})
    documents[LYON]["spec"]["connectivity"]["links"] = [{**link, "to": "hub"}]
    stages = documents[PIPELINE]["spec"]["stages"]
    stages[0] |= {"parameters": {"threshold": 3}, "owner": "Nurses (example)", "retain": "30d"}
    documents[PIPELINE]["spec"]["input"] |= {"keyRef": "patients"}
    documents[STORE]["spec"] |= {"retain": "60d"}
    documents[POLICY]["spec"] |= {
        "declassifiers": [DECLASSIFIER], "approvers": [{"name": "Officer (example)", "data": "user", **ALWAYS}],
        "retention": [{"data": HEALTH, "most": "90d"}, {"data": OPERATIONS, "most": "90d"}],
        "instruments": [INSTRUMENT],
    }  # fmt: skip
    rules = documents[POLICY]["spec"]["rules"]
    clear = ["process", "store", "backup", "log", "failover", "access"]
    rules[0]["activities"] = clear
    rules.append(a_rule("sealed", "require", activities=["transit"], readableBy={"within": ["EU", "CH"]}))
    rules.append(a_rule("contract", "require", data=[HEALTH], activities=["process"], instrument=["dpa"]))
    return documents


@cache
def _planned() -> Any:
    return plan(problem_of(a_fleet(guarded(), laws()), Window(SINCE, UNTIL))).to_json()


def bound_to(plan_shape: Shape, fleet: Fleet) -> Shape:
    """Return a plan that binds the digests of a fleet and this checker, whatever it was made from."""
    return {**plan_shape, "inputs": {**fleet.digests, "checker": checker_digest()}}


def guarded_plan() -> Shape:
    """Return the plan of `guarded()`, made once."""
    return merged(_planned(), {})
