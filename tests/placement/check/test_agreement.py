"""Two evaluators, written apart, give one answer on policies, sites and atoms that nobody thought of."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.check.evaluator import Judge
from placement.check.questions import Decision, Questions
from placement.check.snapshot import Snapshot
from sites.data import Label
from sites.decisions import hop_questions, stage_questions
from sites.policy import Policy
from sites.question import Question, Window
from sites.site import Site
from sites.verdict import Evaluator, Verdict
from tests.support.check import SINCE, UNTIL, Shape, noun
from tests.support.differential import COUNTRIES, LABEL, PARTY, PURPOSES, a_random_site, a_world, optional


def as_asked(question: Question, verdict: Verdict) -> tuple[Any, ...]:
    party = question.parties[0].role if question.activity == "access" or len(question.parties) == 1 else None
    cited = () if verdict.outcome != "permit" else tuple(sorted(verdict.rules))
    return (question.atom, question.activity, question.place, party, str(verdict.outcome), cited)


def as_checked(decision: Decision) -> tuple[Any, ...]:
    judgement = decision.judgement
    cited = () if judgement.outcome != "permit" else judgement.rules
    return (decision.atom, decision.activity, decision.place, decision.role, judgement.outcome, cited)


def without_role(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*answer[:3], *answer[4:])


FREELY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def snapshot_of(*sites: Site) -> Snapshot:
    return Snapshot({site.name: site for site in sites}, {}, {}, {}, {}, {}, {})


@FREELY
@given(a_world(), LABEL, a_random_site("a"), a_random_site("b"), st.one_of(st.none(), st.sampled_from(PURPOSES)))
def test_both_evaluators_answer_the_same_about_a_stage(
    world: tuple[Policy, dict[str, Any]], label: Label, origin: Shape, place: Shape, purpose: str | None
) -> None:
    policy, packs = world
    home, site = noun(Site, origin), noun(Site, place)
    questions = Questions(Judge(policy, packs, SINCE, UNTIL), snapshot_of(home, site))
    placed = questions.placing(label, site, home, purpose, ("store", "backup", "failover"))
    checked = (*placed, *questions.telemetry(label, site, home, purpose))
    evaluator = Evaluator(policy, packs, Window(SINCE, UNTIL))
    asked = stage_questions(label, site, home, purpose=purpose, retains=True, queues=True, failover=True)
    planned = {as_asked(question, evaluator.decide(question)) for question in asked}
    assert {as_checked(decision) for decision in checked} == planned


@FREELY
@given(
    a_world(), LABEL, a_random_site("a"), a_random_site("b"),
    optional(
        transit=st.lists(st.sampled_from(COUNTRIES), max_size=2), intermediary=PARTY,
        tls=st.sampled_from(("passthrough", "terminated")),
    ),
)  # fmt: skip
def test_both_evaluators_answer_the_same_about_a_hop(
    world: tuple[Policy, dict[str, Any]], label: Label, one: Shape, other: Shape, facts: Shape
) -> None:
    policy, packs = world
    link = {"to": "b", "bandwidth": "1Mbit/s", "rtt": "1ms", "price": "0 EUR/GB", **facts}
    one["spec"]["connectivity"]["links"] = [link]
    a, b = noun(Site, one), noun(Site, other)
    questions = Questions(Judge(policy, packs, SINCE, UNTIL), snapshot_of(a, b))
    evaluator = Evaluator(policy, packs, Window(SINCE, UNTIL))
    asked = hop_questions(label, a.spec.connectivity.links[0], a, b, a)
    planned = {without_role(as_asked(question, evaluator.decide(question))) for question in asked}
    assert {without_role(as_checked(decision)) for decision in questions.crossing(label, "a", "b", a)} == planned
