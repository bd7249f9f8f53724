"""What a plan provides for losses, and how it divides a workload, broken one way at a time: the checker names it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from placement.check import check, checker_digest
from placement.engine import plan
from placement.problem import problem_of
from sites.question import Window
from tests.support.check import SINCE, UNTIL, Shape, a_fleet, a_rule, merged
from tests.support.check_clinics import HEALTH, clinics, laws

Change = Callable[[Any], Any]
LYON, LILLE = "sites/clinic-lyon.yaml", "sites/dc-lille.yaml"
SURVIVES, DIVIDED, SPREAD = "survives", "divided", "spread"
RULES: dict[str, Shape] = {
    SURVIVES: {"survive": 1},
    DIVIDED: {"split": True, "rate": "8/s"},
    SPREAD: {"split": True, "rate": "2/s", "spread": [{"stage": "draft", "by": "site", "most": 0.5}]},
}


def two_regions(base: str) -> dict[str, Shape]:
    """Return a clinic with a wire to each of two data centres that can stand in for each other."""
    documents = clinics()
    del documents["sites/ship.yaml"]
    documents[LILLE] = merged(documents["sites/dc-paris.yaml"], {"metadata": {"name": "dc-lille"}})
    links = documents[LYON]["spec"]["connectivity"]["links"]
    links.append({**links[0], "to": "dc-lille", "rtt": "20ms"})
    documents["pipeline.yaml"]["spec"] |= RULES[base]
    return documents


@cache
def planned(base: str) -> Any:
    return plan(problem_of(a_fleet(two_regions(base), laws()), Window(SINCE, UNTIL))).to_json()


def codes(base: str, on_plan: Change = lambda plan: None, on_fleet: Change = lambda fleet: None) -> set[str]:
    """Return the codes of what is found once the plan of a base, and the facts under it, are changed."""
    documents, made = two_regions(base), merged(planned(base), {})
    on_fleet(documents)
    on_plan(made)
    fleet = a_fleet(documents, laws())
    bound = {**made, "inputs": {**fleet.digests, "checker": checker_digest()}}
    return {finding.code for finding in check(bound, fleet).findings}


@pytest.mark.parametrize("base", RULES)
def test_the_plan_as_it_was_made_holds(base: str) -> None:
    assert codes(base) == set()
    assert planned(base)["unplaced"] == []


def moved(made: Shape, loss: int = 0) -> Shape:
    return made["failures"][loss]["workloads"][0]["assignments"][0]


def stage(made: Shape, name: str) -> Shape:
    return next(entry for entry in moved(made)["stages"] if entry["stage"] == name)


def of_stage(name: str, **changes: Any) -> Change:
    return lambda made: stage(made, name).update(changes)


def of_flow(ends: str, **changes: Any) -> Change:
    def change(made: Shape) -> None:
        for entry in moved(made)["flows"]:
            if f"{entry['fromStage']}>{entry['toStage']}" == ends:
                entry.update(changes)

    return change


def in_normal_running(made: Shape) -> Shape:
    return made["workloads"][0]["assignments"][0]


LOSSES: dict[str, Change] = {
    "no failure is provided for": lambda made: made["failures"].clear(),
    "one failure is missing": lambda made: made["failures"].pop(),
    "a failure is there twice": lambda made: made["failures"].append(made["failures"][0]),
    "a failure of nothing that exists": lambda made: made["failures"][0].update(lost="site:mars"),
    "a failure by no name": lambda made: made["failures"][0].update(lost="dc-paris"),
    "nobody survives it": lambda made: made["failures"][0]["workloads"].clear(),
    "a stranger survives it": lambda made: made["failures"][0]["workloads"][0].update(id="x@clinic-lyon"),
    "nothing is lost: all stays": lambda made: made["failures"][0]["workloads"][0].update(
        assignments=[in_normal_running(made)]),
    "no assignment is left": lambda made: made["failures"][0]["workloads"][0].update(assignments=[]),
    "half of the requests": lambda made: moved(made).update(fraction=0.5),
    "a stage is missing": lambda made: moved(made)["stages"].remove(stage(made, "triage")),
    "a flow is missing": lambda made: moved(made)["flows"].pop(),
    "a label lacks a class": of_stage("draft", label=[]),
    "a label falls on the way": of_flow("draft>answer", label=[]),
    "no rule is cited": of_stage("draft", rules=[]),
    "a flow is denied": of_flow("input>draft", verdict="deny"),
    "a model that is none": of_stage("draft", model="none"),
    "hardware that the site lacks": of_stage("draft", hardware="box"),
    "knowledge where it may not live": of_stage("recall", site="dc-paris", hardware="gpu"),
    "a route over what is lost": of_flow("input>draft", route=["clinic-lyon", "dc-paris", "dc-lille"]),
    "nothing is kept ready": lambda made: [pool.update(replicas=0, nodes={}) for pool in made["pools"]
                                           if pool["load"] == 0],
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_wrong_after_a_loss_breaks_invariant_15(name: str) -> None:
    assert "invariant/15" in codes(SURVIVES, LOSSES[name])


def rule(**fields: Any) -> Change:
    return lambda fleet: fleet["policy.yaml"]["spec"]["rules"].append(a_rule("new", **fields))


FACTS: dict[str, Change] = {
    "who stands in may not": rule(effect="prohibit", activities=["failover"], data=[HEALTH]),
    "whoever stands in lies abroad": lambda fleet: [
        fleet[f"sites/{name}.yaml"]["spec"].update(location="US") for name in ("dc-lille", "dc-paris")],
    "the wires become narrow": lambda fleet: [
        link.update(bandwidth="40kbit/s") for link in fleet[LYON]["spec"]["connectivity"]["links"]],
    "the wires become slow": lambda fleet: [
        link.update(rtt="4s") for link in fleet[LYON]["spec"]["connectivity"]["links"]],
    "who stands in is being moved": lambda fleet: [
        fleet[f"sites/{name}.yaml"]["spec"].update(taints=[{"name": "moved", "reason": "in May"}])
        for name in ("dc-lille", "dc-paris")],
    "copies there cannot be erased": lambda fleet: [
        fleet["policy.yaml"]["spec"].update(retention=[{"data": HEALTH, "most": "90d"}]),
        fleet["pipeline.yaml"]["spec"]["stages"][2].update(retain="1d")],
    "its operator is controlled from abroad": lambda fleet: [
        fleet[f"sites/{name}.yaml"]["spec"]["parties"].update(
            owner={"name": "P", "country": "FR", "controlledBy": [{"name": "Q", "country": "US", "controlledBy": []}]})
        for name in ("dc-lille", "dc-paris")],
}  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_changes_under_what_is_provided_breaks_invariant_15(name: str) -> None:
    assert "invariant/15" in codes(SURVIVES, on_fleet=FACTS[name])


def parts(made: Shape) -> list[Shape]:
    return made["workloads"][0]["assignments"]


DIVISIONS: dict[str, tuple[str, str, Change, Change]] = {
    "a part is missing": (DIVIDED, "plan/fractions", lambda made: [
        parts(made).pop(), made["workloads"][0].update(fallbacks=[])], lambda fleet: None),
    "the parts are more than one": (
        DIVIDED, "plan/fractions", lambda made: parts(made)[0].update(fraction=0.9), lambda fleet: None),
    "a part of nothing": (
        DIVIDED, "plan/fractions", lambda made: parts(made)[0].update(fraction=0.0), lambda fleet: None),
    "nobody allows it": (
        DIVIDED, "plan/fractions", lambda made: None, lambda fleet: fleet["pipeline.yaml"]["spec"].update(split=False)),
    "all at one site": (
        SPREAD, "plan/spread", lambda made: None, lambda fleet: fleet["pipeline.yaml"]["spec"].update(
        spread=[{"stage": "draft", "by": "site", "most": 0.4}])),
    "all in one country": (
        SPREAD, "plan/spread", lambda made: None, lambda fleet: fleet["pipeline.yaml"]["spec"].update(
        spread=[{"stage": "draft", "by": "country", "most": 0.5}])),
    "by an operator that nobody names": (SPREAD, "plan/spread", lambda made: None, lambda fleet: [
        fleet["pipeline.yaml"]["spec"].update(spread=[{"stage": "draft", "by": "operator", "most": 0.5}]),
        fleet[LILLE]["spec"]["parties"].pop("operator")]),
    "a stage beside one that it may not be beside": (
        SPREAD, "plan/apart", lambda made: None, lambda fleet: fleet["pipeline.yaml"]["spec"].update(
            apart=[{"stages": ["triage", "recall"], "by": "site"}])),
    "a label of one part lacks a class": (
        DIVIDED, "invariant/2", lambda made: parts(made)[1]["stages"][0].update(label=[]), lambda fleet: None),
    "a flow of one part is missing": (
        DIVIDED, "invariant/1", lambda made: parts(made)[1]["flows"].pop(0), lambda fleet: None),
    "a rule of one part is not cited": (
        DIVIDED, "invariant/8", lambda made: parts(made)[1]["stages"][0].update(rules=[]), lambda fleet: None),
}  # fmt: skip


@pytest.mark.parametrize("name", DIVISIONS)
def test_what_is_wrong_with_a_division_is_named(name: str) -> None:
    base, code, on_plan, on_fleet = DIVISIONS[name]
    assert code in codes(base, on_plan, on_fleet)
