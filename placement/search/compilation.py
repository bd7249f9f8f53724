"""Turns a problem into the arrays of `placement.search.layout`: ten thousand sites in seconds, by what sites share.

`layout_of` does the same from the objects of a small problem; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from placement.graph import Graph, exact
from placement.instance import workload_id
from placement.network import Hop
from placement.pipeline import Pipeline
from placement.problem import Problem
from placement.rulings import Rulings
from placement.search.compiled import Compiled
from placement.search.grounds import Grounds
from placement.search.hardware import groups_of, wait_of, wanted_of
from placement.search.kinds import Kinds
from placement.search.layout import NOWHERE, PRIORITY, Layout, Works
from placement.search.masks import Masks
from placement.search.menus import Menus
from placement.search.options import UNREAD, Options, Shelf, at_home, elsewhere
from placement.search.reference import layout_of
from placement.search.rows import array, firsts
from placement.search.shapes import flows_of, graphs_of, shapes_of, slots_of, spreads_of
from placement.search.tables import ways_of
from placement.search.verdicts import Verdicts
from placement.search.wires import Wires, wires_of
from sites.collecting import no_collections
from sites.site import Link, Site

__all__ = ["Compiled", "compile_layout", "layout_of"]

Ids = NDArray[np.int64]


@no_collections()
def compile_layout(problem: Problem, rulings: Rulings, only: Collection[str] | None = None) -> Compiled:
    """Return the arrays of a problem, or of the workloads whose ids are in `only`.

    Args:
        rulings: what the law said of the problem so far; what is asked here is remembered there.
    """
    sites = [problem.sites[name] for name in sorted(problem.sites)]
    names = [site.name for site in sites]
    pipelines = [problem.pipelines[name] for name in sorted(problem.pipelines)]
    shapes = graphs_of(pipelines)
    wires, capacity, hops = wires_of(problem.network, names)
    fleet = _Fleet.of(problem, rulings, sites, wires, hops)
    # The id of a workload is PIPELINE@SITE, so this is the order of ids.
    order = sorted(range(len(pipelines)), key=lambda index: f"{pipelines[index].name}@")
    parts = [fleet.part(index, pipelines[index], shapes[index], only) for index in order]
    own = Options.joined([part.own for part in parts])
    away = Options.joined([fleet.elsewhere(index, pipelines) for index in range(len(fleet.kinds.found))])
    groups, named = groups_of(sites)
    shelf = Shelf.of(fleet.menus, own, away)
    return Compiled(
        layout=Layout(
            pools=shelf.arrays(fleet.menus, sites, groups, fleet.sizes, own, away),
            groups=groups,
            shapes=shapes_of(pipelines, shapes),
            works=_works(parts, fleet, own, away, shelf),
            spreads=spreads_of(problem, pipelines, sites),
            hop_capacity=capacity,
            ways=ways_of(wires, fleet.serving(away), fleet.masks.opened()),
        ),
        workloads=tuple(
            workload_id(part.pipeline, sites[origin]) for part in parts for origin in part.origins.tolist()
        ),
        sites=tuple(names),
        pipelines=tuple(pipeline.name for pipeline in pipelines),
        pools=shelf.keys(names),
        groups=named,
        graphs=tuple(graph for graphs in shapes for graph in graphs),
        slots=tuple(slots_of(pipeline) for pipeline in pipelines),
        flows=tuple(tuple(flows_of(graphs)) for graphs in shapes),
        hops=hops,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """The workloads of one pipeline, by origin; `wanted` is [origin, slot]."""

    index: int
    pipeline: Pipeline
    origins: Ids
    rate: NDArray[np.float64]
    wanted: Ids
    kind: Ids
    own: Options


@dataclass(slots=True)
class _Fleet:
    """What is worked out once for all pipelines.

    Attributes:
        ends, links: of every wire, once. stores: a number for each knowledge; sizes: by that number.
    """

    problem: Problem
    rulings: Rulings
    sites: Sequence[Site]
    ends: Ids
    links: Sequence[Link]
    menus: Menus
    masks: Masks
    kinds: Kinds
    stores: Mapping[str, int]
    _laws: dict[str, Verdicts] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem, rulings: Rulings, sites: Sequence[Site], wires: Wires, hops: Sequence[Hop]) -> _Fleet:
        """Return a fleet of which nothing is asked yet."""
        low, high = np.minimum(wires.start, wires.end), np.maximum(wires.start, wires.end)
        _, first, wire = np.unique(
            low.astype(np.int64) * len(sites) + high, return_index=True, return_inverse=True
        )  # fmt: skip
        waiting = np.array([site.spec.connectivity.mode == "intermittent" for site in sites], dtype=np.bool_)
        menus, grounds = Menus.of(problem, sites), Grounds.of(problem, sites)
        masks = Masks(wire.reshape(-1), ~(waiting[low] | waiting[high])[first])
        return cls(
            problem=problem,
            rulings=rulings,
            sites=sites,
            ends=np.stack([low[first], high[first]], axis=1).astype(np.int64),
            links=[problem.network.wires[hops[hop]] for hop in first.tolist()],
            menus=menus,
            masks=masks,
            kinds=Kinds(grounds, menus, masks),
            stores={name: number for number, name in enumerate(sorted(problem.stores))},
        )

    @property
    def sizes(self) -> list[int]:
        """Return the bytes of each knowledge, by its number."""
        return [self.problem.stores[name].spec.size for name in self.stores]

    def law(self, tenant: str) -> Verdicts:
        """Return the law of a tenant."""
        if tenant not in self._laws:
            self._laws[tenant] = Verdicts.of(self.problem, self.rulings, tenant, self.sites, self.ends, self.links)
        return self._laws[tenant]

    def part(self, index: int, pipeline: Pipeline, shapes: Sequence[Graph], only: Collection[str] | None) -> _Part:
        """Return the workloads of one pipeline."""
        origins = np.flatnonzero(self.kinds.grounds.selected(pipeline.spec.origins))
        if only is not None:
            named = [workload_id(pipeline, self.sites[origin]) in only for origin in origins.tolist()]
            origins = origins[np.array(named, dtype=np.bool_)]
        groups = list(self.kinds.groups(index, pipeline, shapes, origins, self.law(pipeline.metadata.tenant)))
        kind = np.zeros(len(origins), np.int64)
        for group in groups:
            kind[group.rows] = group.kind
        rates, of = self._rates(pipeline, origins)
        wanted = [_wanted(pipeline, rate) for rate in rates]
        return _Part(
            index=index,
            pipeline=pipeline,
            origins=origins,
            rate=array([float(rate) for rate in rates], np.float64)[of],
            wanted=np.array(wanted, np.int64).reshape(len(rates), -1)[of],
            kind=kind,
            own=at_home(groups, origins, self.menus.room, self._reads(pipeline)),
        )

    def _rates(self, pipeline: Pipeline, origins: Ids) -> tuple[list[Fraction], Ids]:
        """Return the rates that there are, and which each origin has: a rate is selected by labels."""
        labelled = self.kinds.grounds.labelled[origins]
        _, first, of = np.unique(labelled, return_index=True, return_inverse=True)
        return [pipeline.rate_at(self.sites[origin]) for origin in origins[first].tolist()], of.reshape(-1)

    def _reads(self, pipeline: Pipeline) -> list[int]:
        stages = (*pipeline.spec.stages, *pipeline.spec.fallbacks)
        return [UNREAD if stage.knowledge is None else self.stores[stage.knowledge] for stage in stages]

    def elsewhere(self, kind: int, pipelines: Sequence[Pipeline]) -> Options:
        """Return the remote options of a kind."""
        found = self.kinds.found[kind]
        stores = self._reads(pipelines[found.pipeline])
        return elsewhere(found, self.kinds.grounds.offers, self.menus.room, stores)

    def serving(self, away: Options) -> NDArray[np.bool_]:
        """Return by site whether some option of another site's lies there."""
        found = np.zeros(len(self.sites), np.bool_)
        found[away.site] = True
        return found


def _wanted(pipeline: Pipeline, rate: Fraction) -> list[int]:
    stages = (*pipeline.spec.stages, *pipeline.spec.fallbacks)
    return [wanted_of(rate, exact(stage.share), exact(pipeline.spec.utilisation)) for stage in stages]


def _works(parts: Sequence[_Part], fleet: _Fleet, own: Options, away: Options, shelf: Shelf) -> Works:
    specs = [(part.pipeline.spec, len(part.origins)) for part in parts]
    counts = [count for _, count in specs]
    limits = [NOWHERE if spec.latency is None else spec.latency for spec, _ in specs]
    kinds = fleet.kinds.found
    return Works(
        pipeline=np.repeat(array([part.index for part in parts], np.int32), counts),
        origin=_joined([part.origins for part in parts]).astype(np.int32),
        rate=np.concatenate([np.empty(0), *(part.rate for part in parts)]),
        priority=np.repeat(array([int(exact(spec.priority) * PRIORITY) for spec, _ in specs], np.int64), counts),
        limit_us=np.repeat(array(limits, np.int64), counts),
        wait=np.repeat(array([wait_of(exact(spec.utilisation)) for spec, _ in specs], np.float64), counts),
        first_slot=firsts(np.repeat([len(spec.stages) + len(spec.fallbacks) for spec, _ in specs], counts)),
        wanted=_joined([part.wanted.reshape(-1) for part in parts]),
        kind=_joined([part.kind for part in parts]).astype(np.int32),
        own_first=own.first,
        own_site=own.site,
        own_pool=shelf.pools(own),
        kind_slot=firsts([len(kind.permitted) for kind in kinds]),
        kind_flow=firsts([len(kind.masks) for kind in kinds]),
        remote_first=away.first,
        remote_site=away.site,
        remote_pool=shelf.pools(away),
        mask=array([mask for kind in kinds for mask in kind.masks], np.int32),
    )


def _joined(parts: Sequence[Ids]) -> Ids:
    return np.concatenate([np.empty(0, np.int64), *parts])
