"""Pins, taints, and domains that nobody declares: each refuses a place with its rule and a sentence."""

from __future__ import annotations

import pytest

from placement.engine import plan
from placement.instance import instance_of
from placement.plan import Plan
from placement.pools import Refusal
from placement.problem import Problem
from sites.finding import ManifestError
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage
from tests.support.sites import a_party

MOVING = [{"name": "maintenance", "reason": "being moved in May"}]
DEAR = "9 EUR/h"
DRAFT = a_stage("draft", after=["triage"])


def a_fleet(*nouns: Noun) -> Problem:
    """Return a clinic that may do everything itself, wired to a region, with these nouns."""
    return a_problem(a_clinic(links=["dc"]), a_region(price=DEAR), a_model(), *nouns)


def places(made: Plan) -> dict[str, str]:
    (workload,) = made.workloads
    return {stage.stage: stage.site for stage in workload.assignments[0].stages}


def against(problem: Problem, stage: str, site: str) -> list[Refusal]:
    return list(instance_of(problem).workloads["mail@clinic"].refusals[stage].get(site, ()))


def test_without_a_pin_a_stage_is_where_it_costs_least() -> None:
    assert places(plan(a_fleet(a_pipeline()))) == {"triage": "clinic"}


@pytest.mark.parametrize("sites", [["dc"], {"role": "region"}])
def test_a_pinned_stage_runs_there_and_the_sentence_says_where(sites: object) -> None:
    problem = a_fleet(a_pipeline("mail", a_stage(sites=sites)))
    assert places(plan(problem)) == {"triage": "dc"}
    (refusal,) = against(problem, "triage", "clinic")
    assert refusal.rule == "pin:triage"
    assert "dc" in refusal.text or "region" in refusal.text
    assert against(problem, "triage", "dc") == []


def test_a_pin_that_nothing_satisfies_is_the_cause() -> None:
    (unplaced,) = plan(a_fleet(a_pipeline("mail", a_stage(sites={"role": "moon"})))).unplaced
    assert unplaced.kind == "impossible"
    assert unplaced.causes == (("pin:triage",),)


def test_a_pin_on_a_site_that_is_none_is_found_when_the_fleet_is_read() -> None:
    with pytest.raises(ManifestError, match="did you mean 'clinic'"):
        a_fleet(a_pipeline("mail", a_stage(sites=["clinik"])))


def test_a_taint_keeps_everything_off_even_what_is_born_there() -> None:
    tainted = a_clinic(links=["dc"], taints=MOVING)
    problem = a_problem(tainted, a_region(), a_model(), a_pipeline())
    assert places(plan(problem)) == {"triage": "dc"}
    (refusal,) = against(problem, "triage", "clinic")
    assert refusal == Refusal("taint:maintenance", "clinic is tainted maintenance: being moved in May")


def test_what_tolerates_a_taint_stays() -> None:
    tainted = a_clinic(links=["dc"], taints=MOVING)
    made = plan(a_problem(tainted, a_region(price=DEAR), a_model(), a_pipeline(tolerates=["maintenance"])))
    assert places(made) == {"triage": "clinic"}


def test_a_taint_on_every_site_is_the_cause() -> None:
    problem = a_problem(a_clinic(links=["dc"], taints=MOVING), a_region(taints=MOVING), a_model(), a_pipeline())
    (unplaced,) = plan(problem).unplaced
    assert unplaced.causes == (("taint:maintenance",),)


@pytest.mark.parametrize(
    ("rule", "family"),
    [
        ({"apart": [{"stages": ["triage", "draft"], "by": "operator"}]}, "apart:operator"),
        ({"spread": [{"stage": "draft", "by": "operator", "most": 1}]}, "spread:draft"),
    ],
)
def test_a_site_whose_operator_nobody_names_satisfies_no_rule_about_operators(
    rule: dict[str, object], family: str
) -> None:
    nobody = {role: a_party("FR") for role in ("owner", "keyCustodian", "support")}
    region = a_region(parties=nobody)
    pipeline = a_pipeline("mail", a_stage(), DRAFT, **rule)
    problem = a_problem(a_clinic(links=["dc"]), region, a_model(), pipeline)
    rules = [refusal.rule for refusal in against(problem, "draft", "dc")]
    assert family in rules
    assert family not in [refusal.rule for refusal in against(problem, "draft", "clinic")]


def test_a_rule_about_domains_refuses_only_the_stages_that_it_names() -> None:
    region = a_region(parties={role: a_party("FR") for role in ("owner", "keyCustodian", "support")})
    pipeline = a_pipeline("mail", a_stage(), DRAFT, spread=[{"stage": "draft", "by": "operator", "most": 1}])
    problem = a_problem(a_clinic(links=["dc"]), region, a_model(), pipeline)
    assert "spread:draft" in [refusal.rule for refusal in against(problem, "draft", "dc")]
    assert "spread:draft" not in [refusal.rule for refusal in against(problem, "triage", "dc")]
