"""Rules of places in a plan: pins, taints, what stays apart, what is spread, and fractions, each broken once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from placement.check import Finding, check
from tests.support.check import Shape, a_fleet, merged
from tests.support.check_clinics import clinics, laws, the_plan

LYON = "patient-message@clinic-lyon"
PARIS_SITE, PIPELINE = "sites/dc-paris.yaml", "pipeline.yaml"
Change = Callable[[dict[str, Shape]], Any]


def pinned(to: Any) -> Change:
    return lambda documents: documents[PIPELINE]["spec"]["stages"][2].update(sites=to)


def pipeline(**spec: Any) -> Change:
    return lambda documents: documents[PIPELINE]["spec"].update(spec)


def apart(by: str) -> Change:
    return pipeline(apart=[{"stages": ["recall", "draft"], "by": by}])


def spread(stage: str, by: str, most: float) -> Change:
    return pipeline(spread=[{"stage": stage, "by": by, "most": most}])


def tainted(**spec: Any) -> Change:
    def change(documents: dict[str, Shape]) -> None:
        documents[PARIS_SITE]["spec"]["taints"] = [{"name": "moved", "reason": "being moved in May"}]
        documents[PIPELINE]["spec"].update(spec)

    return change


def named(name: str, operator: Shape | None) -> Change:
    """Return a change of who operates a site."""
    return lambda documents: documents[name]["spec"]["parties"].update(operator=operator)


def all_of(*changes: Change) -> Change:
    return lambda documents: [change(documents) for change in changes]


def found(*changes: Change, plan: Callable[[Shape], Any] = lambda plan: None) -> tuple[Finding, ...]:
    documents = clinics()
    for change in changes:
        change(documents)
    fleet = a_fleet(documents, laws())
    shape = the_plan(fleet)
    plan(shape)
    return check(shape, fleet).findings


GROUP = {"name": "Other FR", "country": "FR", "controlledBy": []}

HOLDS: dict[str, Change] = {
    "a pin that names the site": pinned(["dc-paris"]),
    "a pin that selects every site": pinned({}),
    "a taint that is tolerated": tainted(tolerates=["moved"]),
    "two stages at two sites": apart("site"),
    "two stages of two operators": all_of(apart("operator"), named(PARIS_SITE, GROUP)),
    "half of the rate at one site": spread("draft", "site", 0.5),
    "half of the rate in each clinic": spread("recall", "site", 0.5),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_rule_of_places_that_the_plan_keeps_finds_nothing(name: str) -> None:
    assert found(HOLDS[name]) == ()


BROKEN: dict[str, tuple[str, str, Change]] = {
    "a pin that names another site": ("plan/pin", LYON, pinned(["clinic-lyon"])),
    "a pin that selects clinics": ("plan/pin", LYON, pinned({"role": "clinic"})),
    "a taint that nobody tolerates": ("plan/taint", LYON, tainted()),
    "a taint of another name is tolerated": ("plan/taint", LYON, tainted(tolerates=["maintenance"])),
    "two stages in one country": ("plan/apart", LYON, apart("country")),
    "two stages of one operator": ("plan/apart", LYON, apart("operator")),
    "nobody says who operates": ("plan/apart", LYON, all_of(apart("operator"), named(PARIS_SITE, None))),
    "too much at one site": ("plan/spread", "", spread("draft", "site", 0.49)),
    "too much in one country": ("plan/spread", "", spread("recall", "country", 0.9)),
    "nobody says who operates what is spread": (
        "plan/spread", LYON, all_of(spread("draft", "operator", 1), named(PARIS_SITE, None))),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_of_places_that_the_plan_breaks_is_named(name: str) -> None:
    code, workload, change = BROKEN[name]
    documents = clinics()
    change(documents)
    if documents[PARIS_SITE]["spec"]["parties"].get("operator", 0) is None:
        del documents[PARIS_SITE]["spec"]["parties"]["operator"]
    fleet = a_fleet(documents, laws())
    assert (code, workload) in {(one.code, one.workload) for one in check(the_plan(fleet), fleet).findings}


def the_workload(plan: Shape) -> Shape:
    return next(entry for entry in plan["workloads"] if entry["id"] == LYON)


def split_by(*fractions: float) -> Callable[[Shape], None]:
    """Return a change that serves Lyon by so many equal assignments, each with its fraction."""

    def change(plan: Shape) -> None:
        entry = the_workload(plan)
        whole = entry["assignments"][0]
        entry["assignments"] = [
            merged(
                whole, {"fraction": part, "flows": [{**flow, "rate": flow["rate"] * part} for flow in whole["flows"]]}
            )
            for part in fractions
        ]
        order = entry["fallbacks"][0]
        entry["fallbacks"] = [{**order, "assignment": index} for index in range(len(fractions))]

    return change


def test_a_split_workload_is_weighed_by_its_fractions() -> None:
    assert found(pipeline(split=True), plan=split_by(0.75, 0.25)) == ()


@pytest.mark.parametrize(
    ("fractions", "spec", "code"),
    [
        ((0.5, 0.25), {"split": True}, "plan/fractions"),
        ((0.5, 0.5), {}, "plan/fractions"),
        ((1.0, 0.0), {"split": True}, "plan/fractions"),
        ((0.5, 0.501), {"split": True}, "plan/fractions"),
        ((0.5, 0.25), {"split": True}, "plan/load"),
    ],
)
def test_fractions_that_are_none_are_named(fractions: tuple[float, ...], spec: Shape, code: str) -> None:
    assert code in {one.code for one in found(pipeline(**spec), plan=split_by(*fractions))}


def test_a_flow_of_a_fraction_has_its_part_of_the_rate() -> None:
    def breaks(plan: Shape) -> None:
        split_by(0.5, 0.5)(plan)
        the_workload(plan)["assignments"][1]["flows"][0]["rate"] = 0.5

    assert {one.code for one in found(pipeline(split=True), plan=breaks)} == {"plan/flow"}
