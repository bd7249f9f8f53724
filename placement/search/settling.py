"""Places for a workload where certain losses do not touch it: it keeps off sites and wires that it could not lose."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.search.bench import BLOCKED, CAREFUL, SITES, STAMP, UNKNOWN, Bench
from placement.search.changes import DONE, FULL_DOMAIN, FULL_POOL, FULL_WIRE, end_site, put, undo
from placement.search.index import Index
from placement.search.insertion import ATTEMPTS, choose
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Layout
from placement.search.losing import trace
from placement.search.pricing import add_site, find_near, gather_options
from placement.search.state import COST, EGRESS, LOGGED, PAID, WORK, State
from placement.search.ways import hops, reverse

if TYPE_CHECKING:
    from numpy import int8
    from numpy.typing import NDArray

DETOURS = 24
"""How often a place is looked for anew when a flow between two of its sites proves to cross what is shunned."""


@kernel
def settle(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, shunned: NDArray[int8],
    closed: NDArray[int8],
) -> bool:  # fmt: skip
    """Place an unplaced workload under one graph, away from what is shunned; False, and nothing changed, if nowhere.

    Args:
        shunned: by loss (as `losing.list_exposed` numbers them), whether it may not touch the workload.
        closed: by site; scratch.
    """
    state.counts[LOGGED], state.counts[PAID] = 0, 0
    cost, egress = state.money[COST], state.money[EGRESS]
    close_beyond(layout, state, work, shape, shunned, closed)
    for _ in range(DETOURS):
        if not place_open(layout, state, index, bench, work, shape, closed):
            return False
        site = crossing(layout, state, work, shape, shunned)
        if site == NOWHERE:
            return True
        undo(layout, state, index, 0, cost, egress)
        state.counts[PAID] = 0
        closed[site] = 1
    return False


@kernel
def close_beyond(
    layout: Layout, state: State, work: int, shape: int, shunned: NDArray[int8], closed: NDArray[int8]
) -> None:
    """Close the sites that are shunned, and those whose inputs or answers would cross what is."""
    works, shapes = layout.works, layout.shapes
    for site in range(len(closed)):
        closed[site] = shunned[site]
    home, kind, base = works.origin[work], works.kind[work], shapes.first_stage[shape]
    for edge in range(shapes.first_edge[shape], shapes.first_edge[shape + 1]):
        source, target = shapes.edge_source[edge], shapes.edge_target[edge]
        if (source == NOWHERE) == (target == NOWHERE):
            continue
        row = works.kind_slot[kind] + shapes.stage_slot[base + max(source, target)]
        mask = works.mask[works.kind_flow[kind] + shapes.edge_flow[edge]]
        for option in range(works.remote_first[row], works.remote_first[row + 1]):
            site = works.remote_site[option]
            state.counts[WORK] += 1
            if site == home or closed[site] == 1:
                continue
            a, b = (home, site) if source == NOWHERE else (site, home)
            length = hops(layout.ways, mask, a, b, state.path)
            if crosses(layout, state, length, home, shunned):
                closed[site] = 1


@kernel
def crosses(layout: Layout, state: State, length: int, home: int, shunned: NDArray[int8]) -> bool:
    """Return whether the first hops of `State.path` go over a wire or site that is shunned; `home` never is."""
    sites = len(layout.ways.first_hop) - 1
    for hop in state.path[:length]:
        end = layout.ways.end[hop]
        if end != home and shunned[end] == 1:
            return True
        if shunned[sites + min(hop, reverse(layout.ways, hop))] == 1:
            return True
    return False


@kernel
def crossing(layout: Layout, state: State, work: int, shape: int, shunned: NDArray[int8]) -> int:
    """Return a site other than the origin at an end of a flow that crosses what is shunned; NOWHERE when none does."""
    home = layout.works.origin[work]
    for edge in range(layout.shapes.first_edge[shape], layout.shapes.first_edge[shape + 1]):
        length = trace(layout, state, work, shape, edge)
        if crosses(layout, state, length, home, shunned):
            end = end_site(layout, state, work, shape, layout.shapes.edge_target[edge])
            return end if end != home else end_site(layout, state, work, shape, layout.shapes.edge_source[edge])
    return NOWHERE


@kernel
def gather_open(layout: Layout, state: State, bench: Bench, work: int, shape: int, closed: NDArray[int8]) -> None:
    """Make as many open sites candidates as there may be: the origin, the cheap and the near, then any."""
    works, shapes = layout.works, layout.shapes
    bench.counts[STAMP] += 1
    bench.counts[SITES] = 0
    add_site(bench, works.origin[work])
    if bench.near[work, 0] == UNKNOWN:
        find_near(layout, state, bench, work)
    rows = works.kind_slot[works.kind[work]]
    first, last = shapes.first_stage[shape], shapes.first_stage[shape + 1]
    for rank in range(bench.ranked.shape[1]):
        for stage in range(first, last):
            _add_open(bench, bench.ranked[rows + shapes.stage_slot[stage], rank], closed)
        if rank < bench.near.shape[1]:
            _add_open(bench, bench.near[work, rank], closed)
    for stage in range(first, last):
        row = rows + shapes.stage_slot[stage]
        for option in range(works.remote_first[row], works.remote_first[row + 1]):
            if bench.counts[SITES] == len(bench.sites):
                return
            _add_open(bench, works.remote_site[option], closed)


@kernel
def _add_open(bench: Bench, site: int, closed: NDArray[int8]) -> None:
    if site != NOWHERE and closed[site] == 0:
        add_site(bench, site)


@kernel
def place_open(
    layout: Layout, state: State, index: Index, bench: Bench, work: int, shape: int, closed: NDArray[int8]
) -> bool:
    """Place an unplaced workload under one graph at the origin and open sites; False, and all is as before, if not."""
    bench.counts[CAREFUL], bench.counts[BLOCKED] = 0, 0
    gather_open(layout, state, bench, work, shape, closed)
    mark, cost, egress = state.counts[LOGGED], state.money[COST], state.money[EGRESS]
    for _ in range(ATTEMPTS):
        if not gather_options(layout, state, index, bench, work, shape):
            return False
        if choose(layout, state, index, bench, work, shape, np.inf) == np.inf:
            return False
        answer = put(layout, state, index, work, shape, bench.best_site, bench.best_pool)
        if answer == DONE:
            return True
        undo(layout, state, index, mark, cost, egress)
        if answer <= FULL_POOL and bench.counts[BLOCKED] < len(bench.blocked):
            bench.blocked[bench.counts[BLOCKED]] = FULL_POOL - answer
            bench.counts[BLOCKED] += 1
        elif answer == FULL_WIRE and bench.counts[CAREFUL] < 2:
            bench.counts[CAREFUL] += 1
        elif answer in (FULL_DOMAIN, FULL_WIRE) or answer <= FULL_POOL:
            return False
    return False
