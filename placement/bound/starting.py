"""What a placing tells a bound to begin with: who shares which pool, where it sits, and how high one can hope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.bound.blocks import Shares
from placement.bound.frame import KINDS, Frame, Local
from placement.bound.paid import paid
from placement.search.address import by_address
from placement.search.layout import NOWHERE

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from placement.search.layout import Layout, Placing


def first_shares(layout: Layout, local: Local, placing: Placing | None) -> Shares:
    """Return shares that split each local pool among those who use it in `placing`, or else among all who could."""
    count, sizes = len(local.pool), np.diff(local.first_user)
    slot = np.searchsorted(layout.works.own_first, local.use, side="right") - 1
    is_used = np.zeros(len(slot))
    if placing is not None:
        is_used = (placing.pool[slot] == layout.works.own_pool[local.use]).astype(np.float64)
    alpha, beta = np.zeros(count), np.zeros(len(local.use))
    if count:
        many = np.add.reduceat(is_used, local.first_user[:-1])
        loads = np.add.reduceat(is_used * local.fill, local.first_user[:-1])
        alpha = np.where(loads > 1.0, 1.0, 0.0)
        among = np.where(np.repeat(many > 0, sizes), is_used, 1.0)
        beta = among * np.repeat((1.0 - alpha) / np.where(many > 0, many, sizes), sizes)
    lean = np.zeros((len(local.group), KINDS))
    return Shares(alpha, beta, lean)


def seats(layout: Layout, placing: Placing | None) -> NDArray[int64]:
    """Return by slot the option elsewhere with a pool that it takes in `placing`; NOWHERE when it takes none."""
    works = layout.works
    found = np.full(len(works.wanted), NOWHERE, np.int64)
    if placing is None or not len(works.remote_pool):
        return found
    sizes = np.diff(works.first_slot)
    place = np.arange(len(found)) - np.repeat(works.first_slot[:-1], sizes)
    segment = works.kind_slot[np.repeat(works.kind, sizes)] + place
    owner = np.repeat(np.arange(len(works.remote_first) - 1), np.diff(works.remote_first))
    pools = len(layout.pools.site) + 1
    keys = owner * pools + works.remote_pool + 1
    order = np.argsort(keys, kind="stable")
    wanted = segment * pools + placing.pool + 1
    at = order[np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)]
    is_away = (placing.pool != NOWHERE) & (placing.site != np.repeat(works.origin, sizes))
    return np.where(is_away & (keys[at] == wanted), at, NOWHERE).astype(np.int64)


def top_of(layout: Layout, frame: Frame, local: Local, placing: Placing | None) -> float:
    """Return what `placing` pays when a shared pool has the replicas that its load fills, though one at least."""
    if placing is None:
        return np.inf
    pools, load = layout.pools, np.zeros(len(layout.pools.site))
    has_pool = placing.pool != NOWHERE
    used = placing.pool[has_pool]
    np.add.at(load, used, layout.works.wanted[has_pool] / pools.throughput[used])
    nobody, free = np.full(len(layout.works.wanted), NOWHERE, np.int64), np.zeros(len(load))
    where = by_address(layout), by_address(frame), by_address(local)
    base = paid(*where, by_address(placing), nobody, np.zeros(1), free).sum()
    load[local.pool] = 0.0
    return float(base + (np.maximum(load, 1.0) * pools.price)[load > 0].sum())
