"""A fleet without some families of rules, made once for all that is asked about it: most trials ask of few such worlds.

What is relaxed about places is relaxed once for all pipelines, so that routes found there are found once; what fits
which machines is worked out once for all sets of families that leave machines alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from placement.candidates import Candidates
from placement.explanation.relaxations import relax
from placement.instance import Maker
from placement.pipeline import Pipeline
from placement.pools import Fittings
from placement.problem import Problem
from placement.rulings import Rulings

OF_PLACES = ("capacity", "erasure", "link", "media", "serves", "taint")
"""Kinds whose relaxation changes sites and wires, whatever runs there."""

OF_MACHINES = ("approval", "capacity", "hardware")
"""Kinds whose relaxation changes what fits where."""

MOST_KEPT = 64
"""Worlds that are kept: pipelines come one after the other, and each asks of some tens."""

Families = tuple[str, ...]


@dataclass(slots=True)
class Worlds:
    """The worlds of one court; `rulings` are asked for by the rules of law that are set aside."""

    whole: Problem
    rulings: Callable[[Problem, frozenset[str]], Rulings]
    _places: dict[Families, Problem] = field(default_factory=dict)
    _small: dict[tuple[str, Families], Problem] = field(default_factory=dict)
    _fittings: dict[tuple[str, Families], Fittings] = field(default_factory=dict)
    _makers: dict[tuple[str, Families, bool], Maker] = field(default_factory=dict)

    def problem(self, pipeline: Pipeline, families: Families = ()) -> Problem:
        """Return the problem without families, and with nobody else's pipelines, models and stores."""
        key = (pipeline.name, families)
        if key not in self._small:
            _forget(self._small)
            places = _of(OF_PLACES, families)
            if places not in self._places:
                _forget(self._places)
                self._places[places] = relax(self.whole, places)
            rest = [family for family in families if family not in places]
            self._small[key] = relax(_about(self._places[places], pipeline), rest)
        return self._small[key]

    def maker(self, pipeline: Pipeline, families: Families, legal: frozenset[str], *, is_brief: bool) -> Maker:
        """Return what makes the pipeline's workloads in the world without these families."""
        key = (pipeline.name, families, is_brief)
        if key not in self._makers:
            _forget(self._makers)
            problem = self.problem(pipeline, families)
            candidates = Candidates(problem, self.rulings(problem, legal), is_brief)
            alike = (pipeline.name, _of(OF_MACHINES, families))
            candidates.fittings = self._fittings.setdefault(alike, candidates.fittings)
            self._makers[key] = Maker(candidates, next(iter(problem.pipelines.values())))
        return self._makers[key]

    def altered(self, made: Maker, problem: Problem) -> Maker:
        """Return what makes the pipeline's workloads in a world that was altered; machines it has not are known."""
        before = made.candidates
        candidates = Candidates(problem, before.rulings, before.is_brief)
        if problem.models is before.problem.models and problem.stores is before.problem.stores:
            candidates.fittings = before.fittings.at_other_sites(problem)
        return Maker(candidates, next(iter(problem.pipelines.values())))


def _of(kinds: Sequence[str], families: Families) -> Families:
    return tuple(family for family in families if family.partition(":")[0] in kinds)


def _forget(kept: dict[Any, Any]) -> None:
    """Make room for another."""
    if len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]


def _about(problem: Problem, pipeline: Pipeline) -> Problem:
    """Return the problem with nobody else's pipelines, models and stores: all that is tried of one workload."""
    stages = (*pipeline.spec.stages, *pipeline.spec.fallbacks)
    models = {name for stage in stages for name in stage.models}
    stores = {stage.knowledge for stage in stages}
    return replace(
        problem,
        pipelines={key: p for key, p in problem.pipelines.items() if p.name == pipeline.name},
        models={key: model for key, model in problem.models.items() if key in models},
        stores={key: store for key, store in problem.stores.items() if key in stores},
    )
