"""How replicas lie on nodes and devices: nothing is taken twice, and no replica spans a device.

First fit, the largest first; where that fails, the packing that the solver found is tried as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Pool, PoolKey
from placement.cost import EIGHTHS, dominant_share
from placement.graph import exact
from sites.site import Hardware

Place = tuple[int, int | None]
"""A node of a group, and a device of that node for a replica that takes an accelerator."""

Stored = Mapping[str, int]
"""Bytes of disk by knowledge that a pool's replicas read."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Whole replicas of one pool, and the knowledge that lies beside each of them."""

    pool: Pool
    replicas: int
    stores: Stored


@dataclass(slots=True)
class Node:
    """What is taken of one node; bytes, cpus, eighths by device."""

    group: Hardware
    cpus: Fraction = Fraction(0)
    memory: int = 0
    disk: int = 0
    stores: set[str] = field(default_factory=set)
    devices: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with every device empty."""
        self.devices = [0] * (self.group.accelerators.count if self.group.accelerators else 0)

    def device_for(self, demand: Demand) -> int | None:
        """Return the first device with room for one replica; None when it needs none or none has room."""
        share = demand.pool.needs.accelerator
        if share is None:
            return None
        return next((index for index, taken in enumerate(self.devices) if taken + share <= EIGHTHS), None)

    def fits(self, demand: Demand, device: int | None) -> bool:
        """Return whether one replica fits beside what is there."""
        needs = demand.pool.needs
        new = sum(size for name, size in demand.stores.items() if name not in self.stores)
        if (needs.accelerator is None) != (device is None):
            return False
        if device is not None and self.devices[device] + (needs.accelerator or 0) > EIGHTHS:
            return False
        return (
            self.cpus + exact(needs.cpus) <= self.group.cpus
            and self.memory + needs.memory <= self.group.memory
            and self.disk + needs.disk + new <= self.group.disk
        )

    def take(self, demand: Demand, device: int | None) -> None:
        """Put one replica on the node."""
        needs = demand.pool.needs
        self.cpus += exact(needs.cpus)
        self.memory += needs.memory
        self.disk += needs.disk + sum(size for name, size in demand.stores.items() if name not in self.stores)
        self.stores.update(demand.stores)
        if device is not None:
            self.devices[device] += needs.accelerator or 0


def pack(
    group: Hardware, demands: Iterable[Demand], found: Mapping[PoolKey, Sequence[Place]]
) -> dict[PoolKey, tuple[Place, ...]] | None:
    """Return a place for every replica of one group, or None when neither first fit nor `found` holds them."""
    ordered = sorted(demands, key=lambda d: (-dominant_share(d.pool.needs, group), d.pool.key))
    return _first_fit(group, ordered) or _as_found(group, ordered, found)


def _first_fit(group: Hardware, demands: Sequence[Demand]) -> dict[PoolKey, tuple[Place, ...]] | None:
    nodes: list[Node] = []
    places: dict[PoolKey, list[Place]] = {demand.pool.key: [] for demand in demands}
    for demand in demands:
        for _ in range(demand.replicas):
            place = _first_place(group, nodes, demand)
            if place is None:
                return None
            nodes[place[0]].take(demand, place[1])
            places[demand.pool.key].append(place)
    return {key: tuple(sorted(taken, key=_place_order)) for key, taken in places.items()}


def _first_place(group: Hardware, nodes: list[Node], demand: Demand) -> Place | None:
    for index in range(group.count):
        if index == len(nodes):
            nodes.append(Node(group))
        device = nodes[index].device_for(demand)
        if nodes[index].fits(demand, device):
            return index, device
        if index == len(nodes) - 1 and _is_empty(nodes[index]):
            return None
    return None


def _is_empty(node: Node) -> bool:
    return not node.memory and not node.cpus and not any(node.devices)


def _as_found(
    group: Hardware, demands: Sequence[Demand], found: Mapping[PoolKey, Sequence[Place]]
) -> dict[PoolKey, tuple[Place, ...]] | None:
    nodes = [Node(group) for _ in range(group.count)]
    for demand in demands:
        places = found.get(demand.pool.key, ())[: demand.replicas]
        if len(places) < demand.replicas:
            return None
        for node, device in places:
            if not nodes[node].fits(demand, device):
                return None
            nodes[node].take(demand, device)
    return {d.pool.key: tuple(sorted(found[d.pool.key][: d.replicas], key=_place_order)) for d in demands}


def _place_order(place: Place) -> tuple[int, int]:
    return place[0], -1 if place[1] is None else place[1]
