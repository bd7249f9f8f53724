"""Two evaluators, written apart, give one answer on policies, sites and atoms that nobody thought of."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.differential import a_world, checked, planned

FREELY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FREELY
@given(st.randoms(use_true_random=False))
def test_both_evaluators_answer_the_same_about_stages_and_hops(random: Random) -> None:
    world = a_world(random)
    for ours, theirs in zip(planned(world), checked(world), strict=True):
        assert set(ours) == set(theirs)
