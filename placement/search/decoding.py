"""What a search chose, in the names and exact objects that `placement.solution.Solution` holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from placement.candidates import Option, PoolKey
from placement.capacity import Place
from placement.instance import Instance, Workload
from placement.losses import Loss
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Packing, Placing
from placement.search.losing import Cover
from placement.solution import Choice, Failure
from sites.collecting import no_collections
from sites.site import Site


@no_collections()
def decode(
    compiled: Compiled, instance: Instance, placing: Placing, packing: Packing
) -> tuple[dict[str, Choice], dict[PoolKey, tuple[Place, ...]]]:
    """Return the choice of every placed workload by id, and node and device of every replica by pool.

    Raises LookupError when a placing names an option that the instance does not have.
    """
    return dict(_choices(compiled, instance, placing)), _places(compiled, packing)


def _choices(compiled: Compiled, instance: Instance, placing: Placing) -> Iterator[tuple[str, Choice]]:
    chosen = zip(placing.shape.tolist(), compiled.layout.works.first_slot.tolist(), strict=False)
    sites, pools = placing.site.tolist(), placing.pool.tolist()
    for work, (shape, first) in enumerate(chosen):
        if shape != NOWHERE:
            yield compiled.workloads[work], _choice(compiled, instance, work, shape, sites, pools, first)


def _choice(
    compiled: Compiled, instance: Instance, work: int, shape: int, sites: list[int], pools: list[int], first: int
) -> Choice:
    """Return the choice of one workload, whose slots begin at `first` of these lists."""
    pipeline = int(compiled.layout.works.pipeline[work])
    slots, workload = compiled.slots[pipeline], instance.workloads[compiled.workloads[work]]
    graph = workload.graphs[compiled.graph_of(pipeline, shape)]
    options = {}
    for stage in graph.stages:
        slot = first + slots.index(stage.name)
        site, pool = instance.problem.sites[compiled.sites[sites[slot]]], pools[slot]
        options[stage.name] = _option(workload, stage.name, site, None if pool == NOWHERE else compiled.pools[pool])
    return Choice(graph, options)


def failures_of(compiled: Compiled, instance: Instance, covers: Mapping[int, Cover]) -> tuple[Failure, ...]:
    """Return the failures that covers are, in the order of their names."""
    found = {_loss(compiled, loss): _covered(compiled, instance, cover) for loss, cover in covers.items()}
    return tuple(Failure(loss, found[loss]) for loss in sorted(found, key=str))


def _loss(compiled: Compiled, loss: int) -> Loss:
    sites = len(compiled.sites)
    return Loss((compiled.sites[loss],) if loss < sites else tuple(sorted(compiled.hops[loss - sites])))


def _covered(compiled: Compiled, instance: Instance, cover: Cover) -> dict[str, Choice]:
    sites, pools = cover.site.tolist(), cover.pool.tolist()
    each = zip(cover.work.tolist(), cover.shape.tolist(), cover.first.tolist(), strict=False)
    return {
        compiled.workloads[work]: _choice(compiled, instance, work, shape, sites, pools, first)
        for work, shape, first in sorted(each)
    }


def _option(workload: Workload, stage: str, site: Site, key: PoolKey | None) -> Option:
    option = workload.option(stage, site, key)
    if option is None:
        raise LookupError(f"{workload.id}: {stage} may not run as {key or site.name}")
    return option


def _places(compiled: Compiled, packing: Packing) -> dict[PoolKey, tuple[Place, ...]]:
    """Return the replicas of each pool; nodes are counted within their group."""
    pools, first_node = compiled.layout.pools, compiled.layout.groups.first_node
    found: dict[PoolKey, list[Place]] = {}
    for pool, node, device in zip(packing.pool.tolist(), packing.node.tolist(), packing.device.tolist(), strict=True):
        place = node - int(first_node[pools.group[pool]]), None if device == NOWHERE else device
        found.setdefault(compiled.pools[pool], []).append(place)
    return {key: tuple(places) for key, places in found.items()}
