"""Pools that a stage could be served by at a site: every approved variant that is good, fast and small enough.

Machines that are alike are looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from placement.catalogue import Model, Needs, Variant
from placement.cost import replica_per_hour
from placement.hardware import shortages, speed_on
from placement.pipeline import Stage
from placement.problem import Problem
from sites.site import Hardware, Site


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Why a place is out.

    Attributes:
        rule: `residency:layer/rule`, `hardware:…`, `quality:…`, `approval:…`, `knowledge:…`, `serves:…`, `link:…`,
            `pin:…`, `taint:…`, `apart:…`, `spread:…`.
        text: the same in a sentence, with numbers.
    """

    rule: str
    text: str


@dataclass(frozen=True, slots=True, order=True)
class PoolKey:
    """What tells pools apart; `partition` is empty unless a stage shares state (one pool per label and tenant)."""

    site: str
    model: str
    variant: str
    hardware: str
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas of one variant on one hardware group of one site.

    Attributes:
        service_us: time of one request, alone.
        throughput: requests per second of one replica.
        per_hour: cost of one replica.
        needs: what a replica takes from one node.
        group: the node it takes it from.
    """

    key: PoolKey
    service_us: int
    throughput: Fraction
    per_hour: Fraction
    needs: Needs = field(repr=False)
    group: Hardware = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Made:
    """A pool without its site."""

    model: str
    variant: str
    service_us: int
    throughput: Fraction
    per_hour: Fraction
    needs: Needs
    group: Hardware

    def at(self, site: str, partition: str) -> Pool:
        """Return the pool at a site."""
        key = PoolKey(site, self.model, self.variant, self.group.name, partition)
        return Pool(key, self.service_us, self.throughput, self.per_hour, self.needs, self.group)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What serves a stage on some machines, and what is against the rest."""

    made: tuple[_Made, ...]
    against: tuple[Refusal, ...]

    def at(self, site: str, partition: str = "") -> tuple[Pool, ...]:
        """Return the pools at a site that has these machines."""
        return tuple([made.at(site, partition) for made in self.made])


Asked = tuple[tuple[str, ...], tuple[tuple[str, float], ...], str | None]
"""What a stage asks of a pool: its models, its floors of quality, the knowledge that lies beside it."""


@dataclass(slots=True)
class Fittings:
    """The fittings of a problem, remembered by what is asked and by machines."""

    problem: Problem
    _known: dict[tuple[Asked, object], Fitting] = field(default_factory=dict)
    _machines: dict[str, object] = field(default_factory=dict)
    _ids: dict[tuple[Hardware, ...], int] = field(default_factory=dict)

    def at_other_sites(self, problem: Problem) -> Fittings:
        """Return the fittings of a problem with the same models and knowledge: of machines alike the same is known."""
        return Fittings(problem, self._known, {}, self._ids)

    def of(self, stage: Stage, site: Site) -> Fitting:
        """Return what serves a stage at a site."""
        key = (_asked(stage), self._of_machines(site))
        if key not in self._known:
            self._known[key] = self._tried(stage, site)
        return self._known[key]

    def _of_machines(self, site: Site) -> object:
        """Return what a site's machines are told apart by; a site without any is named in what refuses it."""
        if site.name not in self._machines:
            hardware = site.spec.hardware
            known = self._ids.setdefault(hardware, len(self._ids)) if hardware else site.name
            self._machines[site.name] = known
        return self._machines[site.name]

    def _tried(self, stage: Stage, site: Site) -> Fitting:
        stored = 0 if stage.knowledge is None else self.problem.stores[stage.knowledge].spec.size
        made: list[_Made] = []
        against: list[Refusal] = []
        for model in (self.problem.models[name] for name in stage.models):
            if model.spec.state != "approved":
                against.append(Refusal(f"approval:{model.name}", f"{model.name} is {model.spec.state}"))
                continue
            for variant in model.spec.variants:
                _try_variant(stage, model, variant, site, stored, made, against)
        return Fitting(tuple(made), tuple(sorted(set(against))))


def _asked(stage: Stage) -> Asked:
    return stage.models, tuple(stage.quality.items()), stage.knowledge


def _try_variant(
    stage: Stage, model: Model, variant: Variant, site: Site, stored: int, made: list[_Made], against: list[Refusal]
) -> None:
    name = f"{model.name}/{variant.name}"
    low = list(_too_low(stage, variant, name))
    against += low
    if not site.spec.hardware:
        against.append(Refusal("hardware:none", f"{site.name} has no hardware"))
    for group in site.spec.hardware:
        speed = speed_on(variant, group)
        short = list(_short(variant, group, stored, name))
        if speed is None:
            short.append(Refusal("hardware:speed", f"{name} has no speed for {group.name}"))
        against += short
        if speed is not None and not short and not low:
            cost = replica_per_hour(variant.needs, group)
            made.append(_Made(model.name, variant.name, speed.service, speed.throughput, cost, variant.needs, group))


def _short(variant: Variant, group: Hardware, stored: int, name: str) -> Iterable[Refusal]:
    return (Refusal(f"hardware:{what}", f"{name} {why}") for what, why in shortages(variant.needs, group, stored))


def _too_low(stage: Stage, variant: Variant, name: str) -> Iterator[Refusal]:
    for metric, floor in stage.quality.items():
        has = variant.quality.get(metric)
        if not isinstance(has, (int, float)):
            yield Refusal(f"quality:{metric}", f"{name} has no {metric}; the stage asks for {floor:g}")
        elif has < floor:
            yield Refusal(f"quality:{metric}", f"{name} has {metric} {has:g}; the stage asks for {floor:g}")
