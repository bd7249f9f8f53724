"""The same workloads with fewer options: arrays in which some may run only where they can stand a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from placement.instance import Instance, Workload
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Layout, Placing, Works
from placement.search.rows import array, firsts

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What workloads are left of their options.

    Attributes:
        kind: by workload, its kind; from the number of kinds that there were on, those in `parts`.
        parts: new kinds: the kind that each was, and which of that one's remote options it keeps.
        own: by own option, whether it stays. extra: (slot, site, pool) that count as own options besides.
    """

    kind: Ids
    parts: Sequence[tuple[int, Bools]]
    own: Bools
    extra: Sequence[tuple[int, int, int]] = ()

    def works(self, works: Works) -> Works:
        """Return workloads with what is left to them."""
        rows = [np.arange(works.kind_slot[kind], works.kind_slot[kind + 1]) for kind, _ in self.parts]
        flows = [np.arange(works.kind_flow[kind], works.kind_flow[kind + 1]) for kind, _ in self.parts]
        kept = [remote_of(works, kind)[keep] for kind, keep in self.parts]
        row_of = np.repeat(np.arange(len(works.remote_first) - 1), np.diff(works.remote_first))
        counts = [np.bincount(row_of[ids] - row[0], minlength=len(row)) for ids, row in zip(kept, rows, strict=True)]
        of, slot_of = np.concatenate([np.empty(0, np.int64), *kept]), _slot_of(works)
        slot = np.concatenate([slot_of[self.own], array([row[0] for row in self.extra], np.int64)])
        order = np.argsort(slot, kind="stable")
        return works._replace(
            kind=self.kind.astype(np.int32),
            kind_slot=_longer(works.kind_slot, [len(row) for row in rows]),
            kind_flow=_longer(works.kind_flow, [len(flow) for flow in flows]),
            remote_first=_longer(works.remote_first, np.concatenate([np.empty(0, np.int64), *counts])),
            remote_site=np.concatenate([works.remote_site, works.remote_site[of]]),
            remote_pool=np.concatenate([works.remote_pool, works.remote_pool[of]]),
            mask=np.concatenate([works.mask, *(works.mask[flow] for flow in flows)]),
            own_first=firsts(np.bincount(slot, minlength=len(works.wanted))),
            own_site=_with(works.own_site[self.own], [row[1] for row in self.extra])[order],
            own_pool=_with(works.own_pool[self.own], [row[2] for row in self.extra])[order],
        )


def remote_of(works: Works, kind: int) -> Ids:
    """Return the remote options of a kind."""
    first, last = works.remote_first[works.kind_slot[[kind, kind + 1]]].tolist()
    return np.arange(first, last)


def _slot_of(works: Works) -> Ids:
    return np.repeat(np.arange(len(works.wanted)), np.diff(works.own_first))


def _longer(first: NDArray[np.int64], counts: Sequence[int] | Ids) -> NDArray[np.int64]:
    """Return where ranges begin, with more of them behind."""
    return np.concatenate([first, first[-1] + firsts(counts)[1:]])


def _with(ids: NDArray[np.int32], more: Sequence[int]) -> NDArray[np.int32]:
    return np.concatenate([ids, array(more, np.int32)])


def without(layout: Layout, shunned: Mapping[int, frozenset[int]], barred: Sequence[int]) -> Layout:
    """Return a layout in which some workloads may not run at some sites, and some nowhere.

    Args:
        shunned: by workload, sites. barred: workloads.
    """
    works, parts = layout.works, list[tuple[int, Bools]]()
    kind, own = works.kind.astype(np.int64), np.ones(len(works.own_site), np.bool_)
    ids: dict[tuple[int, frozenset[int] | None], int] = {}
    for work, sites in [*((work, shunned[work]) for work in sorted(shunned)), *((work, None) for work in barred)]:
        key = (int(works.kind[work]), sites)
        if key not in ids:
            ids[key] = len(works.kind_slot) - 1 + len(parts)
            remote = works.remote_site[remote_of(works, key[0])]
            keep = np.zeros(len(remote), np.bool_) if sites is None else ~np.isin(remote, sorted(sites))
            parts.append((key[0], keep))
        kind[work] = ids[key]
        if sites is None:
            first, last = works.own_first[works.first_slot[[work, work + 1]]].tolist()
            own[first:last] = False
    return layout._replace(works=Narrowed(kind, parts, own).works(works))


@dataclass(slots=True)
class Refuges:
    """Where stages may go after a loss: where the law lets them stand in, or where they are already.

    Attributes:
        survivors: ids of the workloads that ask for it.
    """

    compiled: Compiled
    instance: Instance
    survivors: Sequence[int]
    _may: dict[tuple[int, str, str], bool] = field(default_factory=dict)

    def layout(self, placing: Placing) -> Layout:
        """Return the layout in which survivors that a placing has have their refuges as options, and no other."""
        works, parts = self.compiled.layout.works, list[tuple[int, Bools]]()
        kind, own = works.kind.astype(np.int64), np.ones(len(works.own_site), np.bool_)
        ids: dict[tuple[int, int], int] = {}
        extra: list[tuple[int, int, int]] = []
        for work in self.survivors:
            workload = self.instance.workloads[self.compiled.workloads[work]]
            key = int(works.kind[work]), id(workload.cohort)
            if key not in ids:
                ids[key] = len(works.kind_slot) - 1 + len(parts)
                parts.append((key[0], self._remote(workload, work)))
            kind[work] = ids[key]
            for slot, stage in enumerate(self.compiled.slots[int(works.pipeline[work])], int(works.first_slot[work])):
                if not self._stands_in(workload, stage, int(works.origin[work])):
                    own[works.own_first[slot] : works.own_first[slot + 1]] = False
                site = int(placing.site[slot])
                if site != NOWHERE and not self._stands_in(workload, stage, site):
                    extra += [(slot, site, pool) for pool in self._at(work, slot, site)]
        return self.compiled.layout._replace(works=Narrowed(kind, parts, own, extra).works(works))

    def _remote(self, workload: Workload, work: int) -> Bools:
        """Return which of the remote options of a workload's kind it may flee to."""
        works, found = self.compiled.layout.works, list[bool]()
        rows = int(works.kind_slot[works.kind[work]])
        for row, stage in enumerate(self.compiled.slots[int(works.pipeline[work])], rows):
            sites = works.remote_site[works.remote_first[row] : works.remote_first[row + 1]].tolist()
            found += [self._stands_in(workload, stage, site) for site in sites]
        return np.array(found, np.bool_)

    def _stands_in(self, workload: Workload, stage: str, site: int) -> bool:
        cohort, name = workload.cohort, self.compiled.sites[site]
        # The instance keeps its cohorts, so that their identity stays that of living ones.
        key = id(cohort), stage, name
        if key not in self._may:
            self._may[key] = cohort.stands_in(cohort.stages[stage], self.instance.problem.sites[name])
        return self._may[key]

    def _at(self, work: int, slot: int, site: int) -> list[int]:
        """Return the pools of a stage at a site."""
        works = self.compiled.layout.works
        if site == works.origin[work]:
            return list(works.own_pool[works.own_first[slot] : works.own_first[slot + 1]].tolist())
        row = int(works.kind_slot[works.kind[work]] + slot - works.first_slot[work])
        first, last = works.remote_first[[row, row + 1]].tolist()
        return list(works.remote_pool[first:last][works.remote_site[first:last] == site].tolist())
