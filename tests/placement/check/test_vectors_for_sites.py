"""The same vectors put to `sites.verdict`: one policy, two evaluators, one answer."""

from __future__ import annotations

from typing import Any

import pytest

from sites.policy import Policy
from sites.question import Involved, Question, Window
from sites.site import Site
from sites.verdict import Evaluator
from tests.support.check import SINCE, UNTIL, noun, packs_of, party_noun, question_atom, vectors


def the_question(asked: dict[str, Any]) -> Question:
    hop = tuple(noun(Site, end) for end in asked["hop"] or ())
    return Question(
        atom=question_atom(asked["atom"]),
        activity=asked["activity"],
        place=asked["place"],
        parties=tuple(Involved(role, party_noun(party)) for role, party in asked["parties"]),
        purpose=asked["purpose"],
        origin=noun(Site, asked["origin"]),
        site=noun(Site, asked["site"]) if asked["site"] else None,
        hop=(hop[0], hop[1]) if hop else None,
    )


@pytest.mark.parametrize("vector", [v for _, v in vectors()], ids=[name for name, _ in vectors()])
def test_the_planners_evaluator_answers_as_the_design_says(vector: dict[str, Any]) -> None:
    evaluator = Evaluator(noun(Policy, vector["policy"]), packs_of(*vector["packs"]), Window(SINCE, UNTIL))
    verdict = evaluator.decide(the_question(vector["question"]))
    assert str(verdict.outcome) == vector["expected"]["outcome"], vector["comment"]
    if vector["expected"]["rules"] is not None:
        assert sorted(verdict.rules) == vector["expected"]["rules"], vector["comment"]
