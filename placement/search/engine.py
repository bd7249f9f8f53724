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

FEWEST, FEW, MANY = 6, 12, 32
"""Candidate sites of a workload that comes in, and of one that looks for something better."""

LEAST_SOFT = 1_000
"""Units of work for each stage below which replicas of shared pools are whole from the beginning."""

HARDENING, MOST_TIMES, CLOSING = 0.8, 12, 700
"""Part of the work during which they harden; how often pools are closed meanwhile, at most, and once for so many units
of work for each stage."""

MOST_CLOSINGS = 4
STEPS, MOST_RANKS = 200, 8
"""Steps of a round between which sites are ranked anew, when a step is worth so many rankings."""

SIZES = (6, 12, 24, 48)
"""Workloads of a neighbourhood, in turn."""

EJECTIONS, EJECTED = 24, 48
"""How often room is sought for each workload that a loss left without, or degraded, and among how many others."""


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
    is_soft = start is None and run.of >= LEAST_SOFT * len(run.layout.works.wanted)
    run.smooth(1.0 if is_soft else 0.0)
    sweeping.rank_rows(*run.by)
    run.blend(TRUE, 0.0, HOPE)
    run.insert(order, FEW)
    run.blend(1.0, FAIRLY, 0.0)
    run.each(ruining.find_hopeless, *run.by, order, to=len(order))
    run.improve(order, MANY)
    if is_soft:
        _harden(run, order)
    for _ in range(MOST_CLOSINGS):
        if run.is_over or run.close() + run.improve(order, FEW) <= ENOUGH * run.cost:
            break
    _ruin(run, order, run.of, 0.0)


def _harden(run: Run, order: NDArray[np.int32]) -> None:
    """Let whole replicas of shared pools count more and more, over most of the work that is left.

    While only load counts, workloads go one by one to where replicas are cheap, though none is full there yet; as
    replicas harden, those that stayed empty are closed.
    """
    is_shared = run.index.part > 0
    run.close(~is_shared)
    begin, length = run.work, HARDENING * (run.of - run.work)
    times = min(MOST_TIMES, 1 + int(length / (CLOSING * len(run.layout.works.wanted))))
    for time in range(1, times + 2):
        end = int(begin + length * time / (times + 1))
        is_late = run.work >= end
        _ruin(run, order, end, 1 - time / (times + 1))
        if time <= times and not is_late:
            run.close(is_shared)
            run.improve(order, FEW)


def _ruin(run: Run, order: NDArray[np.int32], end: int, soft: float) -> None:
    """Spend work up to `end` on neighbourhoods; meanwhile shared pools become as soft as that."""
    begin, was = run.work, run.softness
    least = max((end - begin) // STEPS, MOST_RANKS * len(run.layout.works.remote_site))
    for step, until in enumerate(run.slices()):
        if run.work >= end:
            break
        run.smooth(was + (soft - was) * (run.work - begin) / (end - begin))
        sweeping.rank_rows(*run.by)
        if run.has_unplaced and step % 8 == 0:
            ruining.ruin_around(*run.by, _wanting(run, order), 0, until, SIZES[0])
        ruining.ruin_many(*run.by, min(until, end, run.work + least), SIZES[step % len(SIZES)], 0.0)
    run.smooth(soft)


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
        run.each(ruining.ruin_around, *run.by, wanting, to=len(wanting), then=(EJECTED,))
    run.improve(lost, FEW)


def _wanting(run: Run, order: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return who is unplaced or degraded though an empty fleet would have it otherwise."""
    shape, declared = run.state.shape[order], run.layout.shapes.first[run.layout.works.pipeline[order]]
    hopeless = run.bench.hopeless[order]
    return np.compress(((shape == NOWHERE) & (hopeless < 2)) | ((shape != declared) & (hopeless == 0)), order)
