"""Needs and capacities as whole numbers, needs rounded up and capacities down."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np

from placement.catalogue import Needs
from placement.graph import exact
from placement.latency import stage_us
from placement.search.layout import CPUS, LOAD, Groups
from placement.search.rows import array, firsts
from sites.site import Hardware, Site

POOL_FIELDS = (np.int32, np.int32, np.float64, *(np.int64,) * 7)
"""The types of a pool's columns: site, group, then those of `pool_row`, then its stores."""

PoolRow = tuple[float, int, int, int, int, int, int]


def pool_row(needs: Needs, service_us: int, throughput: Fraction, per_hour: Fraction) -> PoolRow:
    """Return price, throughput, service, cpus, memory, disk and eighths of one replica."""
    cpus = ceil(exact(needs.cpus) * CPUS)
    served = floor(throughput * LOAD)
    return float(per_hour), served, service_us, cpus, needs.memory, needs.disk, needs.accelerator or 0


def node_row(group: Hardware) -> tuple[int, int, int, int]:
    """Return cpus, memory, disk and devices of one node."""
    return group.cpus * CPUS, group.memory, group.disk, group.accelerators.count if group.accelerators else 0


def groups_of(sites: Sequence[Site]) -> tuple[Groups, tuple[tuple[str, str], ...]]:
    """Return the hardware groups of sites that are in the order of their names, and (site, hardware) of each."""
    found = [
        (index, site.name, group)
        for index, site in enumerate(sites)
        for group in sorted(site.spec.hardware, key=lambda group: group.name)
    ]
    rows = [node_row(group) for _, _, group in found]
    columns = [array([row[field] for row in rows], np.int64) for field in range(4)]
    groups = Groups(
        site=array([index for index, _, _ in found], np.int32),
        first_node=firsts([group.count for _, _, group in found], np.int32),
        cpus=columns[0],
        memory=columns[1],
        disk=columns[2],
        devices=columns[3].astype(np.int32),
    )
    return groups, tuple((name, group.name) for _, name, group in found)


def wanted_of(rate: Fraction, share: Fraction, utilisation: Fraction) -> int:
    """Return the units of load that a stage asks of a pool."""
    return ceil(rate * share / utilisation * LOAD)


def wait_of(utilisation: Fraction) -> float:
    """Return how many times its service a stage takes."""
    return float(stage_us(1, utilisation))
