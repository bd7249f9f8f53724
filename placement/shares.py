"""What each workload pays per hour of what all of them use: of each pool by its part of the load, and its own egress.

A pool that only stands by for failures is paid by those who would then use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from placement.candidates import PoolKey
from placement.cost import egress_per_hour, money
from placement.graph import Edge, exact
from placement.instance import Workload
from placement.routes import Route
from placement.solution import Choice, PoolLoad, Tally

Part = tuple[Choice, Iterable[tuple[Edge, Route]]]
"""One assignment with its flows."""

MICRO = 10**6
DOUBT = 1e-4
"""Micros by which a float may be wrong: whoever is closer to a half is rounded exactly. Sums are below 10**9 micros."""
MOST = 10**9


@dataclass(slots=True)
class Shares:
    """What a request per second costs at each pool, and who stands by for what.

    Args:
        total: what all workloads take.
    """

    total: Tally
    _exact: dict[PoolKey, Fraction] = field(default_factory=dict)
    _close: dict[PoolKey, float] = field(default_factory=dict)
    _idle: dict[str, Fraction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Divide the cost of each pool by what is wanted of it."""
        for key, entry in self.total.pools.items():
            if entry.wanted:
                self._exact[key] = _per_hour(entry) / entry.wanted
                self._close[key] = float(self._exact[key])
        for key, who in self.total.standby.items():
            entry = self.total.pools[key]
            for name, wanted in who.items() if not entry.wanted else ():
                part = _per_hour(entry) * wanted / sum(who.values())
                self._idle[name] = self._idle.get(name, Fraction(0)) + part

    def of(self, workload: Workload, parts: Iterable[Part]) -> float:
        """Return a workload's part of the cost per hour as the plan writes it: six decimals, half to even."""
        parts = [(choice, tuple(flows)) for choice, flows in parts]
        micros = self._closely(workload, parts) * MICRO
        rest = micros - floor(micros)
        if micros < MOST and abs(rest - 0.5) > DOUBT:
            return (floor(micros) + (rest > 0.5)) / MICRO
        return money(self._exactly(workload, parts))

    def _closely(self, workload: Workload, parts: Iterable[Part]) -> float:
        rate, load = float(workload.rate), float(workload.rate / workload.utilisation)
        cost = float(self._idle.get(workload.id, 0))
        for choice, flows in parts:
            part = float(choice.fraction)
            for share, key in _used(choice):
                cost += load * share * part * self._close[key]
            for edge, route in flows:
                if route.price:
                    cost += part * float(egress_per_hour(Fraction(1), edge.bytes, route.price)) * rate * edge.share
        return cost

    def _exactly(self, workload: Workload, parts: Iterable[Part]) -> Fraction:
        cost, rate = self._idle.get(workload.id, Fraction(0)), workload.rate
        for choice, flows in parts:
            for share, key in _used(choice):
                cost += rate * exact(share) * choice.fraction / workload.utilisation * self._exact[key]
            for edge, route in flows:
                cost += egress_per_hour(rate * edge.share * choice.fraction, edge.bytes, route.price)
        return cost


def _used(choice: Choice) -> Iterator[tuple[float, PoolKey]]:
    """Yield (share of requests, pool) of each stage that has one."""
    for stage in choice.graph.stages:
        pool = choice.options[stage.name].pool
        if pool is not None:
            yield stage.share, pool.key


def _per_hour(entry: PoolLoad) -> Fraction:
    return entry.replicas * entry.pool.per_hour
