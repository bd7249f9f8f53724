"""Of variants that cost the same the lighter serves, whatever the order in which they are written."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from placement.engine import plan
from placement.plan import Plan
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_stage, a_variant
from tests.support.sites import a_box


def served(*variants: dict[str, Any], price: str = "0.3 EUR/h", **spec: Any) -> Plan:
    """Return the plan of one clinic with one stage and these variants."""
    nouns: list[Noun] = [a_clinic(hardware=[a_box(price=price)]), a_model("small", *variants), a_pipeline(**spec)]
    return plan(a_problem(*nouns))


@pytest.mark.parametrize(
    ("light", "heavy"),
    [
        (a_variant("z", needs={"cpus": 1}), a_variant("a", needs={"cpus": 3})),
        (a_variant("z", needs={"memory": "1GiB"}), a_variant("a", needs={"memory": "2GiB"})),
        (a_variant("z", needs={"disk": "1GiB"}), a_variant("a", needs={"disk": "2GiB"})),
        (a_variant("a"), a_variant("z")),
    ],
    ids=["share", "memory", "disk", "name"],
)
@pytest.mark.parametrize("price", ["0 EUR/h", "0.3 EUR/h"])
def test_the_lighter_variant_serves(light: dict[str, Any], heavy: dict[str, Any], price: str) -> None:
    found = {served(*order, price=price).pools[0].variant for order in permutations((light, heavy))}
    assert found == {light["name"]}


def test_a_lighter_variant_that_needs_more_replicas_is_not_lighter() -> None:
    slow = [{"hardware": "x86_64", "service": "50ms", "throughput": "0.1/s"}]
    many = a_variant("a", needs={"cpus": 1}, speed=slow)
    made = served(many, a_variant("z", needs={"cpus": 3}), price="0 EUR/h")
    assert [(pool.variant, pool.replicas) for pool in made.pools] == [("z", 1)]


def test_a_lighter_variant_that_is_too_slow_is_left_alone() -> None:
    slow = [{"hardware": "x86_64", "service": "900ms", "throughput": "10/s"}]
    made = served(a_variant("a", speed=slow), a_variant("z", needs={"cpus": 3}), price="0 EUR/h", latency="200ms")
    assert [pool.variant for pool in made.pools] == ["z"]


def test_a_cheaper_variant_is_never_given_up_for_a_lighter_one() -> None:
    cheap = a_box(name="old", cpus=4, price="0.01 EUR/h")
    nouns: list[Noun] = [a_clinic(hardware=[a_box(price="9 EUR/h"), cheap]), a_model("small"), a_pipeline()]
    assert [pool.hardware for pool in plan(a_problem(*nouns)).pools] == ["old"]


def test_what_runs_stays_though_a_lighter_variant_has_come() -> None:
    old = served(a_variant("z", needs={"cpus": 3}), price="0 EUR/h")
    both = [a_variant("a"), a_variant("z", needs={"cpus": 3})]
    problem = a_problem(a_clinic(hardware=[a_box(price="0 EUR/h")]), a_model("small", *both), a_pipeline())
    assert [pool.variant for pool in plan(problem, current=old).pools] == ["z"]
    assert [pool.variant for pool in plan(problem).pools] == ["a"]


def test_two_stages_that_share_a_pool_change_it_together() -> None:
    stages = [a_stage(), a_stage("sum", after=["triage"])]
    variants = [a_variant("a", needs={"cpus": 3}), a_variant("z")]
    nouns: list[Noun] = [a_clinic(hardware=[a_box(price="0 EUR/h")]), a_model("small", *variants)]
    made = plan(a_problem(*nouns, a_pipeline("mail", *stages)))
    assert [(pool.variant, pool.load) for pool in made.pools] == [("z", 1.0)]
