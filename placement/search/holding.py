"""Where the stages of a current plan are, as the search holds them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.exact.model import Current, Move
from placement.search.compiled import Compiled
from placement.search.layout import NOWHERE, Placing


def held_by(compiled: Compiled, current: Current) -> Placing:
    """Return the placing that a current plan is.

    What it names and the fleet no longer has (a site that is gone, a variant) is held nowhere; of a workload that is
    split, each stage is held at the first of its places.
    """
    works = compiled.layout.works
    site_ids = {name: index for index, name in enumerate(compiled.sites)}
    pool_ids: dict[Move, int] = {}
    for index, key in enumerate(compiled.pools):
        pool_ids.setdefault((key.site, key.model, key.variant, key.hardware), index)
    placing = Placing(
        np.full(len(works.origin), NOWHERE, np.int32),
        np.full(len(works.wanted), NOWHERE, np.int32),
        np.full(len(works.wanted), NOWHERE, np.int32),
    )
    for work, name in enumerate(compiled.workloads):
        held = current.get(name)
        if held is None:
            continue
        pipeline, first = int(works.pipeline[work]), int(works.first_slot[work])
        placing.shape[work] = _shape(compiled, pipeline, held)
        for slot, stage in enumerate(compiled.slots[pipeline]):
            for place in sorted(held.get(stage, ()))[:1]:
                pool = pool_ids.get(place, NOWHERE)
                if place[0] in site_ids and (pool != NOWHERE or not place[1]):
                    placing.site[first + slot], placing.pool[first + slot] = site_ids[place[0]], pool
    return placing


def _shape(compiled: Compiled, pipeline: int, held: Mapping[str, object]) -> int:
    """Return the graph that runs exactly the held stages; the declared one when none does."""
    shapes = compiled.layout.shapes
    for shape in range(int(shapes.first[pipeline]), int(shapes.first[pipeline + 1])):
        if {stage.name for stage in compiled.graphs[shape].stages} == set(held):
            return shape
    return int(shapes.first[pipeline])
