"""Among plans of equal goals the one with the lighter variants: less dominant share, then fewer bytes, then by name.

No weight enters a solver for it. Whole pools change their variant or hardware after the fact, at the same site, where
every goal stays what it is in exact arithmetic and everything still fits; sites, routes and domains do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from placement.candidates import Option, Pool, PoolKey
from placement.capacity import Place
from placement.cost import dominant_share
from placement.exact.faults import packed, too_slow
from placement.exact.model import Current
from placement.instance import Instance
from placement.solution import Choice, Failure, PoolLoad, Tally, tally

Packing = dict[PoolKey, tuple[Place, ...]]


@dataclass(slots=True)
class Lightening:
    """A solution of one component, made lighter pool by pool; `moves` of it are never more than they were."""

    instance: Instance
    choices: dict[str, Choice]
    failures: tuple[Failure, ...]
    packing: Packing
    current: Current = field(default_factory=dict)
    _total: Tally = field(init=False)

    def lighten(self) -> None:
        """Change every pool that can be lighter for another; each change is lighter, so that this ends."""
        self._total = tally(self.instance, self.choices, self.failures)
        changed = True
        while changed:
            pairs = ((key, other) for key in sorted(self._total.pools) for other in self._others(key))
            changed = any(self._exchange(key, other) for key, other in pairs)

    def _uses(self, key: PoolKey) -> Iterator[Mapping[PoolKey, Option]]:
        """Yield the options, by pool, of each stage that uses a pool, in normal running or after a loss."""
        for index, view in enumerate((self.choices, *(failure.choices for failure in self.failures))):
            for name, choice in view.items():
                workload = self.instance.workloads[name]
                given = workload.refuges or workload.options if index else workload.options
                for part in choice.parts:
                    for stage, option in part.options.items():
                        if option.pool is not None and option.pool.key == key:
                            yield {other.pool.key: other for other in given[stage] if other.pool is not None}

    def _others(self, key: PoolKey) -> list[Pool]:
        """Return the pools at the same site that every use of one could have instead, the lightest first."""
        found: dict[PoolKey, Pool] | None = None
        for options in self._uses(key):
            here = {k: o.pool for k, o in options.items() if k.site == key.site and k != key and o.pool is not None}
            found = here if found is None else {k: pool for k, pool in found.items() if k in here}
            if not found:
                return []
        own = self._total.pools[key]
        cheap = (pool for pool in (found or {}).values() if pool.per_hour <= own.replicas * own.pool.per_hour)
        return sorted(cheap, key=lambda pool: (dominant_share(pool.needs, pool.group), pool.key))

    def _exchange(self, key: PoolKey, other: Pool) -> bool:
        """Change one pool for another, and return True, where that is lighter and nothing is worse."""
        if not self.failures and not self._may_pay(self._total.pools[key], other):
            return False
        choices = {name: self._with(name, choice, key, other) for name, choice in self.choices.items()}
        failures = tuple(
            replace(each, choices={name: self._with(name, c, key, other) for name, c in each.choices.items()})
            for each in self.failures
        )
        total = tally(self.instance, choices, failures)
        if total.per_hour > self._total.per_hour or _weight(total) >= _weight(self._total):
            return False
        if self._moves(choices) > self._moves(self.choices) or any(too_slow(self.instance, choices, failures)):
            return False
        packing = packed(total, {})
        if packing is None:
            return False
        self.choices, self.failures, self.packing, self._total = choices, failures, packing, total
        return True

    def _may_pay(self, own: PoolLoad, other: Pool) -> bool:
        """Return whether a pool costs and weighs no more as another: what both take tells, before all is added up."""
        there = self._total.pools.get(other.key, PoolLoad(other))
        both = PoolLoad(other, wanted=own.wanted + there.wanted)
        more = both.replicas - there.replicas
        if more * other.per_hour > own.replicas * own.pool.per_hour:
            return False
        before, after = _weight_of(own.pool), _weight_of(other)
        return (more * after[0], more * after[1]) <= (own.replicas * before[0], own.replicas * before[1])

    def _with(self, name: str, choice: Choice, key: PoolKey, other: Pool) -> Choice:
        """Return a choice that uses another pool instead of one."""
        if not any(o.pool is not None and o.pool.key == key for part in choice.parts for o in part.options.values()):
            return choice
        workload = self.instance.workloads[name]
        given = workload.refuges or workload.options

        def changed(stage: str, option: Option) -> Option:
            if option.pool is None or option.pool.key != key:
                return option
            return next(o for o in given[stage] if o.pool is not None and o.pool.key == other.key)

        parts = [replace(p, options={s: changed(s, o) for s, o in p.options.items()}, beside=()) for p in choice.parts]
        return replace(parts[0], beside=tuple(parts[1:]))

    def _moves(self, choices: Mapping[str, Choice]) -> int:
        return sum(
            any(part.options[stage].key[:4] not in here for part in choices[name].parts if stage in part.options)
            for name, stages in self.current.items()
            if name in choices
            for stage, here in stages.items()
        )


def _weight(total: Tally) -> tuple[Fraction, int, list[PoolKey]]:
    """Return what replicas take of their nodes, their bytes of memory and disk, and their names."""
    share, size = Fraction(0), 0
    for entry in total.pools.values():
        one = _weight_of(entry.pool)
        share, size = share + entry.replicas * one[0], size + entry.replicas * one[1]
    return share, size, sorted(total.pools)


def _weight_of(pool: Pool) -> tuple[Fraction, int]:
    """Return what a replica takes of its node, and its bytes of memory and disk."""
    return dominant_share(pool.needs, pool.group), pool.needs.memory + pool.needs.disk
