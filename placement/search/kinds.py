"""What the origins of a pipeline have in common: where its stages may run elsewhere, and which hops its flows may take.

Origins are classed by what law, services and partitions can tell of them; each class is worked out once, and classes
that come to the same are one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.graph import Graph
from placement.pipeline import Pipeline, Stage
from placement.propagation import Labels, propagate
from placement.search.grounds import Grounds
from placement.search.masks import Masks
from placement.search.menus import Menu, Menus
from placement.search.shapes import flows_of
from placement.search.verdicts import Bools, Ids, Verdicts
from sites.site import Site


@dataclass(frozen=True, slots=True)
class Group:
    """Origins of one pipeline that are alike.

    Attributes:
        rows: which of the pipeline's origins.
        kind: of all of them.
        menus: by slot, what the stage may run as; None where it is built in.
        own: by slot, whether it may run at home, by row.
    """

    rows: Ids
    kind: int
    menus: Sequence[Menu | None]
    own: Sequence[Bools]


@dataclass(frozen=True, slots=True)
class Kind:
    """Remote options by slot as which offers permit it, and masks by flow."""

    pipeline: int
    menus: Sequence[Menu | None]
    permitted: Sequence[Bools]
    masks: tuple[int, ...]


@dataclass(slots=True)
class Kinds:
    """Kinds met so far, in that order."""

    grounds: Grounds
    menus: Menus
    masks: Masks
    found: list[Kind] = field(default_factory=list)
    _ids: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def groups(
        self, index: int, pipeline: Pipeline, shapes: Sequence[Graph], origins: Ids, law: Verdicts
    ) -> Iterator[Group]:
        """Yield the origins of a pipeline in groups that are alike."""
        stages = (*pipeline.spec.stages, *pipeline.spec.fallbacks)
        grounds = [self.grounds.of_stage(pipeline, stage) for stage in stages]
        flows = flows_of(shapes)
        for rows, labels in self._alike(pipeline, stages, origins, law):
            example = self.grounds.sites[int(origins[rows[0]])]
            serving = self._serving(example, bool(self.grounds.cut_off[origins[rows[0]]]))
            menus = [self._menu(pipeline, stage, labels) for stage in stages]
            offers, homes = self.grounds.offers, origins[rows]
            abroad, at_home = law.profiles.of[offers], law.profiles.of[homes]
            wanted = np.unique(np.concatenate([abroad[serving], at_home]))
            permitted, own = [], []
            for stage, ground in zip(stages, grounds, strict=True):
                allowed = self._confined(stage, labels, ground)
                legal = law.stage(pipeline, stage, labels.stages[stage.name], example, wanted)
                permitted.append(allowed[offers] & legal[abroad] & serving)
                own.append(allowed[homes] & legal[at_home])
            masks = tuple(
                self.masks.of_flow(law, labels.flow(*flow), example, is_async=edge.is_async)
                for flow, edge in flows.items()
            )
            yield Group(rows, self._kind(Kind(index, menus, permitted, masks)), menus, own)

    def _alike(
        self, pipeline: Pipeline, stages: Sequence[Stage], origins: Ids, law: Verdicts
    ) -> Iterator[tuple[Ids, Labels]]:
        """Yield rows of origins that no rule, service or partition tells apart, with the labels of one of them."""
        for rows in equal_rows([self._law_of(stages, law)[origins]]):
            example = self.grounds.sites[int(origins[rows[0]])]
            problem = law.problem
            labels = propagate(
                pipeline, example, problem.models, problem.stores, law.policy, problem.window
            )  # fmt: skip
            at_home = law.home([*labels.stages.values(), *labels.lowered.values()], example) is not None
            columns = [column[origins[rows]] for column in (law.names, self.grounds.served(), self.grounds.cut_off)]
            if at_home:
                columns.append(law.countries[origins[rows]])
            for part in equal_rows(columns):
                yield rows[part], labels

    def _law_of(self, stages: Sequence[Stage], law: Verdicts) -> Ids:
        """Return by site whose law its data is under: as rules tell countries apart, or by name where labels do."""
        is_exact = bool(law.policy.spec.declassifiers) or any(stage.state == "shared" for stage in stages)
        return law.countries if is_exact else law.laws

    def _serving(self, origin: Site, is_cut_off: bool) -> Bools:
        """Return by offer whether it serves an origin."""
        serving = self.grounds.serving(origin)
        return np.zeros_like(serving) if is_cut_off else serving

    def _confined(self, stage: Stage, labels: Labels, allowed: Bools) -> Bools:
        names = labels.confined.get(stage.name)
        return allowed if names is None else allowed & self.grounds.named(names)

    def _menu(self, pipeline: Pipeline, stage: Stage, labels: Labels) -> Menu | None:
        return self.menus.of_stage(stage, _partition(pipeline, stage, labels)) if stage.models else None

    def _kind(self, kind: Kind) -> int:
        """Return the number of a kind; one that comes to the same is the same."""
        permitted = tuple(np.packbits(each).tobytes() for each in kind.permitted)
        key = (kind.pipeline, kind.masks, tuple(map(id, kind.menus)), permitted)
        if key not in self._ids:
            self._ids[key] = len(self.found)
            self.found.append(kind)
        return self._ids[key]


def _partition(pipeline: Pipeline, stage: Stage, labels: Labels) -> str:
    """Return what parts the pools of a stage that shares state, as `placement.candidates` says it."""
    if stage.state != "shared":
        return ""
    said = f"{pipeline.metadata.tenant} {labels.stages[stage.name]!r}"
    return sha256(said.encode()).hexdigest()[:12]


def equal_rows(columns: Sequence[NDArray[Any]]) -> Iterator[Ids]:
    """Yield the places at which all columns say the same, one set after another; in order within each."""
    if not len(columns[0]):
        return
    _, of = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    order = np.argsort(of.reshape(-1), kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(of.reshape(-1)[order])) + 1)
