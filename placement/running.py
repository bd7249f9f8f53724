"""The pools that have replicas, and which of them may take over a stage of whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from placement.candidates import Cohort, Option, Pool, PoolKey
from placement.pipeline import Stage
from sites.site import Site

Found = dict[str, tuple[Option, ...]]
"""Options by site, as far as anybody asked."""

NOWHERE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Running:
    """The running pools by what serves whom; every answer is remembered.

    Args:
        sites: of the fleet, by name.
    """

    pools: Mapping[PoolKey, Pool]
    sites: Mapping[str, Site]
    _at: dict[tuple[str, str], list[PoolKey]] = field(default_factory=dict)
    _models: dict[str, set[str]] = field(default_factory=dict)
    _soonest: dict[str, int] = field(default_factory=dict)
    _offering: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    _spare: dict[tuple[int, str], tuple[Cohort, Found]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the pools by model."""
        for key, pool in self.pools.items():
            self._at.setdefault((key.site, key.model), []).append(key)
            self._models.setdefault(key.model, set()).add(key.site)
            self._soonest[key.model] = min(pool.service_us, self._soonest.get(key.model, pool.service_us))

    def at(self, stage: Stage, site: str) -> bool:
        """Return whether some model of a stage runs at a site."""
        return any((site, model) in self._at for model in stage.models)

    def has_another(self, stage: Stage, site: str, pool: PoolKey | None) -> bool:
        """Return whether a model of a stage runs at a site, and not in one pool alone."""
        return any(key != pool for model in stage.models for key in self._at.get((site, model), ()))

    def soonest(self, stage: Stage) -> int:
        """Return a service time in microseconds that no running pool of a stage is below."""
        return min((self._soonest[model] for model in stage.models if model in self._soonest), default=0)

    def offering(self, stage: Stage, origin: Site) -> frozenset[str]:
        """Return the sites that serve others, where some model of a stage runs, and that wires join with an origin."""
        if origin.spec.connectivity.mode == "disconnected":
            return NOWHERE
        if stage.models not in self._offering:
            names = {name for model in stage.models for name in self._models.get(model, ())}
            self._offering[stage.models] = frozenset(name for name in names if _offers(self.sites[name]))
        return self._offering[stage.models]

    def spare(self, cohort: Cohort, stage: Stage, site: Site) -> tuple[Option, ...]:
        """Return the running pools that may take over a stage of a cohort at a site that serves others."""
        # The cohort is kept, so that its identity stays that of a living one.
        key = (id(cohort), stage.name)
        if (known := self._spare.get(key)) is None:
            known = self._spare[key] = cohort, {}
        found = known[1]
        if site.name not in found:
            found[site.name] = self.fit(cohort, stage, site, cohort.at(stage, site))
        return found[site.name]

    def fit(self, cohort: Cohort, stage: Stage, site: Site, options: Iterable[Option]) -> tuple[Option, ...]:
        """Return the options at a site whose pools run, if the stage may stand in there."""
        running = tuple([o for o in options if o.pool is not None and o.pool.key in self.pools])
        return running if running and cohort.stands_in(stage, site) else ()


def _offers(site: Site) -> bool:
    return site.spec.serves != "own" and site.spec.connectivity.mode != "disconnected"
