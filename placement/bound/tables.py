"""What each workload cannot avoid paying away from home, for every split of its stages between home and elsewhere.

A table has one entry per set of stages at the origin (bit j: stage j). Every other stage takes its cheapest option by
itself, with the flows to those at the origin; flows between two stages elsewhere cost nothing. So no entry is above
what any assignment with that split costs. A split that cannot meet the latency even at the best times is infinite.
A graph of more than MOST_STAGES stages has an entry per stage instead: its cheapest option elsewhere, without flows.

When prices move, a stage looks at its few nearest options again. All others cost at least `floor`, less what the
price of any option of its (kind, slot) has fallen by since the stage looked at all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from placement.bound.frame import MOST_STAGES, Frame, firsts
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import float32, float64, int8, int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout

MOST_FLOWS = 4
"""Flows between stages that one stage's options are told apart by; the others are free for it."""

FEWEST, MOST_FEES = 6, 40_000_000
"""Options that a stage keeps at hand at least; flows' costs that all stages together keep at most."""


class Tables(NamedTuple):
    """Least costs elsewhere at some prices. A *set* is a set of neighbours at the origin.

    Attributes:
        entry: see the module. is_late: by entry, 1 when not even the best times suffice.
        many, other: by step, how many flows to other stages count, and [step, flow], the stages at their other ends.
        first_set: by step (+1), where its sets begin: bit i of a set is the other end of its i-th flow.
        cost, option: by set, the cheapest option elsewhere that is at hand, and what none is below.
        floor: by set, what no option not at hand was below when the step last looked at all.
        first_near, near: by step (+1), options at hand. first_fee, fee: by step, what their flows cost by option and
            then by set, rounded down; infinite where an option may not be.
        fallen: by step, how far prices of its (kind, slot) had fallen when it last looked at all; -1 before.
        drop: by (kind, slot), how far prices have fallen so far: of every move, what fell most.
        quickest: by (kind, slot), least service time elsewhere in us; infinite without any option.
        is_open: by own option, 0 when it is too slow whatever the rest.
    """

    entry: NDArray[float64]
    is_late: NDArray[int8]
    many: NDArray[int64]
    other: NDArray[int64]
    first_set: NDArray[int64]
    cost: NDArray[float64]
    option: NDArray[int64]
    floor: NDArray[float64]
    first_near: NDArray[int64]
    near: NDArray[int64]
    first_fee: NDArray[int64]
    fee: NDArray[float32]
    fallen: NDArray[float64]
    drop: NDArray[float64]
    quickest: NDArray[float64]
    is_open: NDArray[int8]


def tables_of(layout: Layout, frame: Frame) -> Tables:
    """Return tables yet to be filled."""
    works, steps, entries = layout.works, len(frame.load), int(frame.first_entry[-1])
    many, other = _neighbours(layout, frame)
    first_set = firsts(1 << many)
    sets = int(first_set[-1])
    options = np.diff(works.remote_first)[frame.segment]
    width = options
    while int((width << many).sum()) > MOST_FEES and int(width.max()) > FEWEST:
        width = np.minimum(options, max(FEWEST, int(width.max()) * 3 // 4))
    first_near, first_fee = firsts(width), firsts(width << many)
    return Tables(
        np.zeros(entries), np.zeros(entries, np.int8), many, other, first_set, np.zeros(sets),
        np.full(sets, NOWHERE, np.int64), np.zeros(sets), first_near, np.full(int(first_near[-1]), NOWHERE, np.int64),
        first_fee, np.zeros(int(first_fee[-1]), np.float32), np.full(steps, -1.0),
        np.zeros(len(works.remote_first) - 1), _quickest(layout), np.zeros(len(works.own_pool), np.int8),
    )  # fmt: skip


def _neighbours(layout: Layout, frame: Frame) -> tuple[NDArray[int64], NDArray[int64]]:
    """Return by step how many flows join its stage to others, the first few, and those stages."""
    shapes = layout.shapes
    many = np.zeros(len(shapes.stage_slot), np.int64)
    other = np.zeros((len(many), MOST_FLOWS), np.int64)
    for shape in np.unique(frame.shape).tolist():
        first = int(shapes.first_stage[shape])
        for edge in range(int(shapes.first_edge[shape]), int(shapes.first_edge[shape + 1])):
            source, target = int(shapes.edge_source[edge]), int(shapes.edge_target[edge])
            for here, there in ((source, target), (target, source)):
                if here >= 0 and there >= 0 and many[first + here] < MOST_FLOWS:
                    other[first + here, many[first + here]] = there
                    many[first + here] += 1
    sizes = np.diff(frame.first_step)
    first_stage = shapes.first_stage.astype(np.int64)[frame.shape]
    stage = np.arange(int(sizes.sum())) + np.repeat(first_stage - frame.first_step[:-1], sizes)
    return many[stage], other[stage]


def _quickest(layout: Layout) -> NDArray[float64]:
    works = layout.works
    service = np.append(layout.pools.service_us, 0).astype(np.float64)[works.remote_pool]
    sizes = np.diff(works.remote_first)
    found = np.full(len(sizes), np.inf)
    if len(service):
        found[sizes > 0] = np.minimum.reduceat(service, works.remote_first[:-1][sizes > 0])
    return found


def first_order(layout: Layout, paid: NDArray[float64]) -> NDArray[int64]:
    """Return the options elsewhere of every (kind, slot), cheapest first."""
    works = layout.works
    segment = np.repeat(np.arange(len(works.remote_first) - 1), np.diff(works.remote_first))
    return np.lexsort((paid, segment)).astype(np.int64)


@njit(cache=True, nogil=True)
def reprice(
    tables: Tables, order: NDArray[int64], begin: NDArray[int64], paid: NDArray[float64], before: NDArray[float64]
) -> None:
    """Put the options of every (kind, slot) in order again, and note how far the price of any has fallen."""
    for segment in range(len(begin) - 1):
        most = 0.0
        for index in range(begin[segment], begin[segment + 1]):
            option, at = order[index], index
            most = max(most, before[option] - paid[option])
            while at > begin[segment] and paid[order[at - 1]] > paid[option]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = option
        tables.drop[segment] += most


@njit(cache=True, nogil=True)
def look(frame: Frame, tables: Tables, step: int, paid: NDArray[float64], give: float) -> bool:
    """Find the cheapest of the options at hand, by set; return whether one that is not might be cheaper by far.

    Args:
        give: by what part of its cost a set is charged too little, to spare a look at all options.
    """
    first, last = tables.first_set[step], tables.first_set[step + 1]
    spare = (tables.drop[frame.segment[step]] - tables.fallen[step]) * frame.load[step]
    is_beaten = False
    for chosen in range(first, last):
        tables.cost[chosen], tables.option[chosen] = np.inf, NOWHERE
    fee = tables.first_fee[step]
    for at in range(tables.first_near[step], tables.first_near[step + 1]):
        option = tables.near[at]
        if option == NOWHERE:
            break
        base = paid[option] * frame.load[step]
        for chosen in range(first, last):
            if base + tables.fee[fee] < tables.cost[chosen]:
                tables.cost[chosen], tables.option[chosen] = base + tables.fee[fee], option
            fee += 1
    for chosen in range(first, last):
        least = max(0.0, tables.floor[chosen] - spare)
        if least < tables.cost[chosen]:
            is_beaten |= least < tables.cost[chosen] * (1.0 - give)
            tables.cost[chosen] = least
    return is_beaten


@njit(cache=True, nogil=True)
def fill_row(frame: Frame, tables: Tables, row: int) -> None:
    """Write by set of stages at the origin what the others cost."""
    first, count = frame.first_step[row], frame.first_step[row + 1] - frame.first_step[row]
    entry = frame.first_entry[row]
    if count > MOST_STAGES:
        for j in range(count):
            tables.entry[entry + j] = tables.cost[tables.first_set[first + j]]
        return
    for split in range(1 << count):
        total = 0.0
        for j in range(count):
            if split >> j & 1 == 0:
                total += tables.cost[tables.first_set[first + j] + neighbours(tables, first + j, split)]
        tables.entry[entry + split] = np.inf if tables.is_late[entry + split] else total


@njit(cache=True, nogil=True)
def neighbours(tables: Tables, step: int, split: int) -> int:
    """Return the set of a step's neighbours at the origin when the stages of `split` are."""
    chosen = 0
    for i in range(tables.many[step]):
        chosen |= (split >> tables.other[step, i] & 1) << i
    return chosen
