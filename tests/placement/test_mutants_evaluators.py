"""Either evaluator, changed a little, is contradicted by the other: a sample here, all of them by `make mutants`."""

from __future__ import annotations

import sys

import pytest

from tests.support.equivalents import EQUIVALENT
from tests.support.mutants import loaded, mutants
from tests.support.mutation import SIDES, caught, compared, is_equivalent

EVERY = 32
"""Of so many mutants one is tried."""


@pytest.mark.parametrize("name", SIDES)
def test_a_copy_without_a_change_agrees_and_is_gone_afterwards(name: str) -> None:
    assert caught(SIDES[name], None, worlds=60) is None
    with loaded(SIDES[name].modules) as copies:
        assert all(copy.__name__ == f"_mutant.{module}" for module, copy in copies.items())
    assert not [module for module in sys.modules if module.startswith("_mutant.")]


@pytest.mark.parametrize("name", SIDES)
def test_a_mutant_is_contradicted_by_the_other_evaluator(name: str) -> None:
    side = SIDES[name]
    sample = [mutant for mutant in compared(side) if not is_equivalent(mutant)][::EVERY]
    assert len(sample) > 25
    assert [f"{mutant.module} {mutant.name}" for mutant in sample if caught(side, mutant) is None] == []


@pytest.mark.parametrize("module", EQUIVALENT)
def test_what_is_listed_as_equivalent_is_a_mutant(module: str) -> None:
    known = {mutant.name for mutant in mutants(module)}
    assert set(EQUIVALENT[module]) <= known
