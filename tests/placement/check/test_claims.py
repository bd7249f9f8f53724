"""What a plan claims beside where things run: each workload's cost, its reasons, and how far its bound reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from placement.check import check
from placement.engine import plan as planned
from placement.errors import PlacementError
from placement.problem import problem_of
from sites.question import Window
from tests.support.check import SINCE, UNTIL, Shape, a_fleet
from tests.support.check_clinics import clinics, fleet_and_plan, laws, the_plan
from tests.support.placement import a_clinic, a_law, a_model, a_pipeline, a_region, a_variant
from tests.support.sites import a_fleet as fleet_of
from tests.support.sites import a_policy as one_policy

LYON, SHIP = "patient-message@clinic-lyon", "patient-message@ship"


def on(name: str, **changes: Any) -> Callable[[Shape], Any]:
    return lambda plan: next(entry for entry in plan["workloads"] if entry["id"] == name).update(changes)


def without(name: str, field: str) -> Callable[[Shape], Any]:
    return lambda plan: next(entry for entry in plan["workloads"] if entry["id"] == name).pop(field)


def cost(**changes: Any) -> Callable[[Shape], Any]:
    return lambda plan: plan["cost"].update(changes)


QUOTE = {"stage": "quote", "site": "clinic-lyon"}


def order(*targets: Shape) -> Callable[[Shape], Any]:
    return on(LYON, fallbacks=[{"stage": "draft", "order": list(targets)}])


CLAIMS: dict[str, tuple[str, Callable[[Shape], Any]]] = {
    "a part of the cost that is too small": ("plan/cost", on(LYON, costPerHour=0.520337)),
    "another's part of the cost": ("plan/cost", on(SHIP, costPerHour=0.520339)),
    "no part of the cost": ("plan/cost", without(LYON, "costPerHour")),
    "a bound over nobody knows what": ("plan/bound", lambda plan: plan["cost"].pop("gapOver")),
    "a bound over some of it": ("plan/bound", cost(gapOver="some")),
    "a bound below nothing": ("plan/bound", cost(lowerBoundPerHour=-1.0, gap=None)),
    "a bound without its gap": ("plan/bound", cost(gap=None)),
    "no bound": ("plan/bound", lambda plan: plan["cost"].pop("lowerBoundPerHour")),
    "a reason for what is placed": ("plan/unplaced", on(LYON, kind="crowded")),
    "causes for what is placed": ("plan/unplaced", on(LYON, causes=[["latency"]])),
    "a reason that is none": ("plan/unplaced", on(SHIP, kind="unlucky")),
    "four causes at once": ("plan/unplaced", on(SHIP, causes=[["a", "b", "c", "d"]])),
    "unplaced for no reason that is one": (
        "plan/unplaced", lambda plan: plan["unplaced"].append({"id": SHIP, "kind": "unlucky", "causes": []})),
    "unplaced and asked for by nobody": (
        "invariant/1", lambda plan: plan["unplaced"].append({"id": "x@ship", "kind": "crowded", "causes": []})),
    "a permitted fallback is left out": ("plan/fallback", on(LYON, fallbacks=[])),
    "a permitted fallback is left out of an order": ("plan/fallback", order({"queue": "clinic-lyon"})),
    "a queue stands before a fallback": ("plan/fallback", order({"queue": "clinic-lyon"}, QUOTE)),
    "a fallback stands there twice": ("plan/fallback", order(QUOTE, QUOTE)),
    "a stage falls back to its own pool": ("plan/fallback", order(
        {"site": "dc-paris", "model": "assistant", "variant": "fp16", "hardware": "gpu"}, QUOTE)),
    "another origin": ("plan/workload", on(LYON, origin="ship")),
    "another pipeline": ("plan/workload", on(LYON, pipeline="other")),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_does_not_hold_is_named(name: str) -> None:
    code, breaks = CLAIMS[name]
    fleet, plan = fleet_and_plan()
    breaks(plan)
    assert code in {finding.code for finding in check(plan, fleet).findings}


def test_reasons_for_what_is_degraded_are_no_finding() -> None:
    fleet, plan = fleet_and_plan()
    on(SHIP, kind="impossible", causes=[["link:disconnected"], ["hardware:memory", "hardware:cpus"]])(plan)
    assert check(plan, fleet).findings == ()


def test_where_pipelines_differ_in_utilisation_pools_are_paid_by_what_is_wanted() -> None:
    """A second pipeline at half the utilisation wants as much of the ship's pool with half the requests."""
    documents = clinics()
    other = {**documents["pipeline.yaml"], "metadata": {"name": "log"}}
    spec = {**other["spec"], "stages": [other["spec"]["stages"][1]], "fallbacks": [], "utilisation": 0.35}
    documents["log.yaml"] = {**other, "spec": {**spec, "rate": "0.25/s", "origins": {"role": "clinic", "at": "sea"}}}
    documents["sites/ship.yaml"]["metadata"]["labels"]["at"] = "sea"
    fleet = a_fleet(documents, laws())
    plan = the_plan(fleet)
    recall = plan["workloads"][1]["assignments"][0]
    flows = [{**flow, "rate": 0.25} for flow in recall["flows"] if flow["fromStage"] in ("input", "recall")]
    flows[1]["toStage"] = "answer"
    plan["workloads"].insert(0, {
        "id": "log@ship", "pipeline": "log", "origin": "ship", "tenant": "default", "rate": 0.25, "status": "placed",
        "assignments": [{"fraction": 1.0, "stages": recall["stages"][:1], "flows": flows}], "fallbacks": [],
        "latency_ms": {"modelled": 7.615, "limit": 3000.0}, "costPerHour": 0.005,
    })  # fmt: skip
    plan["workloads"][2]["costPerHour"] = 0.005
    plan["pools"][3].update(load=0.75, utilisation=0.005)
    assert check(plan, fleet).findings == ()
    plan["workloads"][2]["costPerHour"] = 0.006667
    assert [(one.code, one.workload) for one in check(plan, fleet).findings] == [("plan/cost", SHIP)]


@pytest.mark.parametrize("engine", [None, {"name": "", "version": "1", "work": 0, "seed": 0}, {"name": "exact"}])
def test_a_plan_that_does_not_say_what_made_it_is_wrong_input(engine: Any) -> None:
    fleet, plan = fleet_and_plan()
    plan["engine"] = engine
    with pytest.raises(PlacementError, match="engine"):
        check(plan, fleet)


def regions() -> dict[str, Shape]:
    """Return the clinics with three more data centres, each with a pipeline of its own, so that their pools run."""
    documents = clinics()
    paris, pipeline = documents["sites/dc-paris.yaml"], documents["pipeline.yaml"]
    links = documents["sites/clinic-lyon.yaml"]["spec"]["connectivity"]["links"]
    for name, rtt in {"dc-lille": "25ms", "dc-metz": "22ms", "dc-nancy": "30ms"}.items():
        documents[f"sites/{name}.yaml"] = {**paris, "metadata": {"name": name}}
        links.append({**links[0], "to": name, "rtt": rtt})
        stages = [*pipeline["spec"]["stages"][:2], {**pipeline["spec"]["stages"][2], "sites": [name]}]
        spec = {**pipeline["spec"], "stages": stages}
        documents[f"{name}.yaml"] = {**pipeline, "metadata": {"name": f"at-{name}"}, "spec": spec}
    pipeline["spec"]["stages"][2]["sites"] = ["dc-paris", "dc-lille", "dc-metz", "dc-nancy"]
    return documents


def test_other_pools_stand_by_in_the_order_of_their_distance() -> None:
    fleet = a_fleet(regions(), laws())
    plan = planned(problem_of(fleet, Window(SINCE, UNTIL))).to_json()
    assert check(plan, fleet).findings == ()
    entry = next(entry for entry in plan["workloads"] if entry["id"] == LYON)
    targets = entry["fallbacks"][0]["order"]
    assert len([target for target in targets if "stage" not in target]) == 2
    targets[0], targets[1] = targets[1], targets[0]
    assert {(one.code, one.workload) for one in check(plan, fleet).findings} == {("plan/fallback", LYON)}


def test_a_pool_that_is_not_in_the_plan_is_no_fallback() -> None:
    fleet = a_fleet(regions(), laws())
    plan = planned(problem_of(fleet, Window(SINCE, UNTIL))).to_json()
    entry = next(entry for entry in plan["workloads"] if entry["id"] == LYON)
    entry["fallbacks"][0]["order"][0]["hardware"] = "cpu"
    assert "plan/fallback" in {one.code for one in check(plan, fleet).findings}


def test_planner_and_checker_share_a_pool_alike_among_pipelines_of_unlike_utilisation() -> None:
    """Both origins send four requests a second through one pool, and the second at half the utilisation wants twice."""
    nouns = [
        *(a_clinic(name, links=["dc"], hardware=[], labels={"role": name}) for name in ("ana", "bo")),
        a_model("small", a_variant(needs={"cpus": 32})),
        a_region(),
        a_pipeline("calm", origins={"role": "bo"}, utilisation=0.35, rate="4/s", input={"size": "0B"}),
        a_pipeline("mail", origins={"role": "ana"}, utilisation=0.7, rate="4/s", input={"size": "0B"}),
        one_policy(packs=["law"]),
    ]
    fleet = fleet_of(*nouns, given=(a_law(),))
    made = planned(problem_of(fleet, Window(SINCE, UNTIL))).to_json()
    (pool,) = made["pools"]
    assert pool["replicas"] == 2  # 4 / 0.7 + 4 / 0.35 = 17.1 of ten each
    paid = {entry["id"]: entry["costPerHour"] for entry in made["workloads"]}
    egress = made["cost"]["egressPerHour"]
    whole = made["cost"]["perHour"] - egress
    assert paid["calm@bo"] - egress / 2 == pytest.approx(whole * 2 / 3, abs=2e-6)
    assert paid["mail@ana"] - egress / 2 == pytest.approx(whole / 3, abs=2e-6)
    assert check(made, fleet).passed
    for entry in made["workloads"]:
        entry["costPerHour"] = round(whole / 2 + egress / 2, 6)
    assert {finding.code for finding in check(made, fleet).findings} == {"plan/cost"}
