"""What is judged once for a class holds for each member, and the odd one out is named, however a plan is read."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from placement.check import check, check_bytes, checker_digest
from sites.fleet import Fleet
from tests.support.check import Shape, a_fleet, a_rule
from tests.support.check_clinics import clinics, laws, the_plan

ALIKE = ("clinic-nice", "clinic-pau", "draft")
"""One is called as a stage is."""


def alike() -> tuple[dict[str, Shape], Shape]:
    """Return the clinics with three more like Lyon, each with a wire of its own, and the plan in full."""
    documents = clinics()
    lyon = documents["sites/clinic-lyon.yaml"]
    for name in ALIKE:
        documents[f"sites/{name}.yaml"] = {**copy.deepcopy(lyon), "metadata": {**lyon["metadata"], "name": name}}
    plan = the_plan(a_fleet(documents, laws()))
    at_lyon = plan["workloads"][0]
    renamed = [json.loads(json.dumps(at_lyon).replace("clinic-lyon", name)) for name in ALIKE]
    plan["workloads"][1:1] = renamed
    pools = [pool for pool in plan["pools"] if pool["site"] == "clinic-lyon"]
    plan["pools"] += [{**pool, "site": name} for name in ALIKE for pool in pools]
    plan["pools"][2].update(load=2.0, utilisation=0.5, replicas=2)
    plan["pools"][2]["nodes"] = {"gpu-0": {"replicas": 2, "accelerators": [0, 0]}}
    for entry in plan["workloads"][:4]:
        entry["costPerHour"] = 0.02 + 0.25 + 0.000339
    egress = round(4 * 1800 * 9416e-9 * 0.02, 6)
    plan["cost"] |= {
        "egressPerHour": egress, "perHour": 0.09 + 1.0 + egress, "billedPerHour": 2.4 + egress,
        "lowerBoundPerHour": 0.09 + 1.0 + egress,
    }  # fmt: skip
    return documents, plan


def fleet_of(documents: dict[str, Shape], plan: Shape) -> Fleet:
    fleet = a_fleet(documents, laws())
    plan["inputs"] = {**fleet.digests, "checker": checker_digest()}
    return fleet


def canonical(plan: Shape) -> bytes:
    return json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_a_plan_with_many_alike_holds_however_it_is_read() -> None:
    documents, plan = alike()
    fleet = fleet_of(documents, plan)
    assert check(plan, fleet).findings == ()
    assert check_bytes(canonical(plan), fleet) == check(plan, fleet)
    assert check_bytes(json.dumps(plan, indent=1).encode(), fleet) == check(plan, fleet)


ODD: dict[str, Any] = {
    "its operator is controlled from abroad": lambda site: site["parties"].update(
        operator={"name": "x", "country": "FR", "controlledBy": [{"name": "y", "country": "US", "controlledBy": []}]}),
    "it lies abroad": lambda site: site.update(location="CH"),
    "it is on the wire now and then": lambda site: site["connectivity"].update(mode="intermittent"),
    "it is tainted": lambda site: site.update(taints=[{"name": "moved", "reason": "in May"}]),
    "its wire is slower": lambda site: site["connectivity"]["links"][0].update(rtt="30ms"),
    "its wire is terminated": lambda site: site["connectivity"]["links"][0].pop("tls"),
    "its wire is dearer": lambda site: site["connectivity"]["links"][0].update(price="1 EUR/GB"),
    "its machines are of another kind": lambda site: site["hardware"][0].update(isa=[]),
    "its machines are called otherwise": lambda site: site["hardware"][0].update(name="rack"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ALIKE)
@pytest.mark.parametrize("name", ODD)
def test_the_one_that_differs_is_the_one_that_is_named(name: str, odd: str) -> None:
    documents, plan = alike()
    documents[f"sites/{odd}.yaml"]["spec"] = copy.deepcopy(documents[f"sites/{odd}.yaml"]["spec"])
    ODD[name](documents[f"sites/{odd}.yaml"]["spec"])
    fleet = fleet_of(documents, plan)
    result = check(plan, fleet)
    assert {finding.workload for finding in result.findings} - {""} == {f"patient-message@{odd}"}
    assert check_bytes(canonical(plan), fleet) == result


@pytest.mark.parametrize("odd", ALIKE)
def test_a_workload_that_says_another_thing_than_its_like_is_named(odd: str) -> None:
    documents, plan = alike()
    entry = next(entry for entry in plan["workloads"] if entry["origin"] == odd)
    entry["assignments"][0]["stages"][0]["rules"] = ["law/none"]
    fleet = fleet_of(documents, plan)
    result = check_bytes(canonical(plan), fleet)
    assert {finding.workload for finding in result.findings} == {f"patient-message@{odd}"}


def test_a_name_that_an_instrument_says_tells_two_sites_apart() -> None:
    documents, plan = alike()
    rule = a_rule("under-contract", "require", activities=["process"], instrument="scc", data=["user"])
    documents["policy.yaml"]["spec"]["rules"].append(rule)
    documents["policy.yaml"]["spec"]["instruments"] = [
        {"type": "scc", "exporter": name, "importer": importer, "data": "user", "from": "2026-01-01",
         "until": "2027-12-31"}
        for name in ("clinic-lyon", "clinic-pau", "draft", "ship") for importer in (name, "dc-paris")
    ]  # fmt: skip
    fleet = fleet_of(documents, plan)
    found = {(one.code, one.workload) for one in check(plan, fleet).findings if one.code == "invariant/9"}
    assert found == {("invariant/9", "patient-message@clinic-nice")}


@pytest.mark.parametrize("text", ["}]", '"}]', '}],"rules":[', '\\"label\\":[', "]", "{", '},{"assignments":['])
def test_a_text_that_looks_like_the_plan_around_it_misleads_nobody(text: str) -> None:
    documents, plan = alike()
    for stage in plan["workloads"][1]["assignments"][0]["stages"]:
        stage["label"] = [{**atom, "keyRef": text} for atom in stage["label"]]
    plan["workloads"][2]["note"] = {"label": [{"data": text}], "rules": [text]}
    fleet = fleet_of(documents, plan)
    assert check_bytes(canonical(plan), fleet) == check(plan, fleet)


def test_a_mark_that_a_plan_makes_up_is_no_label() -> None:
    documents, plan = alike()
    plan["workloads"][0]["assignments"][0]["stages"][0]["label"] = "0123456789abcdef0"
    fleet = fleet_of(documents, plan)
    with pytest.raises(Exception, match="label"):
        check_bytes(canonical(plan), fleet)


@pytest.mark.parametrize("number", [b"01", b"1.", b".5", b"1-2", b"1e999", b"+1", b"1.2.3"])
@pytest.mark.parametrize("field", [b'"costPerHour":', b'"modelled":'])
def test_what_is_no_number_is_none_in_a_workload_that_is_like_another(field: bytes, number: bytes) -> None:
    documents, plan = alike()
    fleet = fleet_of(documents, plan)
    data = canonical(plan)
    at = data.index(field, data.index(b'"origin":"clinic-lyon"')) + len(field)
    end = next(place for place in range(at, len(data)) if data[place] in b",}")
    with pytest.raises(Exception, match=r"workloads|Expecting|Invalid|delimiter"):
        check_bytes(data[:at] + number + data[end:], fleet)
