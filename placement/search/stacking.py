"""Whole replicas on real nodes and devices: opened where they first fit, closed last first, so undoing is exact."""

# Compiled code mixes whole numbers of all widths; mypy sees numpy's, which are no int.
# mypy: disable-error-code="no-any-return, return-value, assignment, arg-type"

from __future__ import annotations

import numpy as np

from placement.search.index import Index
from placement.search.kernel import kernel
from placement.search.layout import NOWHERE, Groups, Pools
from placement.search.state import COST, HOLLOW, LOGGED, SPARE, State

OPENED, CLOSED, PUT, TAKEN = 1, 2, 3, 4
"""What the journal's records tell; the last entry of each."""


@kernel
def lies_on(state: State, pool: int, node: int) -> bool:
    """Return whether a replica of a pool is on a node."""
    cell = state.top[pool]
    while cell != NOWHERE:
        if state.node[cell] == node:
            return True
        cell = state.below[cell]
    return False


@kernel
def fitting(pools: Pools, groups: Groups, state: State, index: Index, pool: int, node: int) -> int:
    """Return how many more replicas of a pool a node holds."""
    disk = state.disk[node]
    if pools.store[pool] > 0 and not lies_on(state, pool, node):
        disk -= pools.store[pool]
    if disk < 0:
        return 0
    most = np.int64(1 << 30)
    if pools.cpus[pool] > 0:
        most = min(most, state.cpus[node] // pools.cpus[pool])
    if pools.memory[pool] > 0:
        most = min(most, state.memory[node] // pools.memory[pool])
    if pools.disk[pool] > 0:
        most = min(most, disk // pools.disk[pool])
    eighths = pools.eighths[pool]
    if eighths > 0 and most > 0:
        group = pools.group[pool]
        first = index.first_device[group] + (node - groups.first_node[group]) * groups.devices[group]
        held = 0
        for device in range(first, first + groups.devices[group]):
            held += state.eighths[device] // eighths
        most = min(most, held)
    return most


@kernel
def room_for(pools: Pools, groups: Groups, state: State, index: Index, pool: int) -> int:
    """Return how many more replicas of a pool its group holds; remembered until a node of the group changes."""
    group = pools.group[pool]
    if state.seen[pool] == state.version[group]:
        return state.room[pool]
    held = 0
    for node in range(groups.first_node[group], groups.first_node[group + 1]):
        held += fitting(pools, groups, state, index, pool, node)
    state.seen[pool] = state.version[group]
    state.room[pool] = held
    return held


@kernel
def free_device(pools: Pools, groups: Groups, state: State, index: Index, pool: int, node: int) -> int:
    """Return the first device of a node with room for a replica, counted within the node; NOWHERE without need."""
    if pools.eighths[pool] == 0:
        return NOWHERE
    group = pools.group[pool]
    first = index.first_device[group] + (node - groups.first_node[group]) * groups.devices[group]
    for device in range(groups.devices[group]):
        if state.eighths[first + device] >= pools.eighths[pool]:
            return device
    return NOWHERE


@kernel
def lay(pools: Pools, groups: Groups, state: State, index: Index, pool: int, node: int, device: int) -> None:
    """Put a replica on a node that has room for it."""
    if pools.store[pool] > 0 and not lies_on(state, pool, node):
        state.disk[node] -= pools.store[pool]
    _shift(pools, groups, state, index, pool, node, device, -1)
    state.counts[SPARE] -= 1
    cell = state.spare[state.counts[SPARE]]
    state.below[cell] = state.top[pool]
    state.node[cell] = node
    state.device[cell] = device
    state.top[pool] = cell
    state.replicas[pool] += 1
    state.money[COST] += pools.price[pool]
    if index.part[pool] > 0:
        state.money[HOLLOW] += pools.price[pool]


@kernel
def lift(pools: Pools, groups: Groups, state: State, index: Index, pool: int) -> tuple[int, int]:
    """Take the last replica of a pool off its node; return the node and the device."""
    cell = state.top[pool]
    node, device = state.node[cell], state.device[cell]
    state.top[pool] = state.below[cell]
    state.spare[state.counts[SPARE]] = cell
    state.counts[SPARE] += 1
    state.replicas[pool] -= 1
    state.money[COST] -= pools.price[pool]
    if index.part[pool] > 0:
        state.money[HOLLOW] -= pools.price[pool]
    _shift(pools, groups, state, index, pool, node, device, 1)
    if pools.store[pool] > 0 and not lies_on(state, pool, node):
        state.disk[node] += pools.store[pool]
    return node, device


@kernel
def _shift(
    pools: Pools, groups: Groups, state: State, index: Index, pool: int, node: int, device: int, sign: int
) -> None:
    group = pools.group[pool]
    state.version[group] += 1
    state.cpus[node] += sign * pools.cpus[pool]
    state.memory[node] += sign * pools.memory[pool]
    state.disk[node] += sign * pools.disk[pool]
    if device != NOWHERE:
        at = index.first_device[group] + (node - groups.first_node[group]) * groups.devices[group] + device
        state.eighths[at] += sign * pools.eighths[pool]


@kernel
def log(state: State, entry: int) -> None:
    """Write one entry of a record."""
    state.journal[state.counts[LOGGED]] = entry
    state.counts[LOGGED] += 1


@kernel
def open_one(pools: Pools, groups: Groups, state: State, index: Index, pool: int) -> bool:
    """Open a replica where it first fits; False when it fits nowhere."""
    group = pools.group[pool]
    if state.counts[SPARE] == 0 or room_for(pools, groups, state, index, pool) == 0:
        return False
    for node in range(groups.first_node[group], groups.first_node[group + 1]):
        if fitting(pools, groups, state, index, pool, node) > 0:
            lay(pools, groups, state, index, pool, node, free_device(pools, groups, state, index, pool, node))
            log(state, pool)
            log(state, OPENED)
            return True
    return False


@kernel
def close_one(pools: Pools, groups: Groups, state: State, index: Index, pool: int) -> None:
    """Close the replica that was opened last."""
    node, device = lift(pools, groups, state, index, pool)
    log(state, pool)
    log(state, node)
    log(state, device)
    log(state, CLOSED)
