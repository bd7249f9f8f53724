"""Input that cannot be planned: a finding with file and field, or a clear "unplaced", never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from placement.engine import plan
from placement.errors import PlacementError
from placement.plan_reading import check_fresh, parse_plan
from sites.finding import ManifestError
from sites.noun import Noun
from tests.support.placement import a_clinic, a_knowledge, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_link

QUOTE = {"name": "quote", "task": "quote", "output": "1KiB"}


def recall(**fields: Any) -> dict[str, Any]:
    facts = {"name": "recall", "task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
    return {**facts, **fields}


FAULTS: list[tuple[str, tuple[Noun, ...]]] = [
    ("no site 'dcc'", (a_clinic(links=["dcc"]),)),
    ("did you mean 'dc'?", (a_clinic(links=["dcc"]),)),
    ("is disconnected and declares links", (a_clinic(links=["dc"], mode="disconnected"),)),
    ("a link from a site to itself", (a_clinic(links=["clinic"]),)),
    ("a second link to the same site", (a_clinic(links=["dc", "dc"]),)),
    ("a bandwidth of zero", (a_clinic(links=[a_link("dc", bandwidth="0Mbit/s")]),)),
    ("another rtt for this wire", (a_clinic(links=["dd"]), a_clinic("dd", links=[a_link("clinic", rtt="1ms")]))),
    ("a second hardware group", (a_clinic(hardware=[a_box(), a_box()]),)),
    ("selects no site", (a_clinic(serves={"size": "xl"}),)),
    ("in a cycle: triage, sum", (a_pipeline("mail", a_stage(after=["sum"]), a_stage("sum", after=["triage"])),)),
    ("in a cycle", (a_pipeline("mail", a_stage(fallback=["quote"]), fallbacks=[{**QUOTE, "after": ["triage"]}]),)),
    ("no stage 'tirage' to follow", (a_pipeline("mail", a_stage(), a_stage("sum", after=["tirage"])),)),
    ("no fallback 'quot'", (a_pipeline("mail", a_stage(fallback=["quot"]), fallbacks=[QUOTE]),)),
    ("no Model 'smal'", (a_pipeline("mail", a_stage(models=["smal"])),)),
    ("no Knowledge 'protocol'", (a_pipeline("mail", recall(knowledge="protocol")),)),
    ("names no `knowledge`", (a_pipeline("mail", recall(knowledge=None)),)),
    ("small does classify, the stage retrieve", (a_pipeline("mail", recall(models=["small"])),)),
    ("task classify names no `models`", (a_pipeline("mail", a_stage(models=[])),)),
    ("a rate of zero", (a_pipeline(rate="0/s"),)),
    ("selects no site", (a_pipeline(origins={"role": "ship"}),)),
    ("a second stage called 'triage'", (a_pipeline("mail", a_stage(), a_stage()),)),
    ("no stage may be called 'answer'", (a_pipeline("mail", a_stage("answer")),)),
    ("no site 'clinik'", (a_pipeline("mail", a_stage(sites=["clinik"])),)),
    ("named twice", (a_pipeline("mail", a_stage(sites=["dc", "dc"])),)),
    ("no stage 'tirage' to keep apart", (a_pipeline(apart=[{"stages": ["triage", "tirage"], "by": "site"}]),)),
    ("never apart from itself", (a_pipeline(apart=[{"stages": ["triage", "triage"], "by": "site"}]),)),
    ("no stage 'tirage' to spread", (a_pipeline(spread=[{"stage": "tirage", "by": "site", "most": 0.5}]),)),
    ("spreads the same stage a second time",
     (a_pipeline(spread=[{"stage": "triage", "by": "site", "most": m} for m in (0.5, 0.6)]),)),
    ("keeps the same two stages apart a second time",
     (a_pipeline("mail", a_stage(), a_stage("sum"), apart=[{"stages": pair, "by": "site"}
                                                           for pair in (["sum", "triage"], ["triage", "sum"])]),)),
    ("a second taint of this name", (a_clinic(taints=[{"name": "moved", "reason": "in May"}] * 2),)),
    ("has no Policy", (a_pipeline("mail", tenant="other"),)),
    ("no variant has a speed", (a_model("small", a_variant(speed=[{"hardware": "h100", "service": "1ms",
                                                                     "throughput": "1/s"}])),)),
    ("no variant has a speed", (a_model("small", a_variant(speed=[{"hardware": "x86_64", "service": "1ms",
                                                                     "throughput": "0/s"}])),)),
    ("names no law", (a_knowledge(data=[{"data": "system.operations"}]),)),
]  # fmt: skip


@pytest.mark.parametrize(("message", "nouns"), FAULTS, ids=[f"{i}: {m}" for i, (m, _) in enumerate(FAULTS)])
def test_a_fault_is_named_with_its_file(message: str, nouns: tuple[Noun, ...]) -> None:
    valid: list[Noun] = [
        a_clinic(), a_region(), a_model(), a_model("encoder", task="embed"), a_knowledge(), a_pipeline(),
    ]  # fmt: skip
    given = {(type(noun), getattr(noun, "name", "")) for noun in nouns}
    kept = [noun for noun in valid if (type(noun), getattr(noun, "name", "")) not in given]
    with pytest.raises(ManifestError) as caught:
        a_problem(*kept, *nouns)
    assert message in str(caught.value)
    assert ".yaml:1" in str(caught.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ManifestError) as caught:
        a_problem(a_clinic(links=["nowhere"]), a_pipeline("mail", a_stage(models=["none"])))
    assert len(caught.value.findings) == 2


def test_a_graph_of_a_thousand_stages_is_planned() -> None:
    chain = [a_stage("s0"), *(a_stage(f"s{i}", after=[f"s{i - 1}"]) for i in range(1, 1000))]
    made = plan(a_problem(a_clinic(), a_model(), a_pipeline("mail", *chain, rate="0.001/s")))
    assert len(made.workloads[0].assignments[0].stages) == 1000


@pytest.mark.parametrize("spec", [
    {"spread": [{"stage": "triage", "by": "site", "most": 0}]},
    {"spread": [{"stage": "triage", "by": "site", "most": 1.1}]},
    {"spread": [{"stage": "triage", "by": "planet", "most": 0.5}]},
    {"apart": [{"stages": ["triage"], "by": "site"}]},
    {"apart": [{"stages": ["triage", "sum", "draft"], "by": "site"}]},
    {"tolerates": "moved"},
])  # fmt: skip
def test_a_rule_of_places_outside_its_range_is_no_pipeline(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_pipeline(**spec)


@pytest.mark.parametrize("sites", [[], "clinic", 3, {"role": 3}, ["Not a name"]])
def test_a_pin_is_labels_or_names(sites: Any) -> None:
    with pytest.raises(ValidationError):
        a_pipeline("mail", a_stage(sites=sites))


@pytest.mark.parametrize("hardware", [[], [a_box(memory="1B")], [a_box(disk="0B")]])
def test_a_site_without_capacity_leaves_its_workload_clearly_unplaced(hardware: list[dict[str, Any]]) -> None:
    made = plan(a_problem(a_clinic(hardware=hardware), a_region("dc", serves="own"), a_model(), a_pipeline()))
    assert [w.id for w in made.unplaced] == ["mail@clinic"]
    assert made.unplaced[0].causes
    assert made.cost.per_hour == 0


@pytest.mark.parametrize(("cause", "stages", "spec"), [
    ("pin:triage", [a_stage(sites={"role": "ship"})], {}),
    ("pin:triage", [a_stage(sites=["dc"])], {}),
    ("spread:triage", [a_stage()], {"spread": [{"stage": "triage", "by": "country", "most": 0.5}]}),
    ("spread:triage", [a_stage()], {"split": True, "spread": [{"stage": "triage", "by": "site", "most": 0.001}]}),
    ("pin:sum", [a_stage(sites=["clinic"]), a_stage("sum", sites=["clinic"])],
     {"apart": [{"stages": ["triage", "sum"], "by": "site"}]}),
])  # fmt: skip
def test_places_that_contradict_each_other_leave_their_workload_clearly_unplaced(
    cause: str, stages: list[dict[str, Any]], spec: dict[str, Any]
) -> None:
    region = a_region("dc", serves={"role": "ship"}) if stages[0].get("sites") == ["dc"] else a_region("dc")
    ships = a_clinic("ship", labels={"role": "ship"}, hardware=[]) if region.spec.serves != "any" else None
    nouns = [a_clinic(links=["dc"]), region, a_model(), a_pipeline("mail", *stages, **spec)]
    made = plan(a_problem(*nouns, *([ships] if ships else [])))
    assert [w.id for w in made.unplaced] == ["mail@clinic"]
    assert any(cause in minimal for minimal in made.unplaced[0].causes)


@pytest.mark.parametrize("spec", [{"latency": "1s"}, {"split": True}, {"survive": 1}])
def test_a_long_graph_is_planned_or_clearly_unplaced_under_every_rule(spec: dict[str, Any]) -> None:
    chain = [a_stage("s0"), *(a_stage(f"s{i}", after=[f"s{i - 1}"]) for i in range(1, 520))]
    made = plan(a_problem(a_clinic(), a_model(), a_pipeline("mail", *chain, rate="0.001/s", **spec)))
    assert len(made.workloads) + len(made.unplaced) == 1


def test_a_plan_of_other_manifests_is_stale_and_names_them() -> None:
    problem = a_problem(a_clinic(), a_model(), a_pipeline())
    made = plan(problem)
    check_fresh(made, problem.digests)
    changed = {**problem.digests, "clinic.yaml": "sha256:" + "1" * 64}
    with pytest.raises(PlacementError, match=r"clinic\.yaml: changed"):
        check_fresh(made, changed)


@pytest.mark.parametrize("change", [{"kind": "Plane"}, {"pools": 3}, {"extra": 1}, {"cost": {}}])
def test_what_is_no_plan_is_refused_with_the_field(change: dict[str, Any]) -> None:
    form = plan(a_problem(a_clinic(), a_model(), a_pipeline())).to_json()
    with pytest.raises(PlacementError, match=next(iter(change))):
        parse_plan(json.dumps({**form, **change}).encode())
