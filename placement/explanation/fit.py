"""Whether a hardware group holds one workload's replicas beside everybody else's: yes, no, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from placement.candidates import Pool, PoolKey
from placement.capacity import Demand, pack
from placement.cost import EIGHTHS
from placement.explanation.ledger import GroupKey, Room
from placement.graph import exact
from sites.site import Hardware

Fit = bool | None
"""Whether replicas lie on the nodes; None is unknown."""


@dataclass(frozen=True, slots=True)
class Own:
    """What one workload's `users`, stages of it, take of a pool: load over utilisation, and stores."""

    pool: Pool
    wanted: Fraction
    stores: Mapping[str, int]
    users: tuple[str, ...]


@dataclass(slots=True)
class Packer:
    """Asks whether a group holds what others have there and one workload's own; answers are remembered."""

    room: Room
    _known: dict[tuple[object, ...], Fit] = field(default_factory=dict)

    def fits(self, at: GroupKey, own: Mapping[PoolKey, Own]) -> Fit:
        """Return whether the group holds `own` beside what is there."""
        key = (at, *sorted((pool, mine.users) for pool, mine in own.items()))
        if key not in self._known:
            demands, group = self._demands(at, own)
            self._known[key] = fits(group, demands)
        return self._known[key]

    def _demands(self, at: GroupKey, own: Mapping[PoolKey, Own]) -> tuple[list[Demand], Hardware]:
        there = self.room.pools.get(at, {})
        demands = [load.demand for key, load in there.items() if key not in own]
        for key, mine in own.items():
            other = there.get(key)
            held = other.stores if other else {}
            whole = mine.wanted + (other.wanted if other else 0)
            demands.append(Demand(mine.pool, ceil(whole / mine.pool.throughput), {**held, **mine.stores}))
        return demands, next(mine.pool.group for mine in own.values())


def fits(group: Hardware, demands: Sequence[Demand]) -> Fit:
    """Return whether replicas lie on a group: yes when first fit does it, no when their volume forbids it."""
    if pack(group, demands, {}) is not None:
        return True
    return False if _exceeds(group, demands) else None


def _exceeds(group: Hardware, demands: Sequence[Demand]) -> bool:
    cpus, memory, disk, eighths, large = Fraction(0), 0, 0, 0, 0
    for demand in demands:
        needs, count = demand.pool.needs, demand.replicas
        cpus += exact(needs.cpus) * count
        memory += needs.memory * count
        disk += needs.disk * count
        eighths += (needs.accelerator or 0) * count
        large += count if (needs.accelerator or 0) * 2 > EIGHTHS else 0
        if count > group.count * _most_on_one(group, demand):
            return True
    stores = {name: size for demand in demands if demand.replicas for name, size in demand.stores.items()}
    devices = group.count * (group.accelerators.count if group.accelerators else 0)
    return (
        cpus > group.count * group.cpus
        or memory > group.count * group.memory
        or disk + sum(stores.values()) > group.count * group.disk
        or eighths > devices * EIGHTHS
        or large > devices
    )


def _most_on_one(group: Hardware, demand: Demand) -> int:
    """Return how many replicas of one pool lie on one empty node, at most."""
    needs, limits = demand.pool.needs, [demand.replicas]
    if needs.cpus:
        limits.append(int(group.cpus / exact(needs.cpus)))
    if needs.memory:
        limits.append(group.memory // needs.memory)
    left = group.disk - sum(demand.stores.values())
    if needs.disk:
        limits.append(max(0, left // needs.disk))
    elif left < 0:
        return 0
    if needs.accelerator:
        limits.append((EIGHTHS // needs.accelerator) * (group.accelerators.count if group.accelerators else 0))
    return min(limits)
