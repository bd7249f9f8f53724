"""What the oracle has chosen so far on one branch of its tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Option, PoolKey
from placement.domains import domain_of
from placement.network import Hop
from placement.pipeline import Apart
from sites.site import Site

Flow = tuple[float, float, tuple[Hop, ...], float]
"""Cost per hour, microseconds, hops, and bits per second on each of them."""

Step = tuple[float, float, dict[Hop, float]]
"""Cost per hour, microseconds at which a stage is done, and all bits per second of the branch with it."""


@dataclass(slots=True)
class Branch:
    """What is chosen so far."""

    options: dict[str, Option] = field(default_factory=dict)
    wanted: dict[PoolKey, Fraction] = field(default_factory=dict)
    stores: dict[PoolKey, dict[str, int]] = field(default_factory=dict)
    users: dict[PoolKey, tuple[str, ...]] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    hops: dict[Hop, float] = field(default_factory=dict)

    def is_near(self, stage: str, option: Option, rule: Apart, sites: Mapping[str, Site]) -> bool:
        """Return whether a stage would share a domain with one that a rule keeps it apart from."""
        if stage not in rule.stages:
            return False
        here, others = domain_of(sites[option.site], rule.by), (name for name in rule.stages if name in self.options)
        return any(domain_of(sites[self.options[name].site], rule.by) == here for name in others)
