"""Whether pools carry their load, nodes and devices hold their replicas, and links their traffic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from placement.catalogue import Variant
from placement.check.audit import Audit, exact
from placement.check.load import Load
from placement.check.presence import near
from placement.check.result import Finding
from placement.check.schema import PoolEntry, PoolKey
from sites.site import Hardware

LINK_SHARE = Fraction(7, 10)
"""How much of a link's bandwidth a plan may use, each direction."""

SLACK = 1 + Fraction(1, 10**9)
"""What solvers leave over; far below what nine significant digits can show."""


def pool_name(key: PoolKey) -> str:
    """Return a pool's name for people."""
    return "/".join(part for part in key if part)


def states(load: Load) -> Iterator[Finding]:
    """Yield every pool in which a stage that shares state meets another label or tenant."""
    for key, kinds in sorted(load.uses.items()):
        if len(kinds) > 1 and any(shared for shared, _, _ in kinds):
            yield Finding("plan/state", "", pool_name(key), "one label and tenant", f"{len(kinds)} kinds of use")


def pools(audit: Audit, load: Load, reserved: Mapping[PoolKey, Fraction]) -> Iterator[Finding]:
    """Yield every pool that is missing, needless, there twice, overloaded, or whose numbers are wrong.

    Args:
        load: of normal running.
        reserved: what pools are asked for in failures.
    """
    for pool in audit.document.pools:
        if audit.pools[pool.key] is not pool or (pool.key not in load.served and pool.key not in reserved):
            found = "needless or listed twice"
            yield Finding("plan/pools", "", pool_name(pool.key), "one pool that a stage uses", found)
        elif throughput(audit, pool.key) is not None:
            yield from _carries(audit, pool, load)
    for key in sorted((load.served.keys() | reserved.keys()) - audit.pools.keys()):
        yield Finding("plan/pools", "", pool_name(key), "a pool", "absent")


def throughput(audit: Audit, key: PoolKey) -> Fraction | None:
    """Return the requests per second of one replica of a pool; None when it has no speed there."""
    site, model, variant, hardware, _ = key
    speed = audit.snapshot.speed(site, hardware, model, variant)
    return speed.throughput if speed else None


def _carries(audit: Audit, pool: PoolEntry, load: Load) -> Iterator[Finding]:
    name, whole = pool_name(pool.key), (throughput(audit, pool.key) or Fraction(0)) * pool.replicas
    asked, served = load.reserved.get(pool.key, Fraction(0)), load.served.get(pool.key, Fraction(0))
    if asked > whole * SLACK:
        expected = f"throughput of at least {float(asked):.9g}/s"
        yield Finding("plan/load", "", name, expected, f"{float(whole):.9g}/s from {pool.replicas} replicas")
    if not near(pool.load, float(served)):
        yield Finding("plan/load", "", name, f"load {float(served):.9g}", f"load {pool.load:.9g}")
    utilisation = float(served / whole) if whole else 0.0
    if not near(pool.utilisation, utilisation):
        yield Finding("plan/utilisation", "", name, f"{utilisation:.9g}", f"{pool.utilisation:.9g}")


def nodes(audit: Audit, stores: Mapping[PoolKey, Collection[str]]) -> Iterator[Finding]:
    """Yield every node and device that is given more than it has, and every pool whose nodes do not add up.

    Args:
        stores: the Knowledge that each pool's replicas retrieve from, in normal running and in failures.
    """
    guests: dict[tuple[str, str, str], list[tuple[PoolEntry, Variant]]] = defaultdict(list)
    for pool in audit.document.pools:
        group, variant = (
            audit.snapshot.group(pool.site, pool.hardware),
            audit.snapshot.variant(pool.model, pool.variant),
        )
        if group is None or variant is None:
            continue
        yield from _adds_up(pool, group, variant)
        for node in pool.nodes:
            guests[pool.site, pool.hardware, node].append((pool, variant))
    for (site, hardware, node), here in sorted(guests.items(), key=lambda item: item[0]):
        group = audit.snapshot.group(site, hardware)
        kept = {name for pool, _ in here for name in stores.get(pool.key, ())}
        disk = sum(audit.snapshot.knowledge[name].spec.size for name in kept)
        yield from _fits(f"{site}/{node}", _taken(here, node, disk), group) if group else ()


def _taken(guests: list[tuple[PoolEntry, Variant]], node: str, disk: int) -> dict[str, Fraction | int]:
    """Return what the replicas on one node take of it; `disk` is what their Knowledge takes."""
    taken: dict[str, Fraction | int] = {"cpus": 0, "memory": 0, "disk": disk}
    for pool, variant in guests:
        needs, entry = variant.needs, pool.nodes[node]
        taken["cpus"] += _exactly(needs.cpus) * entry.replicas
        taken["memory"] += needs.memory * entry.replicas
        taken["disk"] += needs.disk * entry.replicas
        for device in entry.accelerators:
            taken[f"accelerator {device}"] = taken.get(f"accelerator {device}", 0) + (needs.accelerator or 0)
    return taken


_exactly = lru_cache(maxsize=4096)(exact)


def _adds_up(pool: PoolEntry, group: Hardware, variant: Variant) -> Iterator[Finding]:
    name = pool_name(pool.key)
    if sum(node.replicas for node in pool.nodes.values()) != pool.replicas or pool.replicas < 1:
        yield Finding("plan/nodes", "", name, f"{pool.replicas} replicas over its nodes", str(pool.nodes))
    known = {f"{group.name}-{index}" for index in range(group.count)}
    for node, entry in pool.nodes.items():
        if node not in known:
            yield Finding("plan/nodes", "", name, f"{group.name}-0 to {group.name}-{group.count - 1}", node)
        devices = entry.replicas if variant.needs.accelerator else 0
        if len(entry.accelerators) != devices or entry.replicas < 1:
            yield Finding("plan/nodes", "", name, f"{devices} devices at {node}", str(list(entry.accelerators)))


def _fits(where: str, taken: Mapping[str, Fraction | int], group: Hardware) -> Iterator[Finding]:
    has: dict[str, int] = {"cpus": group.cpus, "memory": group.memory, "disk": group.disk}
    for device in range(group.accelerators.count if group.accelerators else 0):
        has[f"accelerator {device}"] = 8
    for resource, amount in sorted(taken.items()):
        if amount > has.get(resource, 0):
            found = f"{float(amount):.9g}"
            yield Finding("plan/capacity", "", f"{where} {resource}", f"at most {has.get(resource, 0)}", found)


def links(audit: Audit, carried: Mapping[tuple[str, str], Fraction]) -> Iterator[Finding]:
    """Yield every hop that carries more than its share of the bandwidth in one direction."""
    for (a, b), bits in sorted(carried.items()):
        link = audit.snapshot.links.get(frozenset((a, b)))
        if link and bits > LINK_SHARE * link.bandwidth * SLACK:
            most = float(LINK_SHARE * link.bandwidth)
            yield Finding("plan/link-load", "", f"{a}>{b}", f"at most {most:.9g} bit/s", f"{float(bits):.9g} bit/s")
