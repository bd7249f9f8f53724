"""The published verdict vectors, each from a sentence of design/residency.md, put to the checker's evaluator."""

from __future__ import annotations

from typing import Any

import pytest

from placement.check.conditions import Case
from placement.check.evaluator import Judge
from placement.check.questions import names_of
from sites.policy import Policy
from sites.site import Site
from tests.support.check import SINCE, UNTIL, noun, packs_of, party_noun, question_atom, vectors


def the_case(asked: dict[str, Any]) -> Case:
    origin = noun(Site, asked["origin"])
    hop = [noun(Site, end) for end in asked["hop"] or ()]
    sites = (noun(Site, asked["site"]),) if asked["site"] else tuple(hop) if asked["activity"] == "transit" else ()
    parties = tuple(party_noun(party) for _, party in asked["parties"])
    if hop:
        a, b = names_of(hop[0]), names_of(hop[1])
        ends = ((a, b), (b, a))
    elif asked["activity"] == "access":
        ends = ((names_of(origin), frozenset(party.name if party else None for party in parties)),)
    else:
        ends = ((names_of(origin), names_of(sites[0])),)
    return Case(
        question_atom(asked["atom"]), asked["activity"], asked["place"], parties, sites, asked["purpose"],
        origin.spec.location, ends,
    )  # fmt: skip


@pytest.mark.parametrize("vector", [v for _, v in vectors()], ids=[name for name, _ in vectors()])
def test_the_checkers_evaluator_answers_as_the_design_says(vector: dict[str, Any]) -> None:
    judge = Judge(noun(Policy, vector["policy"]), packs_of(*vector["packs"]), SINCE, UNTIL)
    judgement = judge.decide(the_case(vector["question"]))
    assert judgement.outcome == vector["expected"]["outcome"], vector["comment"]
    if vector["expected"]["rules"] is not None:
        assert list(judgement.rules) == vector["expected"]["rules"], vector["comment"]
