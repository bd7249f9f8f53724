"""Two evaluators, written apart, give one answer on policies, sites and atoms that nobody thought of."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sites.decisions import decide_hop, decide_stage, permit_hop, permit_stage
from sites.question import Window
from sites.verdict import Evaluator, Outcome
from tests.support.check import SINCE, UNTIL
from tests.support.differential import a_world, checked, planned

FREELY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FREELY
@given(st.randoms(use_true_random=True))
def test_both_evaluators_answer_the_same_about_stages_and_hops(random: Random) -> None:
    world = a_world(random)
    for ours, theirs in zip(planned(world), checked(world), strict=True):
        assert set(ours) == set(theirs)


@FREELY
@given(st.randoms(use_true_random=True))
def test_who_asks_for_a_permit_alone_gets_what_the_whole_verdict_says(random: Random) -> None:
    world = a_world(random)
    evaluator = Evaluator(world.policy, world.packs, Window(SINCE, UNTIL))
    for a, b, label, purpose, *_ in world.asked:
        link = a.spec.connectivity.links[0]
        whole = decide_stage(evaluator, label, b, a, purpose=purpose), decide_hop(evaluator, label, link, a, b, a)
        alone = permit_stage(evaluator, label, b, a, purpose=purpose), permit_hop(evaluator, label, link, a, b, a)
        assert alone == tuple(verdict if verdict.outcome == Outcome.permit else None for verdict in whole)
