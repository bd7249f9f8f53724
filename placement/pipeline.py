"""A pipeline: a graph of stages that every origin runs, with its rate, latency and data."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt

from sites.country import CountryCode
from sites.data import DataClass, Identifiability, Purpose
from sites.noun import AsTuple, Called, Metadata, Name, Names, Noun, OneOrMany, Person, Selector, Strings, matches
from sites.quantity import Bytes, Microseconds, PerSecond
from sites.site import Basis, Site

BUILT_IN_TASKS = ("quote", "queue")
"""Tasks that need no model: no pool, no time, no cost."""

Domain = Literal["site", "country", "operator"]
"""What a failure, a government or a company takes away at once; the operator is the party's name."""

Task = Literal["classify", "embed", "retrieve", "generate", "quote", "queue", "transform"]


def _priority(weight: float) -> float:
    if not 0 < weight <= 1_000_000 or Fraction(str(weight)) * 1000 % 1:
        raise ValueError(f"expected a priority of 0.001 to 1000000 in steps of 0.001, found {weight:g}")
    return weight


Priority = Annotated[PositiveInt | PositiveFloat, AfterValidator(_priority)]
"""A weight. Weights are compared exactly, so they are no finer and no further apart than sums of them can tell."""


def _pin(value: object) -> object:
    labels = isinstance(value, dict) and all(isinstance(said, str) for said in value.values())
    if value is not None and not labels and (not isinstance(value, (list, tuple)) or not value):
        raise ValueError(f"expected labels such as {{role: clinic}} or a list of sites such as [lyon], found {value!r}")
    return tuple(value) if isinstance(value, list) else value


Pin = Annotated[Selector | tuple[Name, ...] | None, BeforeValidator(_pin)]
"""Sites that a selector selects, or that are named."""


class Input(Noun):
    """What enters the pipeline at its origin; `size` in bytes. Omitted facts are unknown."""

    data: Annotated[tuple[DataClass, ...], OneOrMany] = ()
    subjects: Strings = ()
    identifiability: Identifiability | None = None
    purposes: Annotated[tuple[Purpose, ...] | None, AsTuple] = None
    law: Annotated[tuple[CountryCode, ...], AsTuple] = ()
    key_ref: Called | None = None
    regimes: Strings = ()
    size: Bytes


class Stage(Noun):
    """One step: it receives exactly what `after` names and sends `output` bytes on.

    A stage without `models` is built in. `share` is the fraction of requests that reach it. `sites` pins it to the
    sites that a selector selects or that are named; None pins nothing. `retain` is how long its copies stay, queued
    ones included, in microseconds; `parameters` are what it runs with.
    """

    name: Name
    task: Task
    models: Names = ()
    parameters: dict[str, str | int | bool] = {}
    quality: dict[str, float] = {}
    knowledge: Name | None = None
    after: Names = ("input",)
    output: Bytes
    fallback: Names = ()
    purpose: Purpose | None = None
    owner: Person | None = None
    retain: Microseconds | None = None
    is_async: bool = Field(default=False, alias="async")
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    state: Literal["none", "shared"] = "none"
    answer: bool = True
    sites: Pin = None


class OriginRate(Noun):
    """A rate that replaces the pipeline's own at the origins that `sites` selects."""

    sites: Selector
    rate: PerSecond


class Apart(Noun):
    """Two stages or fallbacks of one workload that, when both run, share no site, country or operator."""

    stages: Annotated[tuple[Name, ...], Field(min_length=2, max_length=2), AsTuple]
    by: Domain


class Spread(Noun):
    """No domain serves more than the fraction `most` of the pipeline's declared rate, over all origins, at a stage."""

    stage: Name
    by: Domain
    most: Annotated[float, Field(gt=0, le=1)]


class PipelineSpec(Noun):
    """The whole of a pipeline; `rate` per second and origin, `latency` in microseconds (None: no limit).

    `tolerates` names the taints of sites at which it may run all the same.
    """

    origins: Selector
    priority: Priority = 1
    rate: PerSecond
    rates: Annotated[tuple[OriginRate, ...], AsTuple] = ()
    latency: Microseconds | None = None
    utilisation: Annotated[float, Field(gt=0, lt=1)] = 0.7
    survive: Literal[0, 1] = 0
    split: bool = False
    tolerates: Names = ()
    apart: Annotated[tuple[Apart, ...], AsTuple] = ()
    spread: Annotated[tuple[Spread, ...], AsTuple] = ()
    input: Input
    stages: Annotated[tuple[Stage, ...], Field(min_length=1), AsTuple]
    fallbacks: Annotated[tuple[Stage, ...], AsTuple] = ()
    basis: Basis | None = None


class Pipeline(Noun):
    """A manifest of kind Pipeline."""

    metadata: Metadata
    spec: PipelineSpec

    @property
    def name(self) -> str:
        """Return the pipeline's name."""
        return self.metadata.name

    def rate_at(self, origin: Site) -> Fraction:
        """Return requests per second at an origin: the first of `rates` that selects it, else the pipeline's own."""
        for own in self.spec.rates:
            if matches(own.sites, origin.metadata.labels):
                return own.rate
        return self.spec.rate
