"""Whether pools carry their load, nodes and devices hold their replicas, and links their traffic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from placement.catalogue import Variant
from placement.check.audit import Audit, exact
from placement.check.document import PoolEntry
from placement.check.load import Load, PoolKey
from placement.check.presence import near
from placement.check.result import Finding
from placement.check.snapshot import speed_on
from sites.data import Label
from sites.site import Hardware

LINK_SHARE = Fraction(7, 10)
"""How much of a link's bandwidth a plan may use, each direction."""

SLACK = 1 + Fraction(1, 10**9)
"""What solvers leave over; far below what nine significant digits can show."""


def pool_name(key: PoolKey) -> str:
    """Return a pool's name for people."""
    return "/".join(part for part in key if part)


def states(audit: Audit) -> Iterator[Finding]:
    """Yield every pool in which a stage that shares state meets another label or tenant."""
    users: dict[PoolKey, set[tuple[bool, str, Label]]] = defaultdict(set)
    for run in audit.runs:
        for name, entry in run.stages.items():
            stage = run.graph.stages.get(name)
            if stage and entry.pool:
                shared = stage.state == "shared"
                users[entry.pool].add((shared, run.pipeline.metadata.tenant, run.labels.of(name) if shared else ()))
    for key, kinds in sorted(users.items()):
        if len(kinds) > 1 and any(shared for shared, _, _ in kinds):
            yield Finding("plan/state", "", pool_name(key), "one label and tenant", f"{len(kinds)} kinds of use")


def pools(audit: Audit, load: Load) -> Iterator[Finding]:
    """Yield every pool that is missing, needless, there twice, overloaded, or whose numbers are wrong."""
    listed: dict[PoolKey, PoolEntry] = {}
    for pool in audit.document.pools:
        if pool.key in listed or pool.key not in load.served:
            yield Finding(
                "plan/pools", "", pool_name(pool.key), "one pool that a stage uses", "needless or listed twice"
            )
        listed[pool.key] = pool
    for key in sorted(load.served):
        if key not in listed:
            yield Finding("plan/pools", "", pool_name(key), "a pool", "absent")
        elif _throughput(audit, key) is not None:
            yield from _carries(audit, listed[key], load)


def throughputs(audit: Audit) -> dict[PoolKey, Fraction]:
    """Return the requests per second that each pool of the plan can serve."""
    return {pool.key: (_throughput(audit, pool.key) or Fraction(0)) * pool.replicas for pool in audit.document.pools}


def _throughput(audit: Audit, key: PoolKey) -> Fraction | None:
    site, model, variant, hardware, _ = key
    group, chosen = audit.snapshot.group(site, hardware), audit.snapshot.variant(model, variant)
    speed = speed_on(chosen, group) if group and chosen else None
    return speed.throughput if speed else None


def _carries(audit: Audit, pool: PoolEntry, load: Load) -> Iterator[Finding]:
    name, whole = pool_name(pool.key), (_throughput(audit, pool.key) or 0) * pool.replicas
    if load.reserved[pool.key] > whole * SLACK:
        asked = f"throughput of at least {float(load.reserved[pool.key]):.9g}/s"
        yield Finding("plan/load", "", name, asked, f"{float(whole):.9g}/s from {pool.replicas} replicas")
    served = load.served[pool.key]
    if not near(pool.load, float(served)):
        yield Finding("plan/load", "", name, f"load {float(served):.9g}", f"load {pool.load:.9g}")
    utilisation = float(served / whole) if whole else 0.0
    if not near(pool.utilisation, utilisation):
        yield Finding("plan/utilisation", "", name, f"{utilisation:.9g}", f"{pool.utilisation:.9g}")


def nodes(audit: Audit, load: Load) -> Iterator[Finding]:
    """Yield every node and device that is given more than it has, and every pool whose nodes do not add up."""
    taken: dict[tuple[str, str, str], dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    stored: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for pool in audit.document.pools:
        group, variant = (
            audit.snapshot.group(pool.site, pool.hardware),
            audit.snapshot.variant(pool.model, pool.variant),
        )
        if group is None or variant is None:
            continue
        yield from _adds_up(pool, group, variant)
        for node, entry in pool.nodes.items():
            here = (pool.site, pool.hardware, node)
            for resource, amount in _needs(variant).items():
                taken[here][resource] += amount * entry.replicas
            for device in entry.accelerators:
                taken[here][f"accelerator {device}"] += variant.needs.accelerator or 0
            stored[here] |= load.stores.get(pool.key, frozenset())
    for here, resources in sorted(taken.items()):
        resources["disk"] += sum(audit.snapshot.knowledge[name].spec.size for name in stored[here])
        group = audit.snapshot.group(here[0], here[1])
        yield from _fits(here, resources, group) if group else ()


def _needs(variant: Variant) -> dict[str, Fraction]:
    needs = variant.needs
    return {"cpus": exact(needs.cpus), "memory": Fraction(needs.memory), "disk": Fraction(needs.disk)}


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


def _fits(here: tuple[str, str, str], taken: dict[str, Fraction], group: Hardware) -> Iterator[Finding]:
    has: dict[str, int] = {"cpus": group.cpus, "memory": group.memory, "disk": group.disk}
    for device in range(group.accelerators.count if group.accelerators else 0):
        has[f"accelerator {device}"] = 8
    for resource, amount in sorted(taken.items()):
        if amount > has.get(resource, 0):
            subject = f"{here[0]}/{here[2]} {resource}"
            yield Finding("plan/capacity", "", subject, f"at most {has.get(resource, 0)}", f"{float(amount):.9g}")


def links(audit: Audit, load: Load) -> Iterator[Finding]:
    """Yield every hop that carries more than its share of the bandwidth in one direction."""
    for (a, b), bits in sorted(load.carried.items()):
        link = audit.snapshot.links.get(frozenset((a, b)))
        if link and bits > LINK_SHARE * link.bandwidth * SLACK:
            most = float(LINK_SHARE * link.bandwidth)
            yield Finding("plan/link-load", "", f"{a}>{b}", f"at most {most:.9g} bit/s", f"{float(bits):.9g} bit/s")
