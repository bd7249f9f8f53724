"""What assignments ask of pools and links: counted by class and place, and summed with exact fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from placement.check.document import Places
from placement.check.schema import PoolKey
from sites.data import Label

Use = tuple[bool, str, Label]
"""How a pool is used: whether state is shared, by which tenant, for which label if it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one stage of an assignment asks of its pool.

    Attributes:
        pool: model, variant, hardware, partition.
        rate: requests per second.
        reserved: the same, divided by the workload's own utilisation.
        store: the Knowledge that it retrieves from.
    """

    pool: tuple[str, str, str, str]
    rate: Fraction
    reserved: Fraction
    store: str | None
    use: Use
    pace: float
    """The rate, for money."""
    wanted: float
    """What is reserved, for money."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What one flow sends over each hop of its route: bits per second, and gigabytes per hour, for money."""

    bits: Fraction
    gigabytes: float


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """What one stage under a spread rule serves: requests per second of its pipeline, whatever reaches the stage."""

    pipeline: str
    stage: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Demand:
    """All that an assignment asks for, with numbers of places where it has sites."""

    shares: tuple[tuple[int, Share], ...] = ()
    hops: tuple[tuple[int, int, Traffic], ...] = ()
    portions: tuple[tuple[int, Portion], ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """How often each share, traffic and portion was met, by site or hop."""

    pools: dict[tuple[str, Share], int] = field(default_factory=dict)
    hops: dict[tuple[str, str, Traffic], int] = field(default_factory=dict)
    domains: dict[tuple[str, Portion], int] = field(default_factory=dict)

    def add(self, demand: Demand, places: Places, times: int = 1) -> None:
        """Count what an assignment at these places asks for; `times` -1 takes it away again."""
        for place, share in demand.shares:
            key = (places[place], share)
            self.pools[key] = self.pools.get(key, 0) + times
        for a, b, traffic in demand.hops:
            hop = (places[a], places[b], traffic)
            self.hops[hop] = self.hops.get(hop, 0) + times
        for place, portion in demand.portions:
            domain = (places[place], portion)
            self.domains[domain] = self.domains.get(domain, 0) + times

    def load(self) -> Load:
        """Return the sums; added up as whole numbers of a unit that divides all of them."""
        load = Load()
        shares = {share for _, share in self.pools}
        unit = lcm(*(rate.denominator for share in shares for rate in (share.rate, share.reserved)))
        whole = {share: (int(share.rate * unit), int(share.reserved * unit)) for share in shares}
        served: dict[PoolKey, int] = defaultdict(int)
        reserved: dict[PoolKey, int] = defaultdict(int)
        for (site, share), count in self.pools.items():
            key = (site, *share.pool)
            served[key] += count * whole[share][0]
            reserved[key] += count * whole[share][1]
            load.uses[key].add(share.use)
            if share.store is not None:
                load.stores[key].add(share.store)
        load.served.update((key, Fraction(sum_, unit)) for key, sum_ in served.items())
        load.reserved.update((key, Fraction(sum_, unit)) for key, sum_ in reserved.items())
        load.carried.update(self._carried())
        return load

    def _carried(self) -> dict[tuple[str, str], Fraction]:
        flows = {traffic for _, _, traffic in self.hops}
        unit = lcm(*(traffic.bits.denominator for traffic in flows))
        whole = {traffic: int(traffic.bits * unit) for traffic in flows}
        carried: dict[tuple[str, str], int] = defaultdict(int)
        for (a, b, traffic), count in self.hops.items():
            carried[a, b] += count * whole[traffic]
        return {hop: Fraction(bits, unit) for hop, bits in carried.items()}


@dataclass(frozen=True, slots=True)
class Load:
    """Requests and bits per second.

    Attributes:
        served: requests per second of each pool.
        reserved: the same, each workload's divided by its own utilisation.
        stores: the Knowledge that each pool's replicas retrieve from.
        uses: how each pool is used.
        carried: bits per second of each hop and direction.
    """

    served: dict[PoolKey, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    reserved: dict[PoolKey, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    stores: dict[PoolKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    uses: dict[PoolKey, set[Use]] = field(default_factory=lambda: defaultdict(set))
    carried: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))


def stores_of(situations: Iterable[Mapping[PoolKey, set[str]]]) -> Mapping[PoolKey, set[str]]:
    """Return the Knowledge beside each pool's replicas in any of several situations."""
    found: dict[PoolKey, set[str]] = defaultdict(set)
    for stores in situations:
        for key, names in stores.items():
            found[key] |= names
    return found
