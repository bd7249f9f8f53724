"""A problem with one fact of the world supposed otherwise: a site lost, an instrument fallen, a price changed.

Suppositions take away or make dearer, and add machines; none permits what the law refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from placement.catalogue import Model
from placement.errors import PlacementError
from placement.network import Network
from placement.pipeline import Pipeline
from placement.problem import Problem
from sites.policy import Pack, Policy
from sites.quantity import Price
from sites.site import Hardware, Link, Site

N = TypeVar("N", Site, Pipeline, Model, Policy, Pack)
H = TypeVar("H", Policy, Pack)


def _with(noun: N, **fields: object) -> N:
    return noun.model_copy(update={"spec": noun.spec.model_copy(update=fields)})


def without_site(problem: Problem, name: str) -> Problem:
    """Return the problem without a site: its machines, its wires, and the requests that were born there."""
    _require(problem.sites, name, "site")
    left = {
        other: _linked(site, lambda link: link.to != name) for other, site in problem.sites.items() if other != name
    }
    return replace(problem, sites=left, network=Network.of(left.values()))


def without_link(problem: Problem, name: str) -> Problem:
    """Return the problem without the wire `A--B`."""
    a, _, b = name.partition("--")
    if (a, b) not in problem.network.wires:
        wires = sorted(f"{one}--{other}" for one, other in problem.network.wires if one < other)
        raise PlacementError(f"no link {name!r}", advice=f"there are {', '.join(wires[:12])}")
    left = {
        site: _linked(found, lambda link, here=site: {here, link.to} != {a, b})  # type: ignore[misc]
        for site, found in problem.sites.items()
    }
    return replace(problem, sites=left, network=Network.of(left.values()))


def _linked(site: Site, keeps: Callable[[Link], bool]) -> Site:
    wired = site.spec.connectivity
    links = tuple(link for link in wired.links if keeps(link))
    return _with(site, connectivity=wired.model_copy(update={"links": links}))


def with_prices(problem: Problem, name: str, factor: Fraction) -> Problem:
    """Return the problem with every node of a site costing `factor` times what it costs."""
    _require(problem.sites, name, "site")

    def of(group: Hardware) -> Hardware:
        return group.model_copy(update={"price": Price(group.price.amount * factor, group.price.currency)})

    site = problem.sites[name]
    dearer = _with(site, hardware=tuple(map(of, site.spec.hardware)))
    return replace(problem, sites={**problem.sites, name: dearer})


def with_nodes(problem: Problem, name: str, more: int) -> Problem:
    """Return the problem with so many nodes more (fewer when negative) in every group of a site."""
    _require(problem.sites, name, "site")
    site = problem.sites[name]
    groups = tuple(g.model_copy(update={"count": g.count + more}) for g in site.spec.hardware if g.count + more > 0)
    return replace(problem, sites={**problem.sites, name: _with(site, hardware=groups)})


def with_rate(problem: Problem, name: str, factor: Fraction) -> Problem:
    """Return the problem with `factor` times the requests of a pipeline, at every origin."""
    found = {pipeline.name for pipeline in problem.pipelines.values()}
    if name not in found:
        raise PlacementError(f"no pipeline {name!r}", advice=f"there are {', '.join(sorted(found))}")

    def of(pipeline: Pipeline) -> Pipeline:
        spec = pipeline.spec
        rates = tuple(own.model_copy(update={"rate": own.rate * factor}) for own in spec.rates)
        return _with(pipeline, rate=spec.rate * factor, rates=rates)

    return replace(problem, pipelines={k: of(p) if p.name == name else p for k, p in problem.pipelines.items()})


def without_instrument(problem: Problem, name: str) -> Problem:
    """Return the problem in which every transfer instrument of a type has fallen, whatever days it names."""
    held = {instrument.type for policy in problem.policies.values() for instrument in policy.spec.instruments}
    if name not in held:
        raise PlacementError(
            f"no instrument of type {name!r}", advice=f"the fleet has {', '.join(sorted(held)) or 'none'}"
        )
    policies = {
        tenant: _with(policy, instruments=tuple(one for one in policy.spec.instruments if one.type != name))
        for tenant, policy in problem.policies.items()
    }
    return replace(problem, policies=policies)


def without_permit(problem: Problem, name: str) -> Problem:
    """Return the problem in which a permit `LAYER/RULE`, of a pack or of the organisation, is no longer there."""
    layer, _, wanted = name.partition("/")
    holders: list[Policy | Pack] = [*problem.policies.values(), *problem.packs.values()]
    permits = {
        f"{holder.name}/{rule.id}" for holder in holders for rule in holder.spec.rules if rule.effect == "permit"
    }
    if name not in permits:
        raise PlacementError(f"no permit {name!r}", advice=f"there are {', '.join(sorted(permits)[:20])}")

    def of(holder: H) -> H:
        kept = tuple(rule for rule in holder.spec.rules if rule.id != wanted)
        return _with(holder, rules=kept) if holder.name == layer else holder

    policies = {tenant: of(policy) for tenant, policy in problem.policies.items()}
    return replace(problem, policies=policies, packs={key: of(pack) for key, pack in problem.packs.items()})


def without_waivers(problem: Problem) -> Problem:
    """Return the problem in which every waiver has ended."""
    policies = {tenant: _with(policy, waivers=()) for tenant, policy in problem.policies.items()}
    return replace(problem, policies=policies)


def without_model(problem: Problem, name: str) -> Problem:
    """Return the problem in which a model is retired."""
    _require(problem.models, name, "model")
    return replace(problem, models={**problem.models, name: _with(problem.models[name], state="retired")})


def _require(known: Iterable[str], name: str, what: str) -> None:
    names = list(known)
    if name not in names:
        raise PlacementError(f"no {what} {name!r}", advice=f"there are {', '.join(names[:12])}")
