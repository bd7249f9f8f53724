"""Does without replicas that few losses need: those are faced anew with one less, and keep what is cheaper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.search import losing
from placement.search.facing import Facing
from placement.search.layout import NOWHERE
from placement.search.losing import Cover

MOST_BINDING = 16
"""Losses that may need a replica which is tried to do without."""

MOST_PASSES = 5

LEAST = 1e-9
"""Money per hour that is worth a change."""


def tighten(facing: Facing) -> None:
    """Cover losses with fewer replicas while that saves something, the dearest pools first.

    Args:
        facing: with every loss covered, and no replica open that none needs.
    """
    price = facing.layout.pools.price
    for _ in range(MOST_PASSES):
        spare = [pool for pool in facing.reserves.after if facing.reserves.binding(pool)]
        order = sorted(spare, key=lambda pool: (-float(price[pool]), pool))
        if not sum(_do_with_fewer(facing, pool) for pool in order):
            return


def _do_with_fewer(facing: Facing, pool: int) -> bool:
    """Take a replica from a pool if the losses that need it are covered at less cost; else nothing changes."""
    reserves, replicas = facing.reserves, facing.state.replicas.copy()
    losses, fewer = reserves.binding(pool), reserves.needed(pool) - 1
    if not losses or len(losses) > MOST_BINDING:
        return False
    old = {loss: (facing.covers[loss], reserves.loads(loss)) for loss in losses}
    _fit(facing, {pool: fewer})
    facing.ban(pool, fewer)
    facing.covers |= {loss: _without(cover, pool) for loss, (cover, _) in old.items()}
    missing = [work for loss in losses for work in facing.face(loss)]
    facing.ban(NOWHERE, 0)
    new = {loss: (facing.covers[loss], reserves.loads(loss)) for loss in losses}
    pools = {each for _, loads in (*old.values(), *new.values()) for each in loads}
    after = reserves.price(pools)
    _use(facing, old)
    if not missing and after < reserves.price(pools) - LEAST:
        _use(facing, new)
        _fit(facing, {each: reserves.needed(each) for each in pools})
        return True
    losing.fit(*facing.by[:3], replicas)
    return False


def _without(cover: Cover, pool: int) -> Cover:
    """Return a cover in which whoever uses a pool is not served yet."""
    uses = np.repeat(np.arange(len(cover.work)), np.diff(cover.first))[cover.pool == pool]
    shape = cover.shape.copy()
    shape[uses] = NOWHERE
    return cover._replace(shape=shape, site=cover.site.copy(), pool=cover.pool.copy())


def _use(facing: Facing, covers: Mapping[int, tuple[Cover, Mapping[int, int]]]) -> None:
    for loss, (cover, loads) in covers.items():
        facing.covers[loss] = cover
        facing.reserves.put(loss, cover, loads)


def _fit(facing: Facing, needed: Mapping[int, int]) -> None:
    """Keep so many replicas of some pools open, and of others as many as there are."""
    replicas = facing.state.replicas.copy()
    replicas[list(needed)] = list(needed.values())
    losing.fit(*facing.by[:3], replicas)
