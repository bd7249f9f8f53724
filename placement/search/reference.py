"""The arrays of a small problem, made plainly from its `Instance`: what the fast compilation is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from placement.candidates import Option, Pool, PoolKey
from placement.graph import exact
from placement.instance import Instance, Workload
from placement.network import Hop
from placement.search.compiled import Compiled
from placement.search.hardware import POOL_FIELDS, groups_of, pool_row, wait_of, wanted_of
from placement.search.layout import NOWHERE, PRIORITY, Layout, Pools, Works
from placement.search.rows import array, firsts
from placement.search.shapes import flows_of, graphs_of, shapes_of, slots_of, spreads_of
from placement.search.wires import plain_ways, wires_of
from sites.verdict import Outcome

Masks = dict[frozenset[Hop], int]
"""Sets of open hops, in the order in which they were met."""

Spot = tuple[int, int]
"""Site and pool of an option."""

Kind = tuple[str, tuple[tuple[Spot, ...], ...], tuple[int, ...]]
"""A pipeline, its remote options by slot and its masks by flow."""


def layout_of(instance: Instance) -> Compiled:
    """Return the arrays of an instance; every number is read off the objects that the exact engine uses."""
    problem = instance.problem
    sites = [problem.sites[name] for name in sorted(problem.sites)]
    pipelines = [problem.pipelines[name] for name in sorted(problem.pipelines)]
    names, shapes = [site.name for site in sites], graphs_of(pipelines)
    groups, named = groups_of(sites)
    table = _Table.of(instance, names)
    masks: Masks = {}
    works = _works(instance, table, masks)
    _, capacity, hops = wires_of(problem.network, names)
    return Compiled(
        layout=Layout(
            pools=table.arrays({key: index for index, key in enumerate(named)}),
            groups=groups,
            shapes=shapes_of(pipelines, shapes),
            works=works,
            spreads=spreads_of(problem, pipelines, sites),
            hop_capacity=capacity,
            ways=plain_ways(problem.network, names, list(masks)),
        ),
        workloads=tuple(instance.workloads),
        sites=tuple(names),
        pipelines=tuple(pipeline.name for pipeline in pipelines),
        pools=tuple(table.keys),
        groups=named,
        graphs=tuple(graph for graphs in shapes for graph in graphs),
        slots=tuple(slots_of(pipeline) for pipeline in pipelines),
        flows=tuple(tuple(flows_of(graphs)) for graphs in shapes),
        hops=hops,
    )


@dataclass(frozen=True)
class _Table:
    """Sites and pools by the index that stands for them, and what is read through each pool."""

    sites: Mapping[str, int]
    keys: Mapping[PoolKey, int]
    pools: Sequence[Pool]
    stores: Mapping[PoolKey, Mapping[str, int]]

    @classmethod
    def of(cls, instance: Instance, names: Sequence[str]) -> _Table:
        """Return every pool that some stage may use."""
        pools: dict[PoolKey, Pool] = {}
        stores: dict[PoolKey, dict[str, int]] = {}
        for workload in instance.workloads.values():
            for stage in (*workload.pipeline.spec.stages, *workload.pipeline.spec.fallbacks):
                for pool in (o.pool for o in workload.options[stage.name] if o.pool is not None):
                    pools[pool.key] = pool
                    if stage.knowledge is not None:
                        stores.setdefault(pool.key, {})[stage.knowledge] = workload.stored[stage.knowledge]
        keys = sorted(pools)
        ids = {key: i for i, key in enumerate(keys)}
        return cls({name: i for i, name in enumerate(names)}, ids, [pools[key] for key in keys], stores)

    def spot(self, option: Option) -> Spot:
        """Return (site, pool) of an option."""
        return self.sites[option.site], NOWHERE if option.pool is None else self.keys[option.pool.key]

    def arrays(self, groups: Mapping[tuple[str, str], int]) -> Pools:
        """Return the pools as arrays."""
        rows = [
            (
                self.sites[pool.key.site],
                groups[pool.key.site, pool.key.hardware],
                *pool_row(pool.needs, pool.service_us, pool.throughput, pool.per_hour),
                sum(self.stores.get(pool.key, {}).values()),
            )
            for pool in self.pools
        ]
        return Pools(*(array([row[i] for row in rows], kind) for i, kind in enumerate(POOL_FIELDS)))


def _works(instance: Instance, table: _Table, masks: Masks) -> Works:
    workloads = list(instance.workloads.values())
    pipelines = {name: i for i, name in enumerate(sorted(instance.problem.pipelines))}
    own = [_spots(w, table, is_own=True) for w in workloads]
    at_home = [spots for of_work in own for spots in of_work]
    kinds: dict[Kind, int] = {}
    kind = [kinds.setdefault(_kind(workload, table, masks), len(kinds)) for workload in workloads]
    away = [spots for _, of_kind, _ in kinds for spots in of_kind]
    return Works(
        pipeline=array([pipelines[w.pipeline.name] for w in workloads], np.int32),
        origin=array([table.sites[w.origin.name] for w in workloads], np.int32),
        rate=array([float(w.rate) for w in workloads], np.float64),
        priority=array([int(w.priority * PRIORITY) for w in workloads], np.int64),
        limit_us=array([NOWHERE if w.limit_us is None else w.limit_us for w in workloads], np.int64),
        wait=array([wait_of(w.utilisation) for w in workloads], np.float64),
        first_slot=firsts([len(of_work) for of_work in own]),
        wanted=array([wanted for w in workloads for wanted in _wanted(w)], np.int64),
        kind=array(kind, np.int32),
        own_first=firsts([len(spots) for spots in at_home]),
        own_site=array([site for spots in at_home for site, _ in spots], np.int32),
        own_pool=array([pool for spots in at_home for _, pool in spots], np.int32),
        kind_slot=firsts([len(of_kind) for _, of_kind, _ in kinds]),
        kind_flow=firsts([len(of_flows) for _, _, of_flows in kinds]),
        remote_first=firsts([len(spots) for spots in away]),
        remote_site=array([site for spots in away for site, _ in spots], np.int32),
        remote_pool=array([pool for spots in away for _, pool in spots], np.int32),
        mask=array([mask for _, _, of_flows in kinds for mask in of_flows], np.int32),
    )


def _wanted(workload: Workload) -> list[int]:
    stages = (*workload.pipeline.spec.stages, *workload.pipeline.spec.fallbacks)
    return [wanted_of(workload.rate, exact(stage.share), workload.utilisation) for stage in stages]


def _spots(workload: Workload, table: _Table, *, is_own: bool) -> tuple[tuple[Spot, ...], ...]:
    """Return the options of each slot at the origin, or those elsewhere."""
    return tuple(
        tuple(sorted(table.spot(o) for o in workload.options[slot] if (o.site == workload.origin.name) is is_own))
        for slot in slots_of(workload.pipeline)
    )


def _kind(workload: Workload, table: _Table, masks: Masks) -> Kind:
    of_flows = []
    for (source, target), edge in flows_of(workload.graphs).items():
        label = workload.labels.flow(source, target)
        network, rule = workload.router.network, workload.router.rule
        found = frozenset(
            hop
            for hop, link in network.wires.items()
            if network.carries(hop, edge.is_async) and rule(label, link, *hop).outcome == Outcome.permit
        )
        of_flows.append(masks.setdefault(found, len(masks)))
    return workload.pipeline.name, _spots(workload, table, is_own=False), tuple(of_flows)
