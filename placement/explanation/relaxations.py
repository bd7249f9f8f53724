"""A problem with one family of rules set aside: how a cause is put to the test.

A relaxation is a function from a problem and what the family names to a problem; its result is solved, never proposed.
`RELAXATIONS` is the whole registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

from placement.catalogue import Model
from placement.explanation.legal_relaxations import without_law
from placement.knowledge import Knowledge
from placement.network import Network
from placement.pipeline import Pipeline, PipelineSpec, Stage
from placement.problem import Problem
from sites.quantity import Price
from sites.site import Accelerators, Erasure, Hardware, Link, Site

PLENTY = 1000
"""How many times more there is of what a relaxation no longer limits."""

DIRECT: dict[str, Any] = {"bandwidth": 10**9, "rtt": 10_000, "transit": (), "tls": "passthrough", "intermediary": None}
"""A wire that a relaxation draws: 1 Gbit/s, 10 ms."""

ARCHES = ("x86_64", "aarch64")

N = TypeVar("N", Site, Pipeline, Model, Knowledge)


def relax(problem: Problem, families: Iterable[str]) -> Problem:
    """Return the problem without these families of rules; a family that nobody knows changes nothing."""
    for family in families:
        kind, _, what = family.partition(":")
        if kind in RELAXATIONS:
            problem = RELAXATIONS[kind](problem, what)
    return problem


def _with(noun: N, **changes: object) -> N:
    return noun.model_copy(update={"spec": noun.spec.model_copy(update=changes)})


def _stages(problem: Problem, change: Callable[[Stage], Stage]) -> Problem:
    pipelines = {
        name: _with(p, stages=tuple(map(change, p.spec.stages)), fallbacks=tuple(map(change, p.spec.fallbacks)))
        for name, p in problem.pipelines.items()
    }
    return replace(problem, pipelines=pipelines)


def _groups(problem: Problem, change: Callable[[Hardware], Hardware]) -> Problem:
    sites = {name: _with(s, hardware=tuple(map(change, s.spec.hardware))) for name, s in problem.sites.items()}
    return replace(problem, sites=sites)


def _latency(problem: Problem, what: str) -> Problem:
    return replace(problem, pipelines={name: _with(p, latency=None) for name, p in problem.pipelines.items()})


def _quality(problem: Problem, metric: str) -> Problem:
    def without(stage: Stage) -> Stage:
        floors = {key: floor for key, floor in stage.quality.items() if key != metric}
        return stage.model_copy(update={"quality": floors})

    return _stages(problem, without)


def _approval(problem: Problem, name: str) -> Problem:
    return replace(problem, models={**problem.models, name: _with(problem.models[name], state="approved")})


def _knowledge(problem: Problem, name: str) -> Problem:
    return replace(problem, stores={**problem.stores, name: _with(problem.stores[name], sites={})})


def _pin(problem: Problem, name: str) -> Problem:
    return _stages(problem, lambda stage: stage.model_copy(update={"sites": None}) if stage.name == name else stage)


def _taint(problem: Problem, name: str) -> Problem:
    def without(site: Site) -> Site:
        return _with(site, taints=tuple(taint for taint in site.spec.taints if taint.name != name))

    return replace(problem, sites={name: without(site) for name, site in problem.sites.items()})


def _pipelines(problem: Problem, change: Callable[[PipelineSpec], dict[str, object]]) -> Problem:
    return replace(problem, pipelines={name: _with(p, **change(p.spec)) for name, p in problem.pipelines.items()})


def _apart(problem: Problem, by: str) -> Problem:
    return _pipelines(problem, lambda spec: {"apart": tuple(rule for rule in spec.apart if rule.by != by)})


def _spread(problem: Problem, stage: str) -> Problem:
    return _pipelines(problem, lambda spec: {"spread": tuple(rule for rule in spec.spread if rule.stage != stage)})


def _survive(problem: Problem, what: str) -> Problem:
    return _pipelines(problem, lambda spec: {"survive": 0})


def _serves(problem: Problem, what: str) -> Problem:
    return replace(problem, sites={name: _with(site, serves="any") for name, site in problem.sites.items()})


def _capacity(problem: Problem, what: str) -> Problem:
    return _groups(problem, lambda group: group.model_copy(update={"count": group.count * PLENTY}))


def _hardware(problem: Problem, what: str) -> Problem:
    """Plenty of one resource on every node, or what a site lacks altogether."""
    if what == "speed":
        return _as_fast_everywhere(problem)
    if what == "accelerator":
        return _with_accelerators(problem)
    if what == "none":
        groups = tuple(group for site in problem.sites.values() for group in site.spec.hardware)
        sites = {name: _with(s, hardware=s.spec.hardware or groups) for name, s in problem.sites.items()}
        return replace(problem, sites=sites)
    return _groups(problem, lambda group: group.model_copy(update={what: getattr(group, what) * PLENTY}))


def _as_fast_everywhere(problem: Problem) -> Problem:
    def faster(model: Model) -> Model:
        variants = []
        for variant in model.spec.variants:
            slowest = min(variant.speed, key=lambda speed: speed.throughput)
            same = (slowest.model_copy(update={"hardware": arch}) for arch in ARCHES)
            variants.append(variant.model_copy(update={"speed": (*variant.speed, *same)}))
        return _with(model, variants=tuple(variants))

    return replace(problem, models={name: faster(model) for name, model in problem.models.items()})


def _with_accelerators(problem: Problem) -> Problem:
    """Where a group has no accelerator, a device of a kind for which some variant that needs one has a speed."""
    variants = [variant for model in problem.models.values() for variant in model.spec.variants]
    wanted = {s.hardware for v in variants if v.needs.accelerator for s in v.speed if not s.hardware.startswith(ARCHES)}
    device = Accelerators.model_construct(kind=min(wanted, default="any"), count=8, memory=2**40)
    return _groups(problem, lambda g: g.model_copy(update={"accelerators": g.accelerators or device}))


def _link(problem: Problem, what: str) -> Problem:
    network = problem.network
    if what == "intermittent":
        return replace(problem, network=replace(network, intermittent=frozenset()))
    if what == "bandwidth":
        wires = {hop: w.model_copy(update={"bandwidth": w.bandwidth * PLENTY}) for hop, w in network.wires.items()}
        return replace(problem, network=replace(network, wires=wires))
    return _wired(problem, to_disconnected=what == "disconnected")


def _wired(problem: Problem, *, to_disconnected: bool) -> Problem:
    """A direct wire between any two sites that have none: either the disconnected with all, or the others."""
    apart = {name for name, site in problem.sites.items() if site.spec.connectivity.mode == "disconnected"}
    sites = dict(problem.sites)
    for name in apart if to_disconnected else ():
        connectivity = sites[name].spec.connectivity.model_copy(update={"mode": "connected"})
        sites[name] = _with(sites[name], connectivity=connectivity)
    free = Price(Fraction(0), problem.currency)
    to = {name: Link.model_construct(to=name, **DIRECT, price=free) for name in sites}
    new = {(a, b): to[b] for a in sites for b in sites if a != b and (a in apart or b in apart) == to_disconnected}
    wires = new | dict(problem.network.wires)
    around: dict[str, list[str]] = {name: [] for name in sites}
    for a, b in sorted(wires):
        around[a].append(b)
    neighbours = {name: tuple(found) for name, found in around.items()}
    return replace(problem, sites=sites, network=Network(wires, neighbours, problem.network.intermittent))


def _declassifier(problem: Problem, what: str) -> Problem:
    policies = {}
    for tenant, policy in problem.policies.items():
        gates = tuple(g.model_copy(update={"sites": tuple(problem.sites)}) for g in policy.spec.declassifiers)
        spec = policy.spec.model_copy(update={"declassifiers": gates})
        policies[tenant] = policy.model_copy(update={"spec": spec})
    return replace(problem, policies=policies)


def _media(problem: Problem, what: str) -> Problem:
    """Nobody declares what crosses an air gap."""
    return replace(problem, sites={name: _with(site, media=None) for name, site in problem.sites.items()})


def _erasure(problem: Problem, what: str) -> Problem:
    """Where nobody declares how copies are erased, they are at once."""
    at_once = Erasure.model_construct(within=0)
    sites = {name: _with(site, erasure=site.spec.erasure or at_once) for name, site in problem.sites.items()}
    return replace(problem, sites=sites)


def _retention(problem: Problem, data: str) -> Problem:
    """No copy of a class is bounded."""
    policies = {}
    for tenant, policy in problem.policies.items():
        kept = tuple(cap for cap in policy.spec.retention or () if cap.data != data)
        spec = policy.spec.model_copy(update={"retention": kept})
        policies[tenant] = policy.model_copy(update={"spec": spec})
    return replace(problem, policies=policies)


def _purpose(problem: Problem) -> Problem:
    return _stages(problem, lambda stage: stage.model_copy(update={"purpose": None}))


def _residency(problem: Problem, name: str) -> Problem:
    return _purpose(problem) if name == "invariant/13" else without_law(problem, name)


RELAXATIONS: Mapping[str, Callable[[Problem, str], Problem]] = {
    "apart": _apart,
    "approval": _approval,
    "capacity": _capacity,
    "declassifier": _declassifier,
    "erasure": _erasure,
    "hardware": _hardware,
    "knowledge": _knowledge,
    "latency": _latency,
    "link": _link,
    "media": _media,
    "pin": _pin,
    "quality": _quality,
    "residency": _residency,
    "retention": _retention,
    "serves": _serves,
    "spread": _spread,
    "survive": _survive,
    "taint": _taint,
}
