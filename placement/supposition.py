"""A problem with one fact of the world supposed otherwise: a site lost, a price changed. The law stays as it is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from placement.problem import Problem
from placement.routes import Network
from sites.quantity import Price


def without_site(problem: Problem, name: str) -> Problem:
    """Return the problem without a site: its machines, its wires, and the requests that were born there."""
    left = {}
    for other, site in problem.sites.items():
        if other != name:
            wired = site.spec.connectivity
            links = tuple(link for link in wired.links if link.to != name)
            spec = site.spec.model_copy(update={"connectivity": wired.model_copy(update={"links": links})})
            left[other] = site.model_copy(update={"spec": spec})
    return replace(problem, sites=left, network=Network.of(left.values()))


def with_prices(problem: Problem, name: str, factor: Fraction) -> Problem:
    """Return the problem with every node of a site costing `factor` times what it costs."""
    site = problem.sites[name]
    groups = tuple(
        group.model_copy(update={"price": Price(group.price.amount * factor, group.price.currency)})
        for group in site.spec.hardware
    )
    dearer = site.model_copy(update={"spec": site.spec.model_copy(update={"hardware": groups})})
    return replace(problem, sites={**problem.sites, name: dearer})
