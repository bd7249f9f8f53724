"""Each of the twenty invariants broken in at least five ways; the checker names it every time.

The base is a fleet that says everything, with the plan that the planner makes of it. A row changes the plan and keeps
the fleet, or changes a fact under the plan and keeps the rest of it, digests made good.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest

from placement.check import INVARIANTS, check
from placement.errors import PlacementError
from tests.support.breaking import (
    AT_LYON,
    Change,
    approvers,
    atom,
    both,
    cut,
    drop,
    flow,
    found_in,
    given,
    instrument,
    links,
    order,
    party,
    put,
    registered,
    rule,
    stage,
    stages,
    trained,
    twice,
)  # fmt: skip
from tests.support.check import Shape, a_fleet, a_pack, a_rule
from tests.support.check_clinics import HEALTH, OPERATIONS, PURPOSE, laws
from tests.support.check_guarded import (
    ALWAYS,
    HUB,
    LYON,
    PARIS,
    PIPELINE,
    POLICY,
    SHIP,
    STORE,
    bound_to,
    guarded,
    guarded_plan,
)  # fmt: skip

ABROAD = {"name": "Parent Inc", "country": "US", "controlledBy": [], "holdsKeys": False, "subprocessors": []}
KEYED = {**ABROAD, "holdsKeys": True}
UNKNOWN = {"name": "Somebody", "holdsKeys": True, "controlledBy": [], "subprocessors": []}
SCHEMA = [{"data": OPERATIONS, "law": ["FR"], "purposes": [PURPOSE]}]
OFFICER = {"name": "Officer (example)", "data": "user", **ALWAYS}
STICK = {"kind": "usb", "direction": "both", "carries": ["bundle", "receipt"]}
LAW = a_pack("swiss-law", a_rule("inside"), countries=["CH"], jurisdiction=["CH"])
IDENTIFIED = rule("never", "prohibit", identifiability=["identified"], data=[OPERATIONS], activities=["process"])


class Row(NamedTuple):
    """One way to break an invariant; `plan`, `fleet` and `packs` are changed as they say."""

    number: int
    what: str
    plan: Change = lambda plan: None
    fleet: Change = lambda fleet: None
    packs: Change = lambda packs: None


ROWS = [
    Row(1, "a workload is missing", cut("workloads", 1)),
    Row(1, "a workload is there twice", lambda p: p["workloads"].append(p["workloads"][0])),
    Row(1, "a stage is missing", drop("stages", "triage")),
    Row(1, "a stage is there twice", twice("stages", "triage")),
    Row(1, "a stage that nobody declares", twice("stages", "triage", stage="ghost")),
    Row(1, "a flow is missing", drop("flows", "input>recall")),
    Row(1, "the answer is missing", drop("flows", "draft>answer")),
    Row(1, "a flow that nobody declares", twice("flows", "input>recall", toStage="answer")),
    Row(1, "telemetry goes where the data may not", fleet=put(PARIS, "spec", "telemetry", to="US")),

    Row(2, "a label lacks a class", stage("recall", label=[])),
    Row(2, "a label lacks a law", atom("draft", HEALTH, law=[])),
    Row(2, "a label has another law", atom("draft", HEALTH, law=["DE"])),
    Row(2, "a label is weaker than identified", atom("triage", HEALTH, identifiability="pseudonymised")),
    Row(2, "a label allows another purpose", atom("triage", HEALTH, purposes=[PURPOSE, "analytics"])),
    Row(2, "a class twice", lambda p: stage("triage", label=2 * found_in(p, AT_LYON, "stages", "triage")["label"])(p)),
    Row(2, "a flow of raw data is lowered", flow("input>draft", label=SCHEMA)),
    Row(2, "the input has another regime", fleet=given(regimes=["hds"])),
    Row(2, "a model was trained on more", fleet=trained(data="user.financial", purposes=[PURPOSE])),

    Row(3, "a label falls at a stage that is registered for nothing", flow("recall>draft", label=[])),
    Row(3, "a label falls on the way to the answer", flow("draft>answer", label=SCHEMA)),
    Row(3, "another model", fleet=registered(digest="sha256:" + "1" * 64)),
    Row(3, "another parameter", fleet=stages(0, parameters={"threshold": 4})),
    Row(3, "a parameter more", fleet=stages(0, parameters={"threshold": 3, "strict": True})),
    Row(3, "no parameters", fleet=stages(0, parameters={})),
    Row(3, "a flag for a number", fleet=both(registered(parameters={"threshold": 1}),
                                             stages(0, parameters={"threshold": True}))),
    Row(3, "for another class", fleet=registered(fromAtoms=[{"data": "user.financial"}])),
    Row(3, "for the class above", fleet=registered(fromAtoms=[{"data": "user"}])),
    Row(3, "under another law", fleet=registered(fromAtoms=[{"data": HEALTH, "law": ["CH"]}])),
    Row(3, "for another recipient", fleet=registered(recipients=["answer"])),
    Row(3, "for another stage", fleet=registered(stage="recall")),
    Row(3, "for nothing", fleet=put(POLICY, "spec", "declassifiers", to=[])),

    Row(4, "the owner approves", fleet=registered(approver="Nurses (example)")),
    Row(4, "the owner approves in capitals", fleet=registered(approver="NURSES  (Example)")),
    Row(4, "there is no owner", fleet=cut(PIPELINE, "spec", "stages", 0, "owner")),
    Row(4, "the approval ends a day early", fleet=registered(until="2027-03-30")),
    Row(4, "nobody may approve", fleet=approvers()),
    Row(4, "another may approve", fleet=approvers({**OFFICER, "name": "Board (example)"})),
    Row(4, "authority over another class", fleet=approvers({**OFFICER, "data": "user.financial"})),
    Row(4, "authority over less", fleet=approvers({**OFFICER, "data": HEALTH + ".genetic"})),
    Row(4, "authority begins a day late", fleet=approvers({**OFFICER, "from": "2026-12-02"})),
    Row(4, "authority ends a day early", fleet=approvers({**OFFICER, "until": "2027-03-30"})),
    Row(4, "authority over one of two", fleet=registered(fromAtoms=[{"data": HEALTH}, {"data": OPERATIONS}])),

    Row(5, "at a site that is not named", fleet=registered(sites=["dc-paris"])),
    Row(5, "at no site", fleet=registered(sites=[])),
    Row(5, "raw data may not be stored there", fleet=both(
        stages(0, **{"async": True}), rule(effect="prohibit", data=[HEALTH], activities=["backup"]))),
    Row(5, "the site lies abroad", fleet=put(LYON, "spec", "location", to="US")),
    Row(5, "raw data may not be logged there", fleet=rule(effect="prohibit", data=[HEALTH], activities=["log"])),
    Row(5, "who owns the site is controlled from abroad", fleet=party(LYON, "owner", controlledBy=[ABROAD])),
    Row(5, "its sub-processor is abroad", fleet=party(LYON, "owner", subprocessors=[ABROAD])),

    Row(6, "a flow is marked as denied", flow("input>draft", verdict="deny")),
    Row(6, "a flow is marked as undetermined", flow("input>draft", verdict="undetermined")),
    Row(6, "a requirement on the place", fleet=rule(countries=["DE"])),
    Row(6, "a prohibition", fleet=rule(effect="prohibit", activities=["process"])),
    Row(6, "a prohibition on transit", fleet=rule(effect="prohibit", activities=["transit"])),
    Row(6, "no permit for the class", fleet=put(POLICY, "spec", "rules", 2, "activities", to=["log"])),
    Row(6, "no permit in law", packs=put("eu-law", "spec", "rules", to=[])),
    Row(6, "the site lies abroad", fleet=put(PARIS, "spec", "location", to="CH")),
    Row(6, "backups go abroad", fleet=put(LYON, "spec", "activities", to={"backup": "CH"})),

    Row(7, "a rule that does not exist", lambda p: found_in(p, AT_LYON, "stages", "draft")["rules"].append(
        "law/none")),
    Row(7, "rules in another order", lambda p: found_in(p, AT_LYON, "stages", "recall")["rules"].reverse()),
    Row(7, "a flow at home cites rules", flow("input>triage", rules=["eu-law/inside"])),
    Row(7, "a place is unknown", fleet=cut(PARIS, "spec", "location")),
    Row(7, "an assurance is unknown", fleet=rule(assurances=["HDS"], activities=["process"])),
    Row(7, "an assurance expires", fleet=both(
        rule(assurances=["HDS"], activities=["process"]),
        put(PARIS, "spec", "assurances", to=[{"scheme": "HDS", "until": "2027-03-30"}]))),
    Row(7, "a basis is unknown", fleet=rule(basis="declared", activities=["process"])),
    Row(7, "a basis is too weak", fleet=both(
        rule(basis="certified", activities=["process"]), put(PARIS, "spec", "basis", to="declared"))),
    Row(7, "the wire passes an unknown country", fleet=links(transit=None)),

    Row(8, "a pack is not cited for a stage", lambda p: found_in(p, AT_LYON, "stages", "draft")["rules"].remove(
        "eu-law/inside")),
    Row(8, "a pack is not cited for a flow", flow("input>draft", rules=["clinics/health-in-house"])),
    Row(8, "nothing is cited", stage("triage", rules=[])),
    Row(8, "no pack speaks for the country", packs=put("eu-law", "spec", "jurisdiction", to=["DE"])),
    Row(8, "a further pack reaches the site", fleet=both(
        put(POLICY, "spec", "packs", to=["eu-law", "swiss-law"]), put(PARIS, "spec", "parties", "auditor", to={
            "name": "Revision AG", "country": "CH", "controlledBy": []})),
        packs=lambda packs: packs.update({"swiss-law": merged_scope(["CH"])})),
    Row(8, "a further pack might", fleet=both(
        put(POLICY, "spec", "packs", to=["eu-law", "swiss-law"]), party(PARIS, "owner", country=None)),
        packs=lambda packs: packs.update({"swiss-law": LAW})),

    Row(9, "there is none", fleet=put(POLICY, "spec", "instruments", to=[])),
    Row(9, "it ends a day early", fleet=instrument(until="2027-03-30")),
    Row(9, "it begins a day late", fleet=instrument(**{"from": "2026-12-02"})),
    Row(9, "another exporter", fleet=instrument(exporter="Group DE")),
    Row(9, "another importer", fleet=instrument(importer="Group DE")),
    Row(9, "another class", fleet=instrument(data="user.financial")),
    Row(9, "a class below", fleet=instrument(data=HEALTH + ".genetic")),
    Row(9, "another type", fleet=instrument(type="scc")),

    Row(10, "the operator is controlled from abroad", fleet=party(PARIS, "operator", controlledBy=[ABROAD])),
    Row(10, "the key custodian is", fleet=party(PARIS, "keyCustodian", controlledBy=[ABROAD])),
    Row(10, "a controller's controller is", fleet=party(PARIS, "owner", controlledBy=[
        {"name": "Holding", "country": "DE", "controlledBy": [ABROAD]}])),
    Row(10, "who controls is unknown", fleet=party(PARIS, "owner", controlledBy=None)),
    Row(10, "nobody names the key custodian", fleet=cut(PARIS, "spec", "parties", "keyCustodian")),
    Row(10, "a sub-processor of support is abroad", fleet=party(PARIS, "support", subprocessors=[ABROAD])),
    Row(10, "the rule asks for less of the world", fleet=put(
        POLICY, "spec", "rules", 0, "compellableBy", to={"within": ["DE"]})),

    Row(11, "the relay holds a key", fleet=party(HUB, "operator", holdsKeys=True)),
    Row(11, "nobody says whether the relay does", fleet=party(HUB, "operator", holdsKeys=None)),
    Row(11, "who controls the relay does", fleet=party(HUB, "owner", controlledBy=[KEYED])),
    Row(11, "who controls the relay is unknown", fleet=party(HUB, "owner", controlledBy=None)),
    Row(11, "nobody names the relay's owner", fleet=cut(HUB, "spec", "parties", "owner")),
    Row(11, "who works for the relay does", fleet=party(HUB, "support", subprocessors=[KEYED])),
    Row(11, "a key custodian at home is controlled from abroad", fleet=both(
        party(LYON, "keyCustodian", controlledBy=[ABROAD]), put(POLICY, "spec", "rules", 0, "activities", to=["log"]))),
    Row(11, "keys at home are abroad for the rule", fleet=put(
        POLICY, "spec", "rules", 3, "readableBy", to={"within": ["CH"]})),
    Row(11, "plaintext arises: the rule is asked at a site", fleet=put(
        POLICY, "spec", "rules", 3, to=a_rule(
            "sealed", "require", activities=["store"], readableBy={"within": ["CH"]}))),

    Row(12, "support sits abroad", fleet=party(PARIS, "support", country="CH")),
    Row(12, "nobody names support", fleet=cut(PARIS, "spec", "parties", "support")),
    Row(12, "the operator looks in from abroad", fleet=party(PARIS, "operator", country="US")),
    Row(12, "support is controlled from abroad", fleet=party(PARIS, "support", controlledBy=[ABROAD])),
    Row(12, "where the owner sits is unknown", fleet=party(PARIS, "owner", country=None)),
    Row(12, "nobody may look", fleet=rule(effect="prohibit", activities=["access"])),

    Row(13, "a stage for another purpose", fleet=stages(0, purpose="analytics")),
    Row(13, "the data has no purpose", fleet=lambda fleet: fleet[PIPELINE]["spec"]["input"].pop("purposes")),
    Row(13, "the data is for something else", fleet=given(purposes=["analytics"])),
    Row(13, "the data is for less", fleet=given(purposes=["essential.service.security"])),
    Row(13, "the documents have no purpose", fleet=cut(STORE, "spec", "data", 0, "purposes")),
    Row(13, "the stage would train", fleet=stages(2, purpose="train_ai_system")),
    Row(13, "a model was trained for something else", fleet=trained(data=OPERATIONS, purposes=["analytics"])),

    Row(14, "abroad", fleet=party(PARIS, "operator", subprocessors=[ABROAD])),
    Row(14, "in an unknown country", fleet=party(PARIS, "operator", subprocessors=[UNKNOWN])),
    Row(14, "the next but one is abroad", fleet=party(PARIS, "owner", subprocessors=[
        {"name": "Sub", "country": "FR", "controlledBy": [], "subprocessors": [ABROAD]}])),
    Row(14, "controlled from abroad", fleet=party(PARIS, "support", subprocessors=[
        {"name": "Sub", "country": "FR", "controlledBy": [ABROAD]}])),
    Row(14, "nobody says who controls it", fleet=party(PARIS, "support", subprocessors=[
        {"name": "Sub", "country": "FR"}])),
    Row(14, "of who ends TLS", fleet=links(tls="terminated", intermediary={
        "name": "Proxy", "country": "FR", "controlledBy": [], "subprocessors": [ABROAD]})),
    Row(14, "a further party sits abroad", fleet=put(PARIS, "spec", "parties", "hosting", to={
        "name": "Host", "country": "CH", "controlledBy": []})),

    Row(15, "to a stage that is none", order({"stage": "triage", "site": "clinic-lyon"})),
    Row(15, "to a site that serves its own", order({"stage": "quote", "site": "ship"})),
    Row(15, "where no route leads", order({"queue": "ship"})),
    Row(15, "to a variant that is none", order({"site": "dc-paris", "model": "assistant", "variant": "int1"})),
    Row(15, "of a stage that is none", order({"queue": "clinic-lyon"}, of="sketch")),
    Row(15, "to nowhere", order({"stage": "quote"})),
    Row(15, "failing over is prohibited", fleet=rule(effect="prohibit", activities=["failover"])),
    Row(15, "a queue may not store", order({"queue": "clinic-lyon"}), rule(
        effect="prohibit", activities=["store"], data=[HEALTH])),
    Row(15, "nothing is provided for a loss", fleet=put(PIPELINE, "spec", "survive", to=1)),

    Row(16, "nobody says who ends TLS", fleet=links(tls="terminated")),
    Row(16, "nobody says whether TLS is ended", fleet=links(tls=None)),
    Row(16, "somebody abroad ends TLS", fleet=links(tls="terminated", intermediary=ABROAD)),
    Row(16, "somebody controlled from abroad", fleet=links(tls="terminated", intermediary={
        "name": "Proxy", "country": "FR", "controlledBy": [ABROAD], "subprocessors": []})),
    Row(16, "somebody of whom nobody knows who controls it", fleet=links(tls="terminated", intermediary={
        "name": "Proxy", "country": "FR", "subprocessors": []})),
    Row(16, "somebody in an unknown country", fleet=links(tls="terminated", intermediary=UNKNOWN)),
    Row(16, "on the hop behind the relay", fleet=cut(HUB, "spec", "connectivity", "links", 0, "tls")),

    Row(17, "documents under the key of an identified input", fleet=both(
        put(STORE, "spec", "data", 0, "keyRef", to="patients"),
        put(STORE, "spec", "data", 0, "identifiability", to="pseudonymised"), IDENTIFIED)),
    Row(17, "documents under the key of an input of which nobody knows", fleet=both(
        lambda fleet: fleet[PIPELINE]["spec"]["input"].pop("identifiability"),
        put(STORE, "spec", "data", 0, "keyRef", to="patients"),
        put(STORE, "spec", "data", 0, "identifiability", to="pseudonymised"), IDENTIFIED)),
    Row(17, "an input under the key of identified documents", fleet=both(
        given(identifiability="pseudonymised"), put(STORE, "spec", "data", 0, "keyRef", to="patients"),
        put(STORE, "spec", "data", 0, "identifiability", to="identified"),
        rule(effect="prohibit", identifiability=["identified"], data=[HEALTH], activities=["store"]))),
    Row(17, "an input under the key of documents of which nobody knows", fleet=both(
        given(identifiability="pseudonymised"), put(STORE, "spec", "data", 0, "keyRef", to="patients"),
        rule(effect="prohibit", identifiability=["identified"], data=[HEALTH], activities=["store"]))),
    Row(17, "a model trained under the key", fleet=both(
        trained(data="user.financial", keyRef="patients", identifiability="pseudonymised", purposes=[PURPOSE]),
        rule("money", "permit", data=["user.financial"]),
        rule(effect="prohibit", identifiability=["identified"], data=["user.financial"], activities=["log"]))),
    Row(17, "one key of several", fleet=both(
        put(STORE, "spec", "data", 0, "keyRef", to="visits+patients"),
        put(STORE, "spec", "data", 0, "identifiability", to="pseudonymised"), IDENTIFIED)),

    Row(18, "the cap is lower", fleet=put(POLICY, "spec", "retention", 0, "most", to="30d")),
    Row(18, "a cap on the class above", fleet=put(POLICY, "spec", "retention", 0, to={"data": "user", "most": "30d"})),
    Row(18, "a cap on a class below", fleet=put(
        POLICY, "spec", "retention", 0, to={"data": HEALTH + ".genetic", "most": "30d"})),
    Row(18, "the stage keeps longer", fleet=stages(0, retain="90d")),
    Row(18, "the site erases later", fleet=put(LYON, "spec", "erasure", "within", to="61d")),
    Row(18, "the site does not say how it erases", fleet=cut(LYON, "spec", "erasure")),
    Row(18, "documents stay longer", fleet=put(STORE, "spec", "retain", to="90d")),
    Row(18, "nobody says how long documents stay", fleet=cut(STORE, "spec", "retain")),
    Row(18, "a stage queues and nobody says how long", fleet=stages(2, **{"async": True})),
    Row(18, "a fallback waits in a queue", order({"queue": "clinic-lyon"})),

    Row(19, "no medium", fleet=put(SHIP, "spec", "media", to=[])),
    Row(19, "in alone", fleet=put(SHIP, "spec", "media", 0, "direction", to="in")),
    Row(19, "out alone", fleet=put(SHIP, "spec", "media", 0, "direction", to="out")),
    Row(19, "no receipts", fleet=put(SHIP, "spec", "media", 0, "carries", to=["bundle"])),
    Row(19, "no bundles", fleet=put(SHIP, "spec", "media", 0, "carries", to=["receipt", "evidence"])),
    Row(19, "the wrong way round", fleet=put(SHIP, "spec", "media", to=[
        {**STICK, "direction": "in", "carries": ["receipt"]}, {**STICK, "direction": "out", "carries": ["bundle"]}])),
    Row(19, "another site has lost its wire", fleet=both(
        put(LYON, "spec", "connectivity", to={"mode": "disconnected"}), put(LYON, "spec", "media", to=[]))),
]  # fmt: skip


def merged_scope(countries: list[str]) -> Shape:
    """Return a pack that permits everything where it is triggered, which is what a plan would have to cite."""
    return a_pack("swiss-law", a_rule("always"), countries=countries, jurisdiction=["CH"])


def checked(row: Row) -> set[int | None]:
    """Return the numbers of all that is found once a row is applied."""
    documents, packs, plan = guarded(), laws(), guarded_plan()
    row.fleet(documents)
    row.packs(packs)
    row.plan(plan)
    fleet = a_fleet(documents, packs)
    return {finding.invariant for finding in check(bound_to(plan, fleet), fleet).findings}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.number}-{row.what.replace(' ', '-')}" for row in ROWS])
def test_what_is_broken_is_named_by_its_number(row: Row) -> None:
    assert row.number in checked(row)


def test_the_plan_of_a_fleet_that_says_everything_passes_all_twenty() -> None:
    fleet = a_fleet(guarded(), laws())
    result = check(bound_to(guarded_plan(), fleet), fleet)
    assert result.findings == ()
    assert result.not_checked == {}
    assert result.checked == tuple(range(1, 21))


STALE: dict[str, tuple[Change, str]] = {
    "a manifest changed": (put("inputs", PIPELINE, to="sha256:" + "1" * 64), f"{PIPELINE} changed"),
    "a pack changed": (put("inputs", "pack:eu-law", to="sha256:" + "1" * 64), "pack:eu-law changed"),
    "a manifest is new": (cut("inputs", SHIP), f"{SHIP} is new"),
    "a manifest is gone": (put("inputs", "sites/north.yaml", to="sha256:" + "1" * 64), "sites/north.yaml is gone"),
    "nothing is bound": (put("inputs", to={}), "is new"),
}


@pytest.mark.parametrize("name", STALE)
def test_a_plan_that_binds_other_inputs_is_stale(name: str) -> None:
    """Invariant 20: it is refused before anything else is looked at."""
    change, said = STALE[name]
    fleet = a_fleet(guarded(), laws())
    plan = bound_to(guarded_plan(), fleet)
    change(plan)
    with pytest.raises(PlacementError, match="invariant 20") as refused:
        check(plan, fleet)
    assert said in str(refused.value)


def test_another_checker_leaves_invariant_20_open_and_the_claim_is_named() -> None:
    fleet = a_fleet(guarded(), laws())
    plan = bound_to(guarded_plan(), fleet)
    plan["inputs"]["checker"] = "sha256:" + "1" * 64
    result = check(plan, fleet)
    assert "another checker" in result.not_checked[20]
    assert "plan/invariants" in {finding.code for finding in result.findings}


def test_every_invariant_is_broken_in_five_ways_or_more() -> None:
    ways = Counter(row.number for row in ROWS) + Counter({20: len(STALE)})
    assert set(ways) == set(INVARIANTS)
    assert min(ways.values()) >= 5
