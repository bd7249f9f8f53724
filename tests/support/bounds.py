"""What the exact engine found, as the arrays that bounds and searches speak of."""

from __future__ import annotations

import numpy as np

from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Placing
from placement.solution import Solution


def a_placing(compiled: Compiled, solution: Solution) -> Placing:
    """Return the placing of a solution; of a split workload its first part, which tells how it is served."""
    works, shapes = compiled.layout.works, compiled.layout.shapes
    slots = int(works.first_slot[-1])
    sites = {name: index for index, name in enumerate(compiled.sites)}
    pools = {key: index for index, key in enumerate(compiled.pools)}
    shape = np.full(len(compiled.workloads), NOWHERE, np.int32)
    site, pool = np.full(slots, NOWHERE, np.int32), np.full(slots, NOWHERE, np.int32)
    for w, name in enumerate(compiled.workloads):
        if name not in solution.choices:
            continue
        choice = next((part for part in solution.choices[name].parts if part.graph.replaced), solution.choices[name])
        first = int(shapes.first[works.pipeline[w]])
        shape[w] = first + [graph == choice.graph for graph in compiled.graphs[first:]].index(True)
        for j, stage in enumerate(choice.graph.stages):
            slot = works.first_slot[w] + shapes.stage_slot[shapes.first_stage[shape[w]] + j]
            option = choice.options[stage.name]
            site[slot] = sites[option.site]
            pool[slot] = NOWHERE if option.pool is None else pools[option.pool.key]
    return Placing(shape, site, pool)
