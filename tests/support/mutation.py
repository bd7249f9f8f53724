"""Mutants of either evaluator, put beside the other one on worlds that nobody thought of.

A mutant is caught when the other evaluator, as it is, answers differently somewhere, or when it breaks. Run as a
program, it tries all of them and prints the score: `python -m tests.support.mutation`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from types import ModuleType

from tests.support.differential import Answer, World, a_world, checked, planned
from tests.support.equivalents import EQUIVALENT
from tests.support.mutants import BrokenError, Mutant, loaded, mutants

WORLDS = 1_200
"""How many worlds a mutant must survive before it counts as missed."""

Modules = Mapping[str, ModuleType]
Answers = Callable[[World, Modules], Iterator[Collection[Answer]]]


@dataclass(frozen=True, eq=False)
class Side:
    """One evaluator: its modules, each after those that it imports, and how it and the other one answer.

    Attributes:
        uncompared: functions that do not bear on an answer, with the reason.
    """

    modules: tuple[str, ...]
    answers: Answers
    others: Callable[[World], Iterator[Collection[Answer]]]
    uncompared: Mapping[str, str]


PLANNER = Side(
    ("sites.truth", "sites.question", "sites.conditions", "sites.verdict", "sites.decisions"),
    lambda world, found: planned(world, found["sites.verdict"], found["sites.decisions"]),
    checked,
    {
        "__post_init__": "refuses a window without a day; no plan has one",
        "worst": "sums up what was answered; tests/sites/test_verdict.py",
        "_earliest": "until when a permit stands, which the checker does not ask; tests/sites/test_verdict.py",
        "_rests_until": "as _earliest",
        "_ends": "as _earliest",
        "_waived_until": "as _earliest",
        "decide_stage": "sums up what was answered",
        "decide_hop": "sums up what was answered",
        "permit": "sums up what was answered; tests/placement/check/test_agreement.py",
        "permit_stage": "as permit",
        "permit_hop": "as permit",
        "decision_json": "prints",
    },
)
CHECKER = Side(
    ("placement.check.logic", "placement.check.conditions", "placement.check.evaluator", "placement.check.questions"),
    lambda world, found: checked(world, found["placement.check.evaluator"], found["placement.check.questions"]),
    planned,
    {
        "failing": "gives a refusal its number, and no answer; tests/placement/test_mutants_plans.py",
        "refused": "sums up what was answered",
        "rules": "sums up what was answered",
    },
)


SIDES = {"planner": PLANNER, "checker": CHECKER}


@cache
def _worlds() -> tuple[World, ...]:
    return tuple(a_world(Random(seed)) for seed in range(WORLDS))


@cache
def _expected(side: Side) -> list[list[Collection[Answer]]]:
    return []


def expected(side: Side, index: int) -> list[Collection[Answer]]:
    """Return what the other evaluator answers in one world."""
    known = _expected(side)
    while len(known) <= index:
        known.append([set(each) for each in side.others(_worlds()[len(known)])])
    return known[index]


def caught(side: Side, mutant: Mutant | None, worlds: int = WORLDS) -> int | None:
    """Return the world in which a mutant is caught, -1 where it cannot even be loaded; None when it is missed."""
    try:
        with loaded(side.modules, mutant) as modules:
            return next((index for index in range(worlds) if _differs(side, modules, index)), None)
    except BrokenError:
        return -1


def _differs(side: Side, modules: Modules, index: int) -> bool:
    """Return whether a mutant breaks in a world, or answers otherwise than the other evaluator."""
    wanted, world = expected(side, index), _worlds()[index]
    try:
        return any(set(ours) != theirs for ours, theirs in zip(side.answers(world, modules), wanted, strict=True))
    except Exception:
        return True


def compared(side: Side) -> list[Mutant]:
    """Return every mutant of an evaluator that bears on its answers."""
    every = (mutant for module in side.modules for mutant in mutants(module))
    return [mutant for mutant in every if mutant.name.split(":")[0] not in side.uncompared]


def is_equivalent(mutant: Mutant) -> bool:
    """Return whether a mutant is known to answer as its original does."""
    return mutant.name in EQUIVALENT.get(mutant.module, {})


def main(only: Sequence[str]) -> int:
    """Try every mutant not known to be equivalent, or those of some modules; print the missed ones and the scores."""
    missed = 0
    for side, module in ((one, module) for one in SIDES.values() for module in one.modules):
        if only and module not in only:
            continue
        began, every = time.process_time(), [mutant for mutant in compared(side) if mutant.module == module]
        tried = [mutant for mutant in every if not is_equivalent(mutant)]
        left = 0
        for mutant in tried:
            if caught(side, mutant) is None:
                left += 1
                print(f"missed  {mutant.module}  {mutant.name}", flush=True)
        counts = f"{len(tried) - left} caught, {len(every) - len(tried)} equivalent, {left} missed"
        print(f"{module}: {len(every)} mutants, {counts}, {time.process_time() - began:.0f} s CPU", flush=True)
        missed += left
    return missed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
