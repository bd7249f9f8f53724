"""What the plan costs per hour, added up again: dominant shares, billed nodes, egress, and each workload's part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from placement.catalogue import Needs
from placement.check.audit import Audit, exact
from placement.check.document import Places
from placement.check.load import Demand, Load
from placement.check.presence import near
from placement.check.result import Finding
from placement.check.schema import PoolEntry, PoolKey
from sites.site import Hardware

MICRO = 1.01e-6
"""Money is rounded to six decimals."""


def dominant_share(needs: Needs, group: Hardware) -> Fraction:
    """Return the largest fraction of a node that one replica takes: cpus, memory, disk or devices."""
    devices = group.accelerators.count if group.accelerators else 0
    return _dominant(
        (needs.cpus, needs.memory, needs.disk, needs.accelerator or 0), (group.cpus, group.memory, group.disk, devices)
    )  # fmt: skip


@lru_cache(maxsize=65536)
def _dominant(needs: tuple[float, int, int, int], has: tuple[int, int, int, int]) -> Fraction:
    shares = [exact(needs[0]) / has[0], Fraction(needs[1], has[1]), Fraction(needs[2], has[2])]
    if needs[3] and has[3]:
        shares.append(Fraction(needs[3], 8 * has[3]))
    return max(shares)


class Asked(NamedTuple):
    """What a workload asks of pools, to be paid once all is known that is asked of them.

    Attributes:
        egress: what it pays per hour for what it sends over links.
        pools: the pools of its stages.
        wanted: requests per second over utilisation, of each of these.
    """

    egress: float
    pools: tuple[PoolKey, ...]
    wanted: tuple[float, ...]


class Prices:
    """What a request per second costs at a pool, and a gigabyte on a hop, by the hour; floats, as the plan's are.

    A workload pays for a pool by its part of what all of them want of it in normal running: requests over utilisation.
    Where all pipelines have one utilisation that is its part of the load, which the plan states, and which is checked.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._pools: dict[tuple[str, tuple[str, str, str, str]], tuple[PoolKey, float]] = {}
        self._hops: dict[tuple[str, str], float] = {}

    def paid(self, assignments: Iterable[tuple[Demand, Places]]) -> float:
        """Return what assignments cost per hour: their part of the load of their pools, and their own egress."""
        total = 0.0
        for demand, places in assignments:
            total += self._egress(demand, places)
            total += sum([share.pace * self._pool(places[place], share.pool)[1] for place, share in demand.shares])
        return total

    def asked(self, assignments: Iterable[tuple[Demand, Places]]) -> Asked:
        """Return what assignments ask for, and their own egress."""
        known = list(assignments)
        shares = [(places[place], share) for demand, places in known for place, share in demand.shares]
        return Asked(
            sum(self._egress(demand, places) for demand, places in known),
            tuple([self._pool(site, share.pool)[0] for site, share in shares]),
            tuple([share.wanted for _, share in shares]),
        )

    def _egress(self, demand: Demand, places: Places) -> float:
        total = 0.0
        for a, b, traffic in demand.hops:
            hop = (places[a], places[b])
            price = self._hops.get(hop)
            if price is None:
                link = self._audit.snapshot.links.get(frozenset(hop))
                price = self._hops[hop] = float(link.price.amount) if link else 0.0
            total += traffic.gigabytes * price
        return total

    def _pool(self, site: str, rest: tuple[str, str, str, str]) -> tuple[PoolKey, float]:
        """Return what names a pool, and what a request per second of its load costs."""
        known = self._pools.get((site, rest))
        if known is None:
            key = (site, *rest)
            pool = self._audit.pools.get(key)
            known = self._pools[site, rest] = (key, 0.0 if pool is None else _per(self._audit, pool, pool.load))
        return known


def shares_of(audit: Audit, wanted: Mapping[PoolKey, Fraction]) -> Mapping[PoolKey, float]:
    """Return what each pool costs per hour for each request per second over utilisation that is wanted of it."""
    return {pool.key: _per(audit, pool, float(wanted.get(pool.key, 0))) for pool in audit.document.pools}


def _per(audit: Audit, pool: PoolEntry, rate: float) -> float:
    price = pool_price(audit, pool)
    return 0.0 if price is None or rate <= 0 else float(price) / rate


def pool_price(audit: Audit, pool: PoolEntry) -> Fraction | None:
    """Return what a pool's replicas cost per hour; None when the fleet has no such group or variant."""
    group, variant = audit.snapshot.group(pool.site, pool.hardware), audit.snapshot.variant(pool.model, pool.variant)
    if group is None or variant is None:
        return None
    return pool.replicas * dominant_share(variant.needs, group) * group.price.amount


def egress_per_hour(audit: Audit, load: Load) -> Fraction:
    """Return what the flows that these hops carry pay in an hour."""
    total = Fraction(0)
    for hop, bits in load.carried.items():
        link = audit.snapshot.links.get(frozenset(hop))
        if link:
            total += bits * 3600 / (8 * 10**9) * link.price.amount
    return total


def costs(audit: Audit, load: Load) -> Iterator[Finding]:
    """Yield every sum of money in the plan that does not add up."""
    egress, shares = egress_per_hour(audit, load), Fraction(0)
    billed: dict[tuple[str, str], Fraction] = {}
    snapshot = audit.snapshot
    currencies = {group.price.currency for site in snapshot.sites.values() for group in site.spec.hardware}
    for pool in audit.document.pools:
        group, price = snapshot.group(pool.site, pool.hardware), pool_price(audit, pool)
        if group and price is not None:
            shares += price
            billed.update({(pool.site, node): group.price.amount for node in pool.nodes})
    stated = audit.document.cost
    sums = {
        "egressPerHour": (stated.egress_per_hour, egress),
        "perHour": (stated.per_hour, shares + egress),
        "billedPerHour": (stated.billed_per_hour, sum(billed.values(), Fraction(0)) + egress),
    }
    for name, (found, expected) in sums.items():
        if not near(found, float(expected), absolute=MICRO):
            yield Finding("plan/cost", "", name, f"{float(expected):.6f}", f"{found:.6f}")
    if currencies and {stated.currency} != currencies:
        yield Finding("plan/cost", "", "currency", " ".join(sorted(currencies)), stated.currency)
    yield from _bound(audit)


def _bound(audit: Audit) -> Iterator[Finding]:
    """Yield a bound above the cost, a gap that is not cost over bound, or no word on which sets it is over.

    The bound itself is the planner's word.
    """
    cost = audit.document.cost
    bound, gap = cost.lower_bound_per_hour, cost.gap
    if cost.gap_over not in ("all", "set"):
        yield Finding("plan/bound", "", "gapOver", "all or set", str(cost.gap_over))
    if bound is None:
        yield Finding("plan/bound", "", "lowerBoundPerHour", "a bound", "none")
    elif not 0 <= bound <= cost.per_hour + max(MICRO, 1e-6 * cost.per_hour):
        yield Finding("plan/bound", "", "lowerBoundPerHour", f"0 to {cost.per_hour}", str(bound))
    elif bound == 0:
        if gap is not None and not (gap == 0 and cost.per_hour <= MICRO):
            yield Finding("plan/bound", "", "gap", "none over a bound of nothing", f"{gap:.6f}")
    elif gap is None or abs(gap - (cost.per_hour / bound - 1)) > 2 * MICRO / bound + 1e-6:
        yield Finding("plan/bound", "", "gap", f"{cost.per_hour / bound - 1:.6f}", str(gap))
