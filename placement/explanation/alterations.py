"""Single facts of a fleet that can be changed, each as a function from a problem to a problem; none touches the law.

These are the proposals of explanations: concrete, at one place, with a number, in the words of the manifests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

from placement.catalogue import Model
from placement.knowledge import Knowledge
from placement.network import Hop, Network
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from sites.quantity import Price
from sites.site import Hardware, Link, Site

N = TypeVar("N", Site, Pipeline, Model, Knowledge)
Altered = Callable[[Problem], Problem]


def _with(noun: N, **fields: object) -> N:
    return noun.model_copy(update={"spec": noun.spec.model_copy(update=fields)})


def _site(name: str, change: Callable[[Site], Site]) -> Altered:
    def of(problem: Problem) -> Problem:
        if name not in problem.sites:
            return problem
        return replace(problem, sites={**problem.sites, name: change(problem.sites[name])})

    return of


def _pipeline(name: str, change: Callable[[Pipeline], Pipeline]) -> Altered:
    return lambda problem: replace(
        problem,
        pipelines={key: change(p) if p.name == name else p for key, p in problem.pipelines.items()},
    )


def _stages(pipeline: str, change: Callable[[Stage], Stage]) -> Altered:
    def of(found: Pipeline) -> Pipeline:
        spec = found.spec
        return _with(found, stages=tuple(map(change, spec.stages)), fallbacks=tuple(map(change, spec.fallbacks)))

    return _pipeline(pipeline, of)


def latency(pipeline: str, limit_us: int | None) -> Altered:
    """Return the problem with another latency objective; None is none."""
    return _pipeline(pipeline, lambda found: _with(found, latency=limit_us))


def quality(pipeline: str, stage: str, metric: str, floor: float | None) -> Altered:
    """Return the problem with another floor of quality at a stage; None is none."""

    def of(found: Stage) -> Stage:
        if found.name != stage:
            return found
        rest = {key: value for key, value in found.quality.items() if key != metric}
        return found.model_copy(update={"quality": rest if floor is None else {**rest, metric: floor}})

    return _stages(pipeline, of)


def unpinned(pipeline: str, stage: str, site: str) -> Altered:
    """Return the problem in which a stage may also run at a site to which it is not pinned."""

    def of(problem: Problem) -> Problem:
        def at(found: Stage) -> Stage:
            if found.name != stage or found.sites is None:
                return found
            if isinstance(found.sites, tuple):
                return found.model_copy(update={"sites": (*found.sites, site)})
            wanted = found.sites
            named = [n for n, s in problem.sites.items() if wanted.items() <= s.metadata.labels.items()]
            return found.model_copy(update={"sites": (*named, site)})

        return _stages(pipeline, at)(problem)

    return of


def spread(pipeline: str, stage: str, most: float) -> Altered:
    """Return the problem in which a domain may serve a larger part of a stage's rate."""

    def of(found: Pipeline) -> Pipeline:
        rules = (r.model_copy(update={"most": most}) if r.stage == stage else r for r in found.spec.spread)
        return _with(found, spread=tuple(rules))

    return _pipeline(pipeline, of)


def approved(model: str) -> Altered:
    """Return the problem with a model approved."""
    return lambda problem: replace(
        problem, models={k: _with(m, state="approved") if k == model else m for k, m in problem.models.items()}
    )


def nodes(site: str, group: str, count: int) -> Altered:
    """Return the problem with another number of nodes in a hardware group."""
    return _group(site, group, lambda found: found.model_copy(update={"count": count}))


def node_size(site: str, group: str, field: str, value: int) -> Altered:
    """Return the problem with larger nodes, whose price grows as much as that resource."""

    def of(found: Hardware) -> Hardware:
        has: int = getattr(found, field)
        price = Price(found.price.amount * Fraction(value, has), found.price.currency) if has else found.price
        return found.model_copy(update={field: value, "price": price})

    return _group(site, group, of)


def _group(site: str, group: str, change: Callable[[Hardware], Hardware]) -> Altered:
    def of(found: Site) -> Site:
        return _with(found, hardware=tuple(change(g) if g.name == group else g for g in found.spec.hardware))

    return _site(site, of)


def new_group(site: str, group: Hardware, name: str, count: int) -> Altered:
    """Return the problem with a hardware group more at a site, of nodes like those of a group elsewhere."""
    new = group.model_copy(update={"name": name, "count": count})
    return _site(site, lambda found: _with(found, hardware=(*found.spec.hardware, new)))


def serving(site: str) -> Altered:
    """Return the problem in which a site serves any origin."""
    return _site(site, lambda found: _with(found, serves="any"))


def untainted(site: str, taint: str) -> Altered:
    """Return the problem without a taint at a site."""
    return _site(site, lambda s: _with(s, taints=tuple(t for t in s.spec.taints if t.name != taint)))


def always_connected(site: str) -> Altered:
    """Return the problem in which a site's links carry synchronous flows."""

    def of(problem: Problem) -> Problem:
        left = problem.network.intermittent - {site}
        return replace(problem, network=replace(problem.network, intermittent=left))

    return of


def bandwidth(hop: Hop, bits: int) -> Altered:
    """Return the problem with another bandwidth of a wire, in both directions."""

    def of(problem: Problem) -> Problem:
        wires = dict(problem.network.wires)
        for way in (hop, hop[::-1]):
            wires[way] = wires[way].model_copy(update={"bandwidth": bits})
        return replace(problem, network=replace(problem.network, wires=wires))

    return of


def linked(a: str, b: str, bits: int, rtt_us: int) -> Altered:
    """Return the problem with a direct wire between two sites, priced as the dearest that either end has."""

    def of(problem: Problem) -> Problem:
        sites = {**problem.sites}
        for name in (a, b):
            wired = sites[name].spec.connectivity
            if wired.mode == "disconnected":
                sites[name] = _with(sites[name], connectivity=wired.model_copy(update={"mode": "connected"}))
        known = [w.price for (one, _), w in problem.network.wires.items() if one in (a, b)] or [
            w.price for w in problem.network.wires.values()
        ]
        price = max(known, key=lambda p: p.amount, default=Price(Fraction(0), problem.currency))
        facts: dict[str, Any] = {"bandwidth": bits, "rtt": rtt_us, "price": price, "transit": (), "tls": "passthrough"}
        wire = Link.model_construct(to=b, intermediary=None, **facts)
        wires = {**problem.network.wires, (a, b): wire, (b, a): wire}
        around = {**problem.network.neighbours}
        for one, other in ((a, b), (b, a)):
            around[one] = tuple(sorted({*around.get(one, ()), other}))
        return replace(problem, sites=sites, network=Network(wires, around, problem.network.intermittent))

    return of


def without_survival(pipeline: str) -> Altered:
    """Return the problem in which a pipeline need not survive a loss."""
    return _pipeline(pipeline, lambda found: _with(found, survive=0))


def without_apart(pipeline: str, by: str) -> Altered:
    """Return the problem in which a pipeline's stages may share a domain."""
    return _pipeline(pipeline, lambda p: _with(p, apart=tuple(r for r in p.spec.apart if r.by != by)))
