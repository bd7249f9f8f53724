"""A placing of a whole layout, as cheap as so much work can make it; the same for the same input, to the byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from placement.search import resuming, ruining, sweeping
from placement.search.address import by_address
from placement.search.layout import NOWHERE, Layout, Placing
from placement.search.running import Found, Progress, Run, Tick

__all__ = ["Found", "Progress", "Tick", "search"]

HOPE, TRUE, FAIRLY = 0.8, 0.2, 0.05
"""Weights, when workloads first come in, of the least part of a price that a full pool would ask, and of what another
replica really costs; and later of a fair part of what is open."""

ENOUGH = 0.005
"""Sweeps and closings are repeated while they save this fraction of the cost."""

FEWEST, FEW, SOME, MANY = 6, 12, 16, 32
"""Candidate sites of a workload that comes in, and of one that looks for something better."""

COOLING = (1.0, 0.7, 0.4, 0.2, 0.0)
"""How much of what replicas of shared pools cost beyond their load does not count, step by step."""

LEAST_MELT = 1_000
"""Units of work for each stage below which everything counts from the beginning."""

MOST_SWEEPS, MOST_CLOSINGS = 3, 4
MOST_ROUNDS, ROUND = 8, 20_000
"""Rounds of annealing, when there is that much work for each workload in each of them."""

STEPS, MOST_RANKS = 200, 8
"""Steps of a round between which sites are ranked anew, when a step is worth so many rankings."""

WARMTH, COOL = 0.3, 0.7
"""How much of a mean pool's price a plan may become dearer at the beginning of a round, and when that has ended."""

SIZES = (6, 12, 24, 48)
"""Workloads of a neighbourhood, in turn."""

EJECTIONS = 4
"""How often room is sought for each workload that a loss left without, or degraded."""


def search(
    layout: Layout,
    *,
    work: int,
    start: Placing | None = None,
    held: Placing | None = None,
    tick: Tick | None = None,
) -> Found:
    """Return a placing of everything that finds room, at the least cost that `work` units of effort find.

    Args:
        start: a placing to begin with; what it holds and is no longer allowed is placed anew.
        held: where stages are now. The search begins there, and fewest moves come before cost: only what was lost is
            placed anew, and others move only where that places or un-degrades more. Takes the place of `start`.
        tick: told how far it is, a few times a second; a KeyboardInterrupt from it ends the search with what it has.
    """
    run = Run.of_layout(layout, work, held, tick)
    order = in_order(layout)
    try:
        if held is not None:
            _replan(run, order, held)
        else:
            _plan(run, order, start)
    except KeyboardInterrupt:
        run.keep()
        return run.found(is_cut=True)
    return run.found(is_cut=False)


def in_order(layout: Layout) -> NDArray[np.int32]:
    """Return workloads in the order in which they come in: by priority, then the largest."""
    works = layout.works
    return np.lexsort((np.arange(len(works.origin)), -works.rate, -works.priority)).astype(np.int32)


def _plan(run: Run, order: NDArray[np.int32], start: Placing | None) -> None:
    if start is not None:
        _resume(run, order, start)
    is_cold = start is not None or run.of < LEAST_MELT * len(run.layout.works.wanted)
    run.smooth(0.0 if is_cold else 1.0)
    sweeping.rank_rows(*run.by)
    run.blend(TRUE, 0.0, HOPE)
    run.insert(order, FEW)
    run.blend(1.0, FAIRLY, 0.0)
    run.each(ruining.find_hopeless, *run.by, order, to=len(order))
    if not is_cold:
        run.improve(order, MANY)
        _cool(run, order)
    for _ in range(MOST_SWEEPS):
        if run.is_over or run.improve(order, MANY) <= ENOUGH * run.cost:
            break
    for _ in range(MOST_CLOSINGS):
        if run.is_over or run.close() <= ENOUGH * run.cost:
            break
    _ruin(run, order)


def _cool(run: Run, order: NDArray[np.int32]) -> None:
    """Let whole replicas of shared pools count more and more, leaving out steps for which there is no work.

    While only load counts, workloads go one by one to where replicas are cheap, though none is full there yet; as
    replicas harden, those that stayed empty are closed.
    """
    spent = 0
    for at, smooth in enumerate(COOLING):
        if run.of - run.work < spent * (len(COOLING) - at) and smooth > 0:
            continue
        begin = run.work
        run.smooth(smooth)
        run.close()
        run.improve(order, SOME)
        spent = run.work - begin
    run.smooth(0.0)


def _ruin(run: Run, order: NDArray[np.int32]) -> None:
    """Spend what work is left on neighbourhoods, in rounds of annealing; each begins with the best plan so far.

    At the beginning of a round a plan may become dearer by some of a pool's price, at its end by nothing.
    """
    rounds = max(1, min(MOST_ROUNDS, (run.of - run.work) // (ROUND * len(order) + 1)))
    pools = int(np.count_nonzero(run.state.replicas))
    run.keep()
    for turn in range(rounds):
        begin = run.work
        length = max(1, (run.of - begin) // (rounds - turn))
        warmth = WARMTH * run.cost / (pools + 1) if rounds > 1 else 0.0
        _anneal(run, order, begin, length, warmth)
        run.keep()


def _anneal(run: Run, order: NDArray[np.int32], begin: int, length: int, warmth: float) -> None:
    least = max(length // STEPS, MOST_RANKS * len(run.layout.works.remote_site))
    for step, until in enumerate(run.slices()):
        done = (run.work - begin) / length
        if done >= 1:
            return
        sweeping.rank_rows(*run.by)
        if run.has_unplaced and step % 8 == 0:
            ruining.ruin_around(*run.by, _wanting(run, order), 0, until, SIZES[0])
        slack = warmth * max(0.0, 1 - done / COOL)
        end = min(until, begin + length, run.work + least)
        ruining.ruin_many(*run.by, end, SIZES[step % len(SIZES)], slack)


def _resume(run: Run, order: NDArray[np.int32], placing: Placing) -> NDArray[np.int32]:
    """Put everything back where `placing` has it, if that is allowed and fits; return who stayed out, though placed."""
    at = Placing(*(np.ascontiguousarray(part, np.int32) for part in placing))
    run.each(resuming.resume_many, *run.by, by_address(at), order, to=len(order))
    is_lost = (at.shape[order] != NOWHERE) & (run.state.shape[order] == NOWHERE)
    return np.compress(is_lost, order)


def _replan(run: Run, order: NDArray[np.int32], held: Placing) -> None:
    """Put back what may stay, place what was lost with as few moves as can be, and make that cheaper.

    Who was out before comes in where there is room; room is made only for who has just lost a place.
    """
    lost = _resume(run, order, held)
    if len(lost) == 0 and not run.has_unplaced:
        return
    sweeping.rank_rows(*run.by)
    run.blend(1.0, FAIRLY, 0.0, run.a_move)
    run.insert(lost, FEW)
    out = np.compress(run.state.shape[order] == NOWHERE, order)
    run.insert(out, FEWEST)
    if len(lost) == 0:
        return
    run.each(ruining.find_hopeless, *run.by, lost, to=len(lost))
    for _ in range(EJECTIONS):
        wanting = _wanting(run, lost)
        if len(wanting) == 0 or run.is_over:
            break
        run.each(ruining.ruin_around, *run.by, wanting, to=len(wanting), then=(SIZES[0],))
    run.improve(lost, FEW)


def _wanting(run: Run, order: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return who is unplaced or degraded though an empty fleet would have it otherwise."""
    shape, declared = run.state.shape[order], run.layout.shapes.first[run.layout.works.pipeline[order]]
    hopeless = run.bench.hopeless[order]
    return np.compress(((shape == NOWHERE) & (hopeless < 2)) | ((shape != declared) & (hopeless == 0)), order)
