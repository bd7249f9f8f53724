"""The fleet as the checker looks things up: nouns by name, hops by their ends, workloads by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

from placement.catalogue import Model, Speed, Variant
from placement.check.profiles import Profiles
from placement.errors import PlacementError
from placement.knowledge import Knowledge
from placement.pipeline import Pipeline, Stage
from sites.fleet import Fleet
from sites.noun import matches
from sites.policy import Pack, Policy
from sites.site import Hardware, Link, Site

ACCEPTED_TASKS = {"retrieve": ("retrieve", "embed")}
"""Model tasks that a stage's task accepts, where they are more than the task itself."""


@dataclass(frozen=True)
class Snapshot:
    """Everything the checker asks about a fleet; it reads manifests and decides nothing."""

    sites: Mapping[str, Site]
    pipelines: Mapping[str, Pipeline]
    models: Mapping[str, Model]
    knowledge: Mapping[str, Knowledge]
    policies: Mapping[str, Policy]
    packs: Mapping[str, Pack]
    digests: Mapping[str, str]

    @classmethod
    def of(cls, fleet: Fleet) -> Snapshot:
        """Return the snapshot of a fleet that was read with all five kinds."""
        return cls(
            {site.name: site for site in fleet.of(Site)},
            {pipeline.name: pipeline for pipeline in fleet.of(Pipeline)},
            {model.name: model for model in fleet.of(Model)},
            {knowledge.name: knowledge for knowledge in fleet.of(Knowledge)},
            {policy.metadata.tenant: policy for policy in fleet.of(Policy)},
            fleet.packs,
            fleet.digests,
        )

    def site(self, name: str) -> Site:
        """Return a site. Raises PlacementError when the fleet has none of that name."""
        if name not in self.sites:
            raise PlacementError(f"the plan names site {name!r}, which the fleet lacks", advice="plan again")
        return self.sites[name]

    @cached_property
    def links(self) -> Mapping[frozenset[str], Link]:
        """Every link by its two ends; one end suffices to declare it."""
        found: dict[frozenset[str], Link] = {}
        for name, site in sorted(self.sites.items()):
            for link in site.spec.connectivity.links:
                found.setdefault(frozenset((name, link.to)), link)
        return found

    def crossing(self, a: str, b: str) -> int:
        """Return the number of what a hop between two sites is to the law; -1 where no link is."""
        if (a, b) not in self._crossings:
            link = self.links.get(frozenset((a, b)))
            self._crossings[a, b] = -1 if link is None else self.profiles.crossing(a, b, link)
        return self._crossings[a, b]

    @cached_property
    def _crossings(self) -> dict[tuple[str, str], int]:
        return {}

    @cached_property
    def intermittent(self) -> frozenset[str]:
        """The sites that are connected now and then."""
        return frozenset(n for n, site in self.sites.items() if site.spec.connectivity.mode == "intermittent")

    @cached_property
    def price_scale(self) -> int:
        """The least number that makes every link's price per GB a whole one: whole numbers are added fast."""
        return lcm(*(link.price.amount.denominator for link in self.links.values()))

    @cached_property
    def wires(self) -> Mapping[str, tuple[tuple[str, int, int], ...]]:
        """From each site: the neighbour, the round trip in microseconds, and the price times `price_scale`."""
        found: dict[str, list[tuple[str, int, int]]] = {name: [] for name in self.sites}
        for ends, link in self.links.items():
            price = int(link.price.amount * self.price_scale)
            for name in ends:
                for other in ends - {name}:
                    found.setdefault(name, []).append((other, link.rtt, price))
        return {name: tuple(sorted(others)) for name, others in found.items()}

    @cached_property
    def neighbours(self) -> Mapping[str, tuple[str, ...]]:
        """The sites at the other ends of a site's links, sorted."""
        found: dict[str, set[str]] = {name: set() for name in self.sites}
        for ends in self.links:
            for name in ends:
                found.setdefault(name, set()).update(ends - {name})
        return {name: tuple(sorted(others)) for name, others in found.items()}

    @cached_property
    def origins(self) -> Mapping[str, tuple[str, ...]]:
        """The sites at which each pipeline's requests are born, sorted."""
        return {
            name: tuple(
                sorted(
                    site.name
                    for site in self.sites.values()
                    if matches(pipeline.spec.origins, site.metadata.labels)
                )
            )
            for name, pipeline in self.pipelines.items()
        }  # fmt: skip

    def workload(self, name: str) -> tuple[Pipeline, Site] | None:
        """Return the pipeline and the origin of a workload's id; None when the fleet asks for no such workload."""
        pipeline, _, origin = name.partition("@")
        if origin not in self._born.get(pipeline, ()):
            return None
        return self.pipelines[pipeline], self.sites[origin]

    @cached_property
    def _born(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(origins) for name, origins in self.origins.items()}

    @cached_property
    def profiles(self) -> Profiles:
        """Which sites and links no check can tell apart."""
        others = (self.pipelines, self.models, self.knowledge, self.policies, self.packs)
        return Profiles(self.sites, [noun for kind in others for noun in kind.values()])

    @cached_property
    def _groups(self) -> Mapping[tuple[str, str], Hardware]:
        return {(name, group.name): group for name, site in self.sites.items() for group in site.spec.hardware}

    @cached_property
    def _variants(self) -> Mapping[tuple[str, str], Variant]:
        return {(name, v.name): v for name, model in self.models.items() for v in model.spec.variants}

    def group(self, site: str, hardware: str) -> Hardware | None:
        """Return a hardware group of a site, or None."""
        return self._groups.get((site, hardware))

    def variant(self, model: str, variant: str) -> Variant | None:
        """Return a variant of a model, or None."""
        return self._variants.get((model, variant))

    def approved(self, stage: Stage) -> tuple[Model, ...]:
        """Return the acceptable models of a stage that somebody approved, or that claim it: both weigh on the label."""
        named = (self.models[name] for name in stage.models if name in self.models)
        return tuple(model for model in named if model.spec.state == "approved")

    def speed(self, site: str, hardware: str, model: str, variant: str) -> Speed | None:
        """Return the speed of a variant on a hardware group of a site; None when there is none."""
        group, chosen = self.group(site, hardware), self.variant(model, variant)
        if group is None or chosen is None:
            return None
        devices = group.accelerators
        key = (model, variant, group.arch, group.isa, devices.kind if devices else None)
        if key not in self._speeds:
            self._speeds[key] = speed_on(chosen, group)
        return self._speeds[key]

    @cached_property
    def _speeds(self) -> dict[tuple[object, ...], Speed | None]:
        return {}

    def unfit(self, stage: Stage, model: str, variant: str) -> str | None:
        """Return why a variant may not serve a stage (unapproved, wrong task, below the floor), or None."""
        found, chosen = self.models.get(model), self.variant(model, variant)
        if found is None or chosen is None or model not in stage.models:
            return f"{model}/{variant} is not among the stage's models"
        if found.spec.state != "approved":
            return f"{model} is {found.spec.state}, not approved"
        if found.spec.approval is None:
            return f"{model} is approved by nobody"
        if found.spec.task not in ACCEPTED_TASKS.get(stage.task, (stage.task,)):
            return f"{model} does {found.spec.task}, the stage asks for {stage.task}"
        for metric, floor in sorted(stage.quality.items()):
            value = chosen.quality.get(metric)
            if not isinstance(value, float | int) or value < floor:
                return f"{model}/{variant} has {metric} {value}, the stage asks for {floor}"
        return None


def rate_of(pipeline: Pipeline, origin: Site) -> Fraction:
    """Return a pipeline's requests per second at an origin; the first override that selects the origin counts."""
    for override in pipeline.spec.rates:
        if matches(override.sites, origin.metadata.labels):
            return override.rate
    return pipeline.spec.rate


def serves(site: Site, origin: Site) -> bool:
    """Return whether a site offers to serve an origin; itself it always serves."""
    if site.name == origin.name or site.spec.serves == "any":
        return True
    return isinstance(site.spec.serves, dict) and matches(site.spec.serves, origin.metadata.labels)


def speed_on(variant: Variant, group: Hardware) -> Speed | None:
    """Return the speed that applies on a hardware group: highest throughput, then least service time."""
    keys = {group.arch} | {f"{group.arch}-{isa}" for isa in group.isa}
    if group.accelerators:
        keys.add(group.accelerators.kind)
    fitting = [speed for speed in variant.speed if speed.hardware in keys]
    return min(fitting, key=lambda speed: (-speed.throughput, speed.service), default=None)
