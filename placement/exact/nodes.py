"""Rows that keep replicas within the nodes and devices of one hardware group.

Roughly at first: within all its nodes together, which asks for one column per pool. Only a group whose replicas then do
not lie on its nodes is modelled node by node and device by device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil

from placement.candidates import Pool, PoolKey
from placement.capacity import Place
from placement.cost import EIGHTHS
from placement.exact.highs import Programme
from placement.graph import exact
from sites.site import Hardware


@dataclass(frozen=True, slots=True)
class Use:
    """A workload's stage that may use a pool.

    Attributes:
        who: workload id and stage; all that may serve it take what it wants once.
        together: what tells apart the uses that may all be real at once: of the others only one is.
        column: one where it does.
        wanted: requests per second over the workload's utilisation.
        store, stored: the knowledge that it reads, None for none, and its bytes.
    """

    who: tuple[str, str]
    together: tuple[object, ...]
    column: int
    wanted: Fraction
    store: str | None
    stored: int


@dataclass(slots=True)
class Group:
    """The nodes of one hardware group, and the pools that would like to lie on them.

    Attributes:
        is_rough: whether its nodes are taken together.
        loads: of each pool, (workload, column, wanted) in normal running, and after each loss that may ask more of it.
        replicas: of each pool, the columns that count them, by place; filled by `close`.
    """

    programme: Programme
    group: Hardware
    pools: Mapping[PoolKey, Pool]
    uses: Mapping[PoolKey, list[Use]]
    loads: Mapping[PoolKey, list[list[tuple[str, int, Fraction]]]]
    is_rough: bool = False
    replicas: dict[PoolKey, list[tuple[Place, int]]] = field(default_factory=dict)
    _most: dict[PoolKey, int] = field(default_factory=dict)

    def close(self) -> None:
        """Add replica columns, and the rows that keep them within nodes and devices."""
        self._most = {key: self._most_replicas(key) for key in self.pools}
        if self._all_fit_together():
            for key in self.pools:
                self._count(key, [(0, None)])
            return
        devices = self.group.accelerators.count if self.group.accelerators else 0
        if self.is_rough:
            for key in self.pools:
                self._count(key, [(0, None)])
            self._within_node(0, self.group.count)
            self._within_disk(0, self.group.count)
            self._within_all_devices(devices * self.group.count)
            return
        nodes = min(self.group.count, sum(self._most.values()))
        for key, pool in self.pools.items():
            within: list[int | None] = [None] if pool.needs.accelerator is None else [*range(devices)]
            self._count(key, [(node, device) for node in range(nodes) for device in within])
        for node in range(nodes):
            self._within_node(node)
            self._within_disk(node)
            self._within_devices(node, devices)
        self._in_order(nodes)

    def _most_replicas(self, key: PoolKey) -> int:
        """Return how many replicas a pool can have use for: every stage that may use it, all at once."""
        wanted = {use.who: use.wanted for use in self.uses[key]}
        return ceil(sum(wanted.values(), Fraction(0)) / self.pools[key].throughput)

    def _all_fit_together(self) -> bool:
        """Return whether all replicas that could be of use fit the first node at once, so that none competes."""
        if any(pool.needs.accelerator for pool in self.pools.values()):
            return False
        needs = [(pool.needs, self._most[key]) for key, pool in self.pools.items()]
        return (
            sum(exact(n.cpus) * most for n, most in needs) <= self.group.cpus
            and sum(n.memory * most for n, most in needs) <= self.group.memory
            and sum(n.disk * most for n, most in needs) + sum(self._stores().values()) <= self.group.disk
        )

    def _stores(self) -> dict[str, int]:
        return {use.store: use.stored for uses in self.uses.values() for use in uses if use.store is not None}

    def _count(self, key: PoolKey, places: list[Place]) -> None:
        """Add the replica columns of a pool: enough for its load, and some wherever a workload is on it."""
        columns = [(place, self.programme.column(float(self._most[key]))) for place in places]
        self.replicas[key] = columns
        counted = [(column, -1.0) for _, column in columns]
        throughput = self.pools[key].throughput
        for load in self.loads[key]:
            self.programme.row([*((c, float(wanted / throughput)) for _, c, wanted in load), *counted], upper=0.0)
        linked: dict[tuple[object, ...], list[int]] = {}
        for use in self.uses[key]:
            linked.setdefault(use.together, []).append(use.column)
        for together in linked.values():
            self.programme.row([*((column, 1.0) for column in together), *counted], upper=0.0)

    def _here(self, key: PoolKey, node: int) -> list[int]:
        return [column for (n, _), column in self.replicas[key] if n == node]

    def _within_node(self, node: int, nodes: int = 1) -> None:
        """Keep the replicas on a node within its cpus and memory, or those of several nodes counted as one."""
        cpus = {key: exact(pool.needs.cpus) for key, pool in self.pools.items()}
        memory = {key: Fraction(pool.needs.memory) for key, pool in self.pools.items()}
        for take, has in ((cpus, self.group.cpus * nodes), (memory, self.group.memory * nodes)):
            if sum(take[key] * self._most[key] for key in self.pools) > has:
                terms = [(c, float(take[key] / max(1, has))) for key in self.pools for c in self._here(key, node)]
                self.programme.row(terms, upper=1.0 if has else 0.0)

    def _within_disk(self, node: int, nodes: int = 1) -> None:
        """Disk of replicas, and each knowledge once where a replica lies whose pool reads it."""
        needs, stores = {key: pool.needs.disk for key, pool in self.pools.items()}, self._stores()
        if sum(needs[key] * self._most[key] for key in self.pools) + sum(stores.values()) <= self.group.disk * nodes:
            return
        has = max(1, self.group.disk * nodes)
        terms = [(c, needs[key] / has) for key in self.pools for c in self._here(key, node)]
        for name, size in sorted(stores.items()):
            lies = self.programme.column()
            terms.append((lies, size / has))
            for key, uses in self.uses.items():
                self._beside(key, [use.column for use in uses if use.store == name], lies, node)
        self.programme.row(terms, upper=1.0 if self.group.disk else 0.0)

    def _beside(self, key: PoolKey, readers: list[int], lies: int, node: int) -> None:
        """A replica on this node brings the store as soon as anybody reads the store through its pool."""
        here = self._here(key, node)
        most = float(self._most[key] * len(here))
        for reader in readers:
            self.programme.row([*((c, 1.0) for c in here), (lies, -most), (reader, most)], upper=most)

    def _within_all_devices(self, devices: int) -> None:
        """Keep the replicas within all devices together; of those that need more than half a device each takes one."""
        shares = {key: pool.needs.accelerator or 0 for key, pool in self.pools.items()}
        if devices and any(shares.values()):
            columns = [(shares[key], column) for key in self.pools for column in self._here(key, 0)]
            self.programme.row([(c, share / (EIGHTHS * devices)) for share, c in columns], upper=1.0)
            large = [(c, 1.0 / devices) for share, c in columns if 2 * share > EIGHTHS]
            self.programme.row(large, upper=1.0)

    def _within_devices(self, node: int, devices: int) -> None:
        for device in range(devices):
            terms = [
                (column, (self.pools[key].needs.accelerator or 0) / EIGHTHS)
                for key, columns in self.replicas.items()
                for place, column in columns
                if place == (node, device)
            ]
            if terms:
                self.programme.row(terms, upper=1.0)

    def _in_order(self, nodes: int) -> None:
        """Equal nodes are filled in order, so that a plan is not found again under every permutation."""
        totals = [[column for key in self.pools for column in self._here(key, node)] for node in range(nodes)]
        for fuller, emptier in pairwise(totals):
            self.programme.row([*((c, 1.0) for c in emptier), *((c, -1.0) for c in fuller)], upper=0.0)
