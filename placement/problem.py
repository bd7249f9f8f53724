"""The snapshot that is planned: every noun of a fleet, typed, frozen, and known to fit together.

`read_problem` is the only door from a directory; past it no name is unknown, no pipeline has a cycle, and every price
is in one currency.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from placement.catalogue import Model
from placement.knowledge import Knowledge
from placement.network import Network
from placement.pipeline import Pipeline
from placement.references import check_references
from sites.fleet import KINDS as SITE_KINDS
from sites.fleet import Fleet, read_fleet
from sites.noun import Noun, matches
from sites.policy import Pack, Policy
from sites.question import Window
from sites.site import Site

KINDS: dict[str, type[Noun]] = {**SITE_KINDS, "Pipeline": Pipeline, "Model": Model, "Knowledge": Knowledge}
"""Every kind of manifest that a fleet may hold."""

DEFAULT_DAYS = 90
"""How long a plan holds when nobody says until when."""

N = TypeVar("N", Site, Pipeline, Model, Knowledge)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a plan is made from; every mapping is in the order of its keys.

    Attributes:
        policies: by tenant.
        digests: `sha256:…` of every input, by relative path (shipped packs as `pack:NAME`).
        window: the days that the plan holds for.
        currency: of every price.
    """

    sites: Mapping[str, Site]
    pipelines: Mapping[str, Pipeline]
    models: Mapping[str, Model]
    stores: Mapping[str, Knowledge]
    policies: Mapping[str, Policy]
    packs: Mapping[str, Pack]
    digests: Mapping[str, str]
    network: Network
    window: Window
    currency: str

    def origins(self, pipeline: Pipeline) -> tuple[Site, ...]:
        """Return the sites at which a pipeline's requests are born, by name."""
        return tuple(s for s in self.sites.values() if matches(pipeline.spec.origins, s.metadata.labels))

    def during(self, window: Window) -> Problem:
        """Return the same fleet over other days."""
        return replace(self, window=window)


def read_problem(directory: Path, since: dt.date, until: dt.date | None = None) -> Problem:
    """Return the problem that a directory of manifests poses from `since` to `until`, both days included.

    Args:
        until: 90 days on when None; `placement.horizon` cuts that to what the law's facts cover.

    Raises ManifestError with every fault of every file, or between them.
    """
    return problem_of(read_fleet(directory, KINDS), Window(since, until or since + dt.timedelta(days=DEFAULT_DAYS)))


def problem_of(read: Fleet, window: Window) -> Problem:
    """Return the problem that a fleet poses. Raises ManifestError with every fault between its manifests."""
    check_references(read)
    return Problem(
        sites=_by_name(read.of(Site)),
        pipelines=_by_name(read.of(Pipeline)),
        models=_by_name(read.of(Model)),
        stores=_by_name(read.of(Knowledge)),
        policies={policy.metadata.tenant: policy for policy in read.of(Policy)},
        packs=dict(sorted(read.packs.items())),
        digests=dict(sorted(read.digests.items())),
        network=Network.of(read.of(Site)),
        window=window,
        currency=_currency(read.of(Site)),
    )


def _by_name(nouns: Iterable[N]) -> dict[str, N]:
    return {noun.name: noun for noun in nouns}


def _currency(sites: Iterable[Site]) -> str:
    """Return the one currency of all prices; of a fleet without any, the euro."""
    for site in sites:
        for price in (*(g.price for g in site.spec.hardware), *(link.price for link in site.spec.connectivity.links)):
            return price.currency
    return "EUR"
