"""What fails, is governed or is run together: the site, the country or the operator of a place.

`apart` and `spread` of a pipeline are rules over these domains; a domain that nobody declared is unknown, and an
unknown one satisfies no rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from placement.graph import Graph, exact
from placement.pipeline import Apart, Domain, Pipeline, Spread, Stage
from sites.country import country_of
from sites.noun import matches
from sites.site import Site

ROLE = "operator"


def domain_of(site: Site, by: Domain) -> str | None:
    """Return the domain that a site lies in; None when its country or its operator is unknown."""
    if by == "site":
        return site.name
    if by == "country":
        return None if site.spec.location is None else country_of(site.spec.location)
    operator = site.spec.parties.get(ROLE)
    return None if operator is None else operator.name


def rules_on(pipeline: Pipeline, stage: str) -> Iterator[tuple[str, Domain]]:
    """Yield the family (`apart:country`, `spread:draft`) and the kind of domain of each rule that names a stage."""
    for apart in pipeline.spec.apart:
        if stage in apart.stages:
            yield f"apart:{apart.by}", apart.by
    for spread in pipeline.spec.spread:
        if spread.stage == stage:
            yield f"spread:{stage}", spread.by


def barred(pipeline: Pipeline, stage: Stage, site: Site) -> Iterator[tuple[str, str]]:
    """Yield (rule, sentence) for each pin, taint and unknown domain that keeps a stage off a site."""
    pinned = stage.sites
    if isinstance(pinned, tuple) and site.name not in pinned:
        yield f"pin:{stage.name}", f"{stage.name} is pinned to {', '.join(pinned)}"
    if isinstance(pinned, dict) and not matches(pinned, site.metadata.labels):
        yield f"pin:{stage.name}", f"{stage.name} is pinned to sites with {pinned}"
    for taint in site.spec.taints:
        if taint.name not in pipeline.spec.tolerates:
            yield f"taint:{taint.name}", f"{site.name} is tainted {taint.name}: {taint.reason}"
    for family, by in rules_on(pipeline, stage.name):
        if domain_of(site, by) is None:
            yield family, f"nobody declares the {by} of {site.name}, which a rule on {stage.name} asks for"


def binding(pipeline: Pipeline, graph: Graph) -> tuple[Apart, ...]:
    """Return the `apart` rules both of whose stages run in a graph."""
    running = {stage.name for stage in graph.stages}
    return tuple(apart for apart in pipeline.spec.apart if running.issuperset(apart.stages))


def most_at(pipeline: Pipeline, spread: Spread, sites: Mapping[str, Site]) -> Fraction:
    """Return the requests per second that one domain may serve: of all that the origins declare, placed or not."""
    origins = (site for site in sites.values() if matches(pipeline.spec.origins, site.metadata.labels))
    return exact(spread.most) * sum((pipeline.rate_at(origin) for origin in origins), Fraction(0))
