"""A problem as arrays, with the names that its indexes stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

from placement.candidates import PoolKey
from placement.graph import Graph
from placement.search.layout import Layout


@dataclass(frozen=True)
class Compiled:
    """What a search reads, and what decoding needs to say it in names again; every tuple is in the order of its ids.

    Attributes:
        workloads, sites, pipelines: names.
        pools: keys. groups: (site, hardware name).
        graphs: by shape. slots: by pipeline, the names of its stages and then of its fallbacks.
        flows: by pipeline, (source, target) of every flow of any of its graphs.
        hops: (from, to) by hop id.
    """

    layout: Layout = field(repr=False)
    workloads: tuple[str, ...]
    sites: tuple[str, ...]
    pipelines: tuple[str, ...]
    pools: tuple[PoolKey, ...]
    groups: tuple[tuple[str, str], ...]
    graphs: tuple[Graph, ...]
    slots: tuple[tuple[str, ...], ...]
    flows: tuple[tuple[tuple[str, str], ...], ...]
    hops: tuple[tuple[str, str], ...]

    def graph_of(self, pipeline: int, shape: int) -> int:
        """Return which of a pipeline's graphs a shape is."""
        return shape - int(self.layout.shapes.first[pipeline])
