"""What a stage may run as on each kind of machine room: variants that fit, once per equal set of hardware groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.catalogue import Model, Speed, Variant
from placement.hardware import shortages, speed_on
from placement.pipeline import Stage
from placement.problem import Problem
from placement.search.rows import firsts
from sites.site import Hardware, Site

Ids = NDArray[np.int64]

Entry = tuple[str, str, str, str]
"""Model, variant, hardware name and partition: what tells the pools of one site apart, in their order."""

Made = tuple[int, Variant, Speed]
"""The hardware group of a pool, counted among those of its site by name, its variant and how fast it is there."""


@dataclass(frozen=True, slots=True)
class Menu:
    """By room (+1), a range of entries: ids that `Menus.entries` gave out, in the order of what they stand for."""

    first: Ids
    entry: Ids


@dataclass(slots=True)
class Menus:
    """Menus of stages over rooms: sites whose hardware groups are equal but for the number and price of nodes.

    Attributes:
        room: by site. rooms: by room, its groups by name.
        entries: ids in the order in which they were met.
    """

    problem: Problem
    room: Ids
    rooms: Sequence[tuple[Hardware, ...]]
    entries: dict[Entry, int] = field(default_factory=dict)
    _menus: dict[tuple[Any, ...], Menu] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem, sites: Sequence[Site]) -> Menus:
        """Return menus over the rooms of sites; nothing is asked of any model yet."""
        ids: dict[tuple[Any, ...], int] = {}
        rooms: list[tuple[Hardware, ...]] = []
        room = []
        for site in sites:
            groups = tuple(sorted(site.spec.hardware, key=lambda group: group.name))
            key = tuple([_facts(group) for group in groups])
            if key not in ids:
                ids[key] = len(rooms)
                rooms.append(groups)
            room.append(ids[key])
        return cls(problem, np.array(room, dtype=np.int64), rooms)

    def of_stage(self, stage: Stage, partition: str) -> Menu:
        """Return what a stage that names models may run as in each room."""
        key = (stage.models, tuple(sorted(stage.quality.items())), stage.knowledge, partition)
        if key not in self._menus:
            found = [sorted(self._entries(stage, partition, groups)) for groups in self.rooms]
            flat = [self.entries.setdefault(entry, len(self.entries)) for entries in found for entry in entries]
            self._menus[key] = Menu(firsts([len(entries) for entries in found]), np.array(flat, dtype=np.int64))
        return self._menus[key]

    def _entries(self, stage: Stage, partition: str, groups: Sequence[Hardware]) -> Iterator[Entry]:
        stored = 0 if stage.knowledge is None else self.problem.stores[stage.knowledge].spec.size
        for model, variant in usable(stage, self.problem.models):
            for group in groups:
                if speed_on(variant, group) is not None and not any(shortages(variant.needs, group, stored)):
                    yield model.name, variant.name, group.name, partition

    def made(self, room: int, entry: Entry) -> Made:
        """Return what an entry of a room's menu is made of."""
        place = next(i for i, group in enumerate(self.rooms[room]) if group.name == entry[2])
        variant = next(v for v in self.problem.models[entry[0]].spec.variants if v.name == entry[1])
        speed = speed_on(variant, self.rooms[room][place])
        assert speed is not None
        return place, variant, speed


def usable(stage: Stage, models: Mapping[str, Model]) -> Iterator[tuple[Model, Variant]]:
    """Yield every variant that is approved and as good as a stage asks."""
    for model in (models[name] for name in stage.models):
        if model.spec.state == "approved":
            for variant in model.spec.variants:
                if all(_reaches(variant.quality.get(metric), floor) for metric, floor in stage.quality.items()):
                    yield model, variant


def _reaches(has: float | str | None, floor: float) -> bool:
    return isinstance(has, (int, float)) and has >= floor


def _facts(group: Hardware) -> tuple[Any, ...]:
    """Return everything of a group that decides what fits: all but how many nodes it has, and their price."""
    kind = group.accelerators
    accelerators = None if kind is None else (kind.kind, kind.count, kind.memory)
    return group.name, group.arch, group.isa, group.cpus, group.memory, group.disk, accelerators
