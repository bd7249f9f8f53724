"""From the valid plan, one thing broken at a time: the checker names the number or the code of what broke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from placement.check import check
from placement.errors import PlacementError
from tests.support.check import Shape, a_fleet, a_pack, a_rule
from tests.support.check_clinics import PURPOSE, clinics, fleet_and_plan, laws, the_plan

LYON, SHIP = "patient-message@clinic-lyon", "patient-message@ship"

Break = Callable[[Shape], Any]


def workload(plan: Shape, name: str = LYON) -> Shape:
    return next(entry for entry in plan["workloads"] if entry["id"] == name)


def stage(plan: Shape, name: str, of: str = LYON) -> Shape:
    return next(entry for entry in workload(plan, of)["assignments"][0]["stages"] if entry["stage"] == name)


def flow(plan: Shape, ends: str, of: str = LYON) -> Shape:
    source, target = ends.split(">")
    flows = workload(plan, of)["assignments"][0]["flows"]
    return next(entry for entry in flows if (entry["fromStage"], entry["toStage"]) == (source, target))


def pool(plan: Shape, site: str, model: str) -> Shape:
    return next(entry for entry in plan["pools"] if (entry["site"], entry["model"]) == (site, model))


def drop_stage(name: str, of: str) -> Break:
    return lambda plan: workload(plan, of)["assignments"][0]["stages"].remove(stage(plan, name, of))


def drop_flow(ends: str, of: str = LYON) -> Break:
    return lambda plan: workload(plan, of)["assignments"][0]["flows"].remove(flow(plan, ends, of))


def twice(ends: str) -> Break:
    return lambda plan: workload(plan)["assignments"][0]["flows"].append(flow(plan, ends))


def on_stage(name: str, of: str = LYON, /, **changes: Any) -> Break:
    return lambda plan: stage(plan, name, of).update(changes)


def on_flow(ends: str, of: str = LYON, /, **changes: Any) -> Break:
    return lambda plan: flow(plan, ends, of).update(changes)


def on_atom(name: str, atom: int, **changes: Any) -> Break:
    def breaks(plan: Shape) -> None:
        entry = stage(plan, name)
        entry["label"] = [dict(one) for one in entry["label"]]
        entry["label"][atom].update(changes)

    return breaks


def on_pool(site: str, model: str, /, **changes: Any) -> Break:
    return lambda plan: pool(plan, site, model).update(changes)


def on_cost(**changes: Any) -> Break:
    return lambda plan: plan["cost"].update(changes)


def on_workload(of: str = LYON, /, **changes: Any) -> Break:
    return lambda plan: workload(plan, of).update(changes)


def order(*targets: Shape, stage_name: str = "draft") -> Break:
    return on_workload(fallbacks=[{"stage": stage_name, "order": list(targets)}])


def spare(**changes: Any) -> Break:
    """Add the flow that `quote` would send home if `draft` fell back to it, with these changes."""

    def breaks(plan: Shape) -> None:
        here = {"from": "clinic-lyon", "to": "clinic-lyon", "route": ["clinic-lyon"], "rules": []}
        said = {"fromStage": "quote", "toStage": "answer", "role": "fallback", "rate": 0.0, "bytes": 1024}
        entry = {**flow(plan, "draft>answer"), **said, **here, **changes}
        workload(plan)["assignments"][0]["flows"].append(entry)

    return breaks


ABROAD = {"to": "dc-paris", "route": ["clinic-lyon", "dc-paris"]}
RULES = ["clinics/health-in-house", "clinics/operations-anywhere", "eu-law/inside", "invariant/13"]

BROKEN_PLANS: dict[str, tuple[str, Break]] = {
    "a workload is missing": ("invariant/1", lambda plan: plan["workloads"].pop()),
    "a workload is there twice": ("invariant/1", lambda plan: plan["workloads"].append(workload(plan))),
    "a workload is placed and unplaced": (
        "invariant/1", lambda plan: plan["unplaced"].append({"id": SHIP, "kind": "crowded", "causes": [["latency"]]})),
    "a workload that no manifest asks for": ("invariant/1", on_workload(SHIP, id="patient-message@dc-paris")),
    "a stage is missing": ("invariant/1", drop_stage("triage", LYON)),
    "the degraded workload lacks its fallback": ("invariant/1", drop_stage("quote", SHIP)),
    "a flow is missing": ("invariant/1", drop_flow("input>draft")),
    "the answer is missing": ("invariant/1", drop_flow("draft>answer")),
    "a flow is there twice": ("invariant/1", twice("recall>draft")),
    "a flow to a fallback is missing": ("invariant/1", drop_flow("recall>quote")),
    "the answer of a fallback is missing": ("invariant/1", drop_flow("quote>answer")),
    "a flow to a fallback leads elsewhere": ("invariant/1", on_flow("recall>quote", **{"from": "dc-paris"})),
    "a flow that the graph lacks": ("invariant/1", on_flow("triage>draft", toStage="answer")),
    "a label lacks a class": ("invariant/2", on_stage("recall", label=[])),
    "a label lacks a law": ("invariant/2", on_atom("draft", 1, law=[])),
    "a label is weaker than identified": ("invariant/2", on_atom("triage", 0, identifiability="anonymised")),
    "a label allows another purpose": ("invariant/2", on_atom("triage", 0, purposes=["analytics", PURPOSE])),
    "a label forgets that something is known": ("invariant/2", on_atom("recall", 0, law=["DE"])),
    "the label falls on the way": ("invariant/3", on_flow("draft>answer", label=[])),
    "the label falls on the way to a stage": ("invariant/3", on_flow("recall>draft", label=[])),
    "the input's label is lowered": ("invariant/2", on_flow("input>draft", label=[])),
    "a flow is marked as denied": ("invariant/6", on_flow("input>draft", verdict="deny")),
    "a flow is marked as undetermined": ("invariant/6", on_flow("recall>draft", verdict="undetermined")),
    "a rule is cited that does not exist": ("invariant/7", on_stage("draft", rules=[*RULES, "law/none"])),
    "a rule is not cited": ("invariant/7", on_stage("draft", rules=[r for r in RULES if "operations" not in r])),
    "rules are not sorted": ("invariant/7", on_stage("recall", rules=RULES[::-1])),
    "a local flow cites rules": ("invariant/7", on_flow("input>triage", rules=["eu-law/inside"])),
    "a pack was not evaluated for a stage": ("invariant/8", on_stage("draft", rules=[RULES[0], RULES[1], RULES[3]])),
    "a pack was not evaluated for a flow": ("invariant/8", on_flow("input>draft", rules=["clinics/health-in-house"])),
    "a fallback to a stage that is none": ("invariant/15", order({"stage": "triage", "site": "clinic-lyon"})),
    "a fallback to a site that serves its own only": ("invariant/15", order({"stage": "quote", "site": "ship"})),
    "a fallback that no route reaches": ("invariant/15", order({"queue": "ship"})),
    "a fallback to an unknown variant": (
        "invariant/15", order({"site": "dc-paris", "model": "assistant", "variant": "int1"})),
    "a fallback to a model that is not the stage's": (
        "invariant/15", order({"site": "clinic-lyon", "model": "minilm", "variant": "w8"})),
    "a fallback of a stage that is none": ("invariant/15", order({"queue": "clinic-lyon"}, stage_name="sketch")),
    "a spare flow of a stage that is none": ("invariant/1", spare(fromStage="ghost", **ABROAD)),
    "a spare flow to a stage that is none": ("invariant/1", spare(toStage="ghost", **ABROAD)),
    "a spare flow to a stage that does not follow": ("invariant/1", spare(toStage="triage")),
    "a flow of a role of its own": ("invariant/1", spare(role="shadow")),
    "a spare flow to where no stage is": ("invariant/15", spare(**ABROAD)),
    "a spare flow that is given room": ("plan/flow", spare(rate=0.5)),
    "a spare flow of fewer bytes": ("plan/flow", spare(bytes=1)),
    "a spare flow over no link": ("plan/route", spare(route=["clinic-lyon", "ship", "clinic-lyon"])),
    "a class twice in a label": (
        "invariant/2", lambda plan: stage(plan, "triage").update(label=[*stage(plan, "triage")["label"] * 2])),
    "a loss provided for by a workload that is none": (
        "invariant/15",
        lambda plan: plan.update(failures=[{"lost": "dc-paris", "workloads": [{"id": "x", "assignments": []}]}])),
    "an invariant that is none": ("plan/invariants", lambda plan: plan["invariants"]["checked"].append(21)),
    "more is claimed than was checked": ("plan/invariants", lambda plan: plan["invariants"]["checked"].append(18)),
    "a site that does not serve the origin": ("plan/serves", on_stage("recall", site="ship")),
    "knowledge where it may not live": ("plan/knowledge", on_stage("recall", site="dc-paris", hardware="gpu")),
    "a variant that does not exist": ("plan/model", on_stage("triage", variant="int8")),
    "a model of another stage": ("plan/model", on_stage("triage", model="minilm")),
    "hardware that the site lacks": ("plan/model", on_stage("triage", hardware="gpu")),
    "no speed for the hardware": ("plan/model", on_stage("draft", site="clinic-lyon", hardware="box")),
    "a model for a built-in stage": (
        "plan/model", on_stage("quote", SHIP, model="minilm", variant="w8", hardware="box")),
    "no model": ("plan/model", on_stage("triage", model=None)),
    "placed is called degraded": ("plan/status", on_workload(status="degraded")),
    "degraded is called placed": ("plan/status", on_workload(SHIP, status="placed")),
    "another rate": ("plan/rate", on_workload(rate=0.05)),
    "another tenant": ("plan/workload", on_workload(tenant="other")),
    "a fraction below one": ("plan/fractions", lambda plan: workload(plan)["assignments"][0].update(fraction=0.9)),
    "a route that ends elsewhere": ("plan/route", on_flow("draft>answer", route=["dc-paris"])),
    "a route over no link": ("plan/route", on_flow("input>draft", route=["clinic-lyon", "ship", "dc-paris"])),
    "a route there and back": (
        "plan/route", on_flow("input>triage", route=["clinic-lyon", "dc-paris", "clinic-lyon"])),
    "a flow from where its sender is not": (
        "plan/flow", on_flow("triage>draft", **{"from": "dc-paris", "route": ["dc-paris"], "rules": []})),
    "fewer bytes": ("plan/flow", on_flow("input>draft", bytes=1)),
    "a lower rate on a flow": ("plan/flow", on_flow("input>draft", rate=0.1)),
    "a pool is missing": ("plan/pools", lambda plan: plan["pools"].pop()),
    "a pool that nobody uses": ("plan/pools", on_pool("ship", "minilm", model="message-triage")),
    "a pool twice": ("plan/pools", lambda plan: plan["pools"].append(plan["pools"][0])),
    "a pool without replicas": ("plan/load", on_pool("dc-paris", "assistant", replicas=0, nodes={})),
    "another load": ("plan/load", on_pool("ship", "minilm", load=0.4)),
    "another utilisation": ("plan/utilisation", on_pool("ship", "minilm", utilisation=0.5)),
    "nodes that do not add up": ("plan/nodes", on_pool("ship", "minilm", nodes={"box-0": {"replicas": 2}})),
    "a node that does not exist": ("plan/nodes", on_pool("ship", "minilm", nodes={"box-1": {"replicas": 1}})),
    "a replica without a device": ("plan/nodes", on_pool("dc-paris", "assistant", nodes={"gpu-0": {"replicas": 1}})),
    "a device that does not exist": (
        "plan/capacity", on_pool("dc-paris", "assistant", nodes={"gpu-0": {"replicas": 1, "accelerators": [2]}})),
    "one device for three halves": (
        "plan/capacity",
        on_pool("dc-paris", "assistant", replicas=3, nodes={"gpu-0": {"replicas": 3, "accelerators": [1, 1, 1]}})),
    "more replicas than cpus": (
        "plan/capacity", on_pool("ship", "minilm", replicas=9, nodes={"box-0": {"replicas": 9}})),
    "a shorter latency": ("plan/latency", lambda plan: workload(plan)["latency_ms"].update(modelled=1333.866)),
    "another limit": ("plan/latency", lambda plan: workload(plan)["latency_ms"].update(limit=None)),
    "a lower cost": ("plan/cost", on_cost(perHour=0.530337)),
    "a lower bill": ("plan/cost", on_cost(billedPerHour=2.16)),
    "no egress": ("plan/cost", on_cost(egressPerHour=0.0)),
    "another currency": ("plan/cost", on_cost(currency="CHF")),
    "a bound above the cost": ("plan/bound", on_cost(lowerBoundPerHour=0.6)),
    "a gap that is none": ("plan/bound", on_cost(lowerBoundPerHour=0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_PLANS)
def test_one_thing_broken_in_the_plan_is_named(name: str) -> None:
    code, breaks = BROKEN_PLANS[name]
    fleet, plan = fleet_and_plan()
    breaks(plan)
    assert code in {finding.code for finding in check(plan, fleet).findings}


def test_the_spare_flow_of_a_fallback_is_no_finding() -> None:
    fleet, plan = fleet_and_plan()
    spare()(plan)
    assert check(plan, fleet).findings == ()


@pytest.mark.parametrize(
    "breaks",
    [
        on_atom("triage", 0, identifiability="nobody"),
        lambda plan: workload(plan)["assignments"][0].update(fraction=1e308),
        on_workload(rate=float("nan")),
        on_stage("draft", site="mars"),
    ],
)
def test_nonsense_in_a_plan_is_wrong_input(breaks: Break) -> None:
    fleet, plan = fleet_and_plan()
    breaks(plan)
    with pytest.raises(PlacementError):
        check(plan, fleet)


def at(shape: Any, *path: str | int) -> Any:
    for key in path:
        shape = shape[key]
    return shape


def spec(file: str, *path: str | int) -> Callable[[dict[str, Shape]], Any]:
    return lambda documents: at(documents, file, "spec", *path)


LYON_SITE, PARIS_SITE = "sites/clinic-lyon.yaml", "sites/dc-paris.yaml"
AMERICAN = {"name": "Parent Inc", "country": "US", "controlledBy": []}


def set_in(file: str, *path: str | int, to: Any) -> Break:
    return lambda documents: spec(file, *path[:-1])(documents).__setitem__(path[-1], to)


def remove(file: str, *path: str | int) -> Break:
    return lambda documents: spec(file, *path[:-1])(documents).__delitem__(path[-1])


def add_rule(**rule: Any) -> Break:
    whole = {"id": "new", "effect": "require", "data": "all", "activities": "all", "source": "test", **rule}
    return lambda documents: spec("policy.yaml", "rules")(documents).append(whole)


def both(*breaks: Break) -> Break:
    return lambda documents: [one(documents) for one in breaks]


WIRE = ("connectivity", "links", 0)
STAGES = "pipeline.yaml"

BROKEN_FLEETS: dict[str, tuple[str, Break]] = {
    "telemetry goes overseas": ("invariant/1", set_in(PARIS_SITE, "telemetry", to="US")),
    "a model was trained on other data": (
        "invariant/2", set_in("models/assistant.yaml", "trainedOn", to=[{"data": "user.financial", "law": ["FR"]}])),
    "what a model was trained on is unknown": ("invariant/2", remove("models/minilm.yaml", "trainedOn")),
    "the input has another law too": ("invariant/2", set_in(STAGES, "input", "law", to=["CH"])),
    "the input has unknown data": ("invariant/2", remove(STAGES, "input", "data")),
    "a requirement on the place": ("invariant/6", add_rule(countries=["DE"])),
    "a prohibition": ("invariant/6", add_rule(effect="prohibit", activities=["process"])),
    "a prohibition on transit": ("invariant/6", add_rule(effect="prohibit", activities=["transit"])),
    "the permit is gone": ("invariant/6", set_in("policy.yaml", "rules", 2, "activities", to=["log"])),
    "the site lies abroad": ("invariant/6", set_in(PARIS_SITE, "location", to="CH")),
    "backups go abroad": ("invariant/6", set_in(LYON_SITE, "activities", to={"backup": "CH"})),
    "a permit has expired": ("invariant/6", set_in("policy.yaml", "rules", 2, "validity", to={"until": "2027-01-01"})),
    "a place is unknown": ("invariant/7", remove(PARIS_SITE, "location")),
    "an assurance is asked for and unknown": ("invariant/7", add_rule(assurances=["HDS"], activities=["process"])),
    "an assurance has expired": (
        "invariant/7",
        both(
            add_rule(assurances=["HDS"], activities=["process"]),
            set_in(PARIS_SITE, "assurances", to=[{"scheme": "HDS", "until": "2027-01-01"}]),
        )),
    "a stronger basis is asked for": (
        "invariant/7",
        both(add_rule(basis="certified", activities=["process"]), set_in(PARIS_SITE, "basis", to="declared"))),
    "backups go where no pack permits": ("invariant/6", set_in(LYON_SITE, "activities", to={"backup": "US"})),
    "no instrument covers": ("invariant/9", add_rule(instrument="scc", activities=["process"])),
    "the instrument ends too early": (
        "invariant/9",
        both(
            add_rule(instrument="scc", activities=["failover", "process"]),
            set_in("policy.yaml", "instruments", to=[
                {"type": "scc", "exporter": "clinic-lyon", "importer": "dc-paris", "data": "user",
                 "from": "2026-01-01", "until": "2027-03-30"}]),
        )),
    "the operator is controlled from abroad": (
        "invariant/10", set_in(PARIS_SITE, "parties", "operator", "controlledBy", to=[AMERICAN])),
    "the key custodian is controlled from abroad": (
        "invariant/10", set_in(PARIS_SITE, "parties", "keyCustodian", "controlledBy", to=[AMERICAN])),
    "a controller's controller is abroad": (
        "invariant/10",
        set_in(PARIS_SITE, "parties", "owner", "controlledBy",
               to=[{"name": "Holding", "country": "DE", "controlledBy": [AMERICAN]}])),
    "nobody names the key custodian": ("invariant/10", remove(PARIS_SITE, "parties", "keyCustodian")),
    "support sits abroad": ("invariant/12", set_in(PARIS_SITE, "parties", "support", "country", to="CH")),
    "nobody names support": ("invariant/12", remove(PARIS_SITE, "parties", "support")),
    "a purpose that the data does not have": ("invariant/13", set_in(STAGES, "stages", 0, "purpose", to="analytics")),
    "a purpose is asked and the data has none": ("invariant/13", remove(STAGES, "input", "purposes")),
    "a further party sits abroad": (
        "invariant/14",
        set_in(PARIS_SITE, "parties", "hosting", to={"name": "Host", "country": "CH", "controlledBy": []})),
    "failing over is prohibited": ("invariant/15", add_rule(effect="prohibit", activities=["failover"])),
    "the fallback's queue may not store": ("invariant/15", add_rule(effect="prohibit", activities=["store"])),
    "an unknown intermediary ends TLS": ("invariant/16", remove(LYON_SITE, *WIRE, "tls")),
    "a foreign intermediary ends TLS": (
        "invariant/16", both(remove(LYON_SITE, *WIRE, "tls"), set_in(LYON_SITE, *WIRE, "intermediary", to=AMERICAN))),
    "the wire passes an unknown country": ("invariant/7", remove(LYON_SITE, *WIRE, "transit")),
    "the wire passes where no pack permits": ("invariant/6", set_in(LYON_SITE, *WIRE, "transit", to=["FR", "US"])),
    "pseudonymised data meets its key": (
        "invariant/17",
        both(
            set_in(STAGES, "input", "identifiability", to="pseudonymised"),
            set_in(STAGES, "input", "keyRef", to="register"),
            set_in("knowledge.yaml", "data", 0, "keyRef", to="register"),
            add_rule(effect="prohibit", data=["user.health_and_medical"], identifiability=["identified"],
                     activities=["store"]),
        )),
    "the knowledge does not fit the disk": ("plan/capacity", set_in("knowledge.yaml", "size", to="600GiB")),
    "the objective is shorter": ("plan/latency", set_in(STAGES, "latency", to="1s")),
    "the floor is higher": ("plan/model", set_in(STAGES, "stages", 0, "quality", to={"accuracy": 0.95})),
    "the quality was never measured": ("plan/model", set_in(STAGES, "stages", 0, "quality", to={"recall": 0.1})),
    "the model is a candidate again": ("plan/model", set_in("models/assistant.yaml", "state", to="candidate")),
    "the model is approved by nobody": ("plan/model", remove("models/assistant.yaml", "approval")),
    "the wire is too narrow": ("plan/link-load", set_in(LYON_SITE, *WIRE, "bandwidth", to="40kbit/s")),
    "the wire is slower": ("plan/latency", set_in(LYON_SITE, *WIRE, "rtt", to="30ms")),
    "the origin is connected now and then": (
        "plan/route", set_in(LYON_SITE, "connectivity", "mode", to="intermittent")),
    "traffic costs more": ("plan/cost", set_in(LYON_SITE, *WIRE, "price", to="0.03 EUR/GB")),
    "machines cost more": ("plan/cost", set_in(PARIS_SITE, "hardware", 0, "price", to="3 EUR/h")),
    "the workload must survive": ("invariant/15", set_in(STAGES, "survive", to=1)),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_FLEETS)
def test_one_fact_changed_under_the_plan_is_named(name: str) -> None:
    code, breaks = BROKEN_FLEETS[name]
    documents = clinics()
    breaks(documents)
    fleet = a_fleet(documents, laws())
    assert code in {finding.code for finding in check(the_plan(fleet), fleet).findings}


def test_a_country_without_a_pack_is_invariant_8() -> None:
    packs = laws()
    packs["eu-law"]["spec"]["jurisdiction"] = ["DE"]
    fleet = a_fleet(clinics(), packs)
    found = check(the_plan(fleet), fleet).findings
    assert "invariant/8" in {finding.code for finding in found}
    assert any("residency:no-pack/FR" in finding.found for finding in found)


def test_a_pack_that_might_apply_is_invariant_8() -> None:
    documents, packs = clinics(), laws()
    packs["swiss-law"] = a_pack("swiss-law", a_rule("inside"), countries=["CH"], jurisdiction=["CH"])
    documents["policy.yaml"]["spec"]["packs"].append("swiss-law")
    del documents[PARIS_SITE]["spec"]["parties"]["owner"]["country"]
    fleet = a_fleet(documents, packs)
    found = check(the_plan(fleet), fleet).findings
    assert any("residency:swiss-law/applicability" in finding.found for finding in found if finding.invariant == 8)
