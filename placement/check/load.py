"""What a set of runs asks of pools and links, recomputed with exact fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from placement.check.audit import Run, exact

PoolKey = tuple[str, str, str, str, str]
"""Site, model, variant, hardware, partition."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests and bits per second.

    Attributes:
        served: requests per second of each pool.
        reserved: the same, each workload's divided by its own utilisation.
        stores: the Knowledge that each pool's replicas retrieve from.
        carried: bits per second of each hop and direction.
    """

    served: Mapping[PoolKey, Fraction]
    reserved: Mapping[PoolKey, Fraction]
    stores: Mapping[PoolKey, frozenset[str]]
    carried: Mapping[tuple[str, str], Fraction]


def load_of(runs: Iterable[Run]) -> Load:
    """Return what these runs ask for, all together."""
    served: dict[PoolKey, Fraction] = defaultdict(Fraction)
    reserved: dict[PoolKey, Fraction] = defaultdict(Fraction)
    stores: dict[PoolKey, set[str]] = defaultdict(set)
    carried: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for run in runs:
        for key, rate, store in _pool_rates(run):
            served[key] += rate
            reserved[key] += rate / exact(run.pipeline.spec.utilisation)
            stores[key].update({store} if store else ())
        for flow, entry in run.flows.items():
            if flow in run.graph.flows:
                for hop in pairwise(entry.route):
                    carried[hop] += run.flow_rate(flow) * run.flow_bytes(flow) * 8
    return Load(served, reserved, {key: frozenset(names) for key, names in stores.items()}, carried)


def _pool_rates(run: Run) -> Iterator[tuple[PoolKey, Fraction, str | None]]:
    for name, entry in run.stages.items():
        stage = run.graph.stages.get(name)
        if stage and entry.pool:
            yield entry.pool, run.rate * exact(stage.share), stage.knowledge
