"""What each sentence of the semantics does to a plan: one valid problem, one deviation, the outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from placement.engine import plan
from placement.instance import instance_of
from placement.plan import Plan, WorkloadPlan
from tests.support.placement import a_clinic, a_knowledge, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_link, a_pack, a_party, a_policy, a_rule

SLOW_LINK = a_link("dc", rtt="10ms", bandwidth="1Mbit/s")


def only(made: Plan) -> WorkloadPlan:
    (workload,) = made.workloads
    return workload


def sites(workload: WorkloadPlan) -> dict[str, str]:
    return {stage.stage: stage.site for stage in workload.assignments[0].stages}


def test_a_replica_costs_its_dominant_share() -> None:
    heavy = a_variant(needs={"cpus": 1, "memory": "16GiB"})
    made = plan(a_problem(a_clinic(), a_model("small", heavy), a_pipeline()))
    assert made.cost.per_hour == 0.055  # half of the memory of a box at 0.11 EUR/h, an eighth of its cpus
    assert made.cost.billed_per_hour == 0.11


def test_stage_time_waits_and_flows_add_half_a_round_trip_and_one_transfer() -> None:
    made = plan(a_problem(a_clinic(links=[SLOW_LINK], hardware=[]), a_region(), a_model(), a_pipeline()))
    service, waiting = 50.0, 50.0 * 0.7 / (2 * 0.3)
    wires = 5 + 5 + (2048 + 200) * 8 / 1000
    assert only(made).latency_ms.modelled == round(service + waiting + wires, 3)


def test_load_is_divided_by_the_workload_s_own_utilisation() -> None:
    made = plan(a_problem(a_clinic(), a_model(), a_pipeline(rate="7/s", utilisation=0.35)))
    assert made.pools[0].replicas == 2
    assert made.pools[0].load == 7
    assert made.pools[0].utilisation == 0.35


def test_a_load_that_fills_a_replica_exactly_needs_no_second() -> None:
    made = plan(a_problem(a_clinic(), a_model(), a_pipeline(rate="7/s")))
    assert made.pools[0].replicas == 1


def test_a_replica_never_spans_devices() -> None:
    rack = a_box(name="rack", count=1, accelerators={"kind": "l4", "count": 2, "memory": "24GiB"})
    speed = [{"hardware": "l4", "service": "9ms", "throughput": "1/s"}]
    five = a_variant(needs={"accelerator": "5/8"}, speed=speed)
    fits = plan(a_problem(a_clinic(hardware=[rack]), a_model("small", five), a_pipeline(rate="1.4/s")))
    assert fits.pools[0].nodes["rack-0"].accelerators == (0, 1)
    full = plan(a_problem(a_clinic(hardware=[rack]), a_model("small", five), a_pipeline(rate="1.5/s")))
    assert [w.kind for w in full.unplaced] == ["impossible"]
    assert ("capacity",) in full.unplaced[0].causes


def test_knowledge_lies_once_on_each_node_that_reads_it() -> None:
    recall = {"name": "recall", "task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
    box = a_box(disk="10GiB")
    nouns = [a_model("encoder", task="embed"), a_pipeline("mail", recall, rate="14/s")]
    assert not plan(a_problem(a_clinic(hardware=[box]), a_knowledge(size="8GiB"), *nouns)).unplaced
    unplaced = plan(a_problem(a_clinic(hardware=[box]), a_knowledge(size="9GiB"), *nouns)).unplaced
    assert ("hardware:disk",) in unplaced[0].causes


def test_a_route_goes_round_a_country_that_may_not_be_crossed() -> None:
    home = a_policy(a_rule(), a_rule("never-over", "prohibit", activities=["transit"], countries=["US"]), packs=["law"])
    over, around = a_link("dc", rtt="1ms", transit=["US"]), a_link("hub", rtt="9ms")
    hub = a_region("hub", hardware=[], connectivity={"mode": "connected", "links": [a_link("dc", rtt="9ms")]})
    nouns = [a_region(), hub, a_model(), a_pipeline()]
    free = plan(a_problem(a_clinic(links=[over, around], hardware=[]), *nouns))
    held = plan(a_problem(a_clinic(links=[over, around], hardware=[]), *nouns, home))
    assert only(free).assignments[0].flows[0].route == ("clinic", "dc")
    assert only(held).assignments[0].flows[0].route == ("clinic", "hub", "dc")


def test_a_synchronous_flow_uses_no_intermittent_hop_and_an_async_one_may() -> None:
    clinic = a_clinic(links=["dc"], mode="intermittent", hardware=[])
    waits = plan(a_problem(clinic, a_region(), a_model(), a_pipeline()))
    later = plan(a_problem(clinic, a_region(), a_model(), a_pipeline("mail", a_stage(**{"async": True}))))
    assert ("link:intermittent",) in waits.unplaced[0].causes
    assert sites(only(later)) == {"triage": "dc"}
    assert only(later).latency_ms.modelled == 0


def test_a_fallback_takes_the_place_and_what_only_fed_the_stage_is_not_run() -> None:
    draft = a_stage("draft", models=["big"], after=["input", "triage"], fallback=["quote"])
    quote = {"name": "quote", "task": "quote", "after": ["input"], "output": "1KiB"}
    big = a_variant(needs={"accelerator": "1/8"}, speed=[{"hardware": "x86_64", "service": "9ms", "throughput": "9/s"}])
    pipeline = a_pipeline("mail", a_stage(), draft, fallbacks=[quote])
    made = plan(a_problem(a_clinic(), a_model(), a_model("big", big), pipeline))
    assert only(made).status == "degraded"
    assert sites(only(made)) == {"quote": "clinic"}
    assert only(made).causes == (("hardware:accelerator",),)
    assert made.pools == ()


def test_who_controls_the_operator_decides_not_where_the_machine_stands() -> None:
    within = {"within": ["EU"]}
    board = a_policy(a_rule(), a_rule("ours", "require", compellableBy=within), packs=["law"])
    foreign = a_party("FR", a_party("US", name="Parent"), name="Operator")
    nouns = [a_model(), a_pipeline(), board, a_clinic(links=["dc"], hardware=[])]
    assert not plan(a_problem(*nouns, a_region())).unplaced
    (unplaced,) = plan(a_problem(*nouns, a_region(operator=foreign))).unplaced
    assert ("residency:org/ours",) in unplaced.causes


def test_crowded_is_what_the_others_leave_no_room_for() -> None:
    light, heavy = a_pipeline("light"), a_pipeline("heavy", a_stage(models=["other"]), priority=2)
    made = plan(a_problem(a_clinic(hardware=[a_box(cpus=1)]), a_model(), a_model("other"), light, heavy))
    assert only(made).id == "heavy@clinic"
    assert [(w.id, w.kind) for w in made.unplaced] == [("light@clinic", "crowded")]
    assert made.unplaced[0].causes == (("capacity",), ("hardware:cpus",))


def test_the_lightest_priority_still_counts_beside_the_heaviest() -> None:
    nouns = [a_clinic(hardware=[a_box(cpus=2)]), *map(a_model, ("small", "one", "two"))]
    heavy = a_pipeline("heavy", priority=1_000_000)
    light = [a_pipeline(name, a_stage(models=[name]), priority=p) for name, p in (("one", 0.001), ("two", 0.002))]
    made = plan(a_problem(*nouns, heavy, *light))
    assert [w.id for w in made.workloads] == ["heavy@clinic", "two@clinic"]


@pytest.mark.parametrize("priority", [1e300, 1e-9, 0.0001, 1_000_001, 1.0005])
def test_a_priority_that_could_not_be_weighed_exactly_is_refused(priority: float) -> None:
    with pytest.raises(ValidationError, match="in steps of"):
        a_pipeline(priority=priority)


def test_the_label_carries_what_the_model_was_trained_on_whatever_variant_serves() -> None:
    trained = [{"data": "user.health_and_medical", "law": ["CH"]}]
    problem = a_problem(a_clinic(), a_model(trainedOn=trained), a_pipeline())
    (stage,) = only(plan(problem)).assignments[0].stages
    assert [atom["data"] for atom in stage.label] == ["system.operations", "user.health_and_medical"]
    assert all(atom["law"] == ["CH", "FR"] for atom in stage.label)


def test_a_model_trained_on_nobody_knows_what_is_placed_nowhere() -> None:
    unknown = a_model().model_copy(update={"spec": a_model().spec.model_copy(update={"trained_on": None})})
    (unplaced,) = plan(a_problem(a_clinic(), unknown, a_pipeline())).unplaced
    assert unplaced.kind == "impossible"
    assert unplaced.causes == (("residency:unlabelled",),)


def test_an_input_of_which_nobody_says_what_it_is_is_placed_nowhere() -> None:
    (unplaced,) = plan(a_problem(a_clinic(), a_model(), a_pipeline(input={"data": []}))).unplaced
    assert unplaced.causes == (("residency:unlabelled",),)


def test_a_pack_that_might_apply_is_a_cause() -> None:
    board = a_policy(packs=["law", "californian"])
    problem = a_problem(a_clinic(location="US"), a_model(), a_pipeline())
    law = a_pack(a_rule("lawful"), name="californian", countries=("US-CA",))
    policies, packs = {"default": board}, {**problem.packs, "californian": law}
    (unplaced,) = plan(replace(problem, policies=policies, packs=packs)).unplaced
    assert unplaced.causes == (("residency:californian/applicability",),)


def test_whoever_reads_knowledge_keeps_it_whatever_the_stage_does() -> None:
    board = a_policy(a_rule(), a_rule("at-home", "prohibit", activities=["backup"], countries=["US"]), packs=["law"])
    draft = a_stage("draft", knowledge="protocols")
    nouns = [a_model(), a_knowledge(), a_pipeline("mail", draft), board]
    assert not plan(a_problem(a_clinic(), *nouns)).unplaced
    (unplaced,) = plan(a_problem(a_clinic(activities={"backup": "US"}), *nouns)).unplaced
    assert unplaced.causes == (("residency:org/at-home",),)


def test_pseudonymised_data_meets_its_key_only_where_identified_data_may_be() -> None:
    key = [{"data": "system.operations", "law": ["FR"], "keyRef": "register"}]
    nouns = [a_clinic(), a_model("encoder", task="embed"), a_knowledge(data=key)]
    recall = {"name": "recall", "task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
    given = {"data": ["user.health_and_medical"], "identifiability": "pseudonymised", "keyRef": "register"}
    apart = a_policy(a_rule(), a_rule("apart", "prohibit", activities=["process"], identifiability=["identified"],
                                      data="user.health_and_medical"), packs=["law"])  # fmt: skip
    joins, other = a_pipeline("mail", recall, input=given), a_pipeline("mail", recall, input={**given, "keyRef": "x"})
    assert plan(a_problem(*nouns, joins, apart)).unplaced[0].causes == (("residency:org/apart",),)
    assert not plan(a_problem(*nouns, other, apart)).unplaced
    assert not plan(a_problem(*nouns, joins)).unplaced


def test_moves_are_fewest_before_cost_is_least() -> None:
    nouns = [a_region(price="1 EUR/h"), a_model(), a_pipeline()]
    now = plan(a_problem(a_clinic(links=["dc"]), *nouns))
    assert sites(only(now)) == {"triage": "clinic"}
    cheaper = a_problem(a_clinic(links=["dc"], hardware=[a_box(price="9 EUR/h")]), *nouns)
    assert sites(only(plan(cheaper))) == {"triage": "dc"}
    assert sites(only(plan(cheaper, current=now))) == {"triage": "clinic"}


def test_every_refusal_says_why() -> None:
    weak = a_stage(quality={"accuracy": 0.99})
    instance = instance_of(a_problem(a_clinic(), a_region("alone", serves="own"), a_model(), a_pipeline("mail", weak)))
    refusals = instance.workloads["mail@clinic"].refusals["triage"]
    assert [r.text for r in refusals["clinic"]] == ["small/w8 has accuracy 0.9; the stage asks for 0.99"]
    assert {r.rule for r in refusals["alone"]} == {"link:none", "quality:accuracy", "serves:own"}
