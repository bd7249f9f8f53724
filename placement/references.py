"""Whether the manifests of a fleet fit together: every name leads somewhere, and what stands at two places agrees.

A fault is found at one value of one manifest; all faults of a fleet are raised at once, with file, line and caret.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from placement.catalogue import Model
from placement.hardware import speed_on
from placement.knowledge import Knowledge
from placement.pipeline import Pipeline, Stage
from placement.shape import Fault, Where, repeated, shape_faults
from sites.finding import Finding, ManifestError
from sites.fleet import Fleet
from sites.noun import Noun, matches
from sites.policy import Policy
from sites.site import Link, Site

READS = {"retrieve": ("retrieve", "embed")}
"""Tasks of models that serve a task of another name."""

LINKS: Where = ("spec", "connectivity", "links")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a fleet, for those who check what leads to them."""

    sites: dict[str, Site]
    models: dict[str, Model]
    stores: dict[str, Knowledge]
    stages: frozenset[str]
    tenants: frozenset[str]

    @classmethod
    def of(cls, fleet: Fleet) -> Names:
        """Return the names of everything that a manifest may refer to."""
        specs = [pipeline.spec for pipeline in fleet.of(Pipeline)]
        return cls(
            {site.name: site for site in fleet.of(Site)},
            {model.name: model for model in fleet.of(Model)},
            {store.name: store for store in fleet.of(Knowledge)},
            frozenset(stage.name for spec in specs for stage in (*spec.stages, *spec.fallbacks)),
            frozenset(policy.metadata.tenant for policy in fleet.of(Policy)),
        )

    def selects(self, selector: dict[str, str]) -> bool:
        """Return whether any site has all labels of a selector."""
        return any(matches(selector, site.metadata.labels) for site in self.sites.values())


def check_references(fleet: Fleet) -> None:
    """Raise ManifestError with every fault between the manifests of a fleet."""
    found = findings(fleet)
    if found:
        raise ManifestError(found)


def findings(fleet: Fleet) -> list[Finding]:
    """Return every fault between the manifests of a fleet; empty when they fit."""
    known = Names.of(fleet)
    return [
        fleet.finding(manifest.noun, fault.path, fault.message, fault.hint)
        for manifest in fleet.manifests
        for kind, check in CHECKS
        if isinstance(manifest.noun, kind)
        for fault in check(manifest.noun, known)
    ]


def _unknown(path: Where, what: str, name: str, among: Collection[str]) -> Fault:
    close = get_close_matches(name, sorted(among), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(among)[:12]) or 'none'}"
    return Fault(path, f"no {what} {name!r}", hint)


def _of_site(site: Site, known: Names) -> Iterator[Fault]:
    spec = site.spec
    if spec.connectivity.mode == "disconnected" and spec.connectivity.links:
        yield Fault(LINKS, f"{site.name} is disconnected and declares links", "remove them, or change the mode")
    for index, link in enumerate(spec.connectivity.links):
        yield from _of_link(site, link, (*LINKS, index), known)
    for index in repeated([link.to for link in spec.connectivity.links]):
        yield Fault((*LINKS, index, "to"), "a second link to the same site", "declare parallel links as one wire")
    for index in repeated([group.name for group in spec.hardware]):
        yield Fault(("spec", "hardware", index, "name"), "a second hardware group of this name", "rename one")
    for index in repeated([taint.name for taint in spec.taints]):
        yield Fault(("spec", "taints", index, "name"), "a second taint of this name", "give both reasons in one")
    if isinstance(spec.serves, dict) and not known.selects(spec.serves):
        yield Fault(("spec", "serves"), "selects no site", "every label must match; `any` serves all")


def _of_link(site: Site, link: Link, path: Where, known: Names) -> Iterator[Fault]:
    to, other = (*path, "to"), known.sites.get(link.to)
    if link.bandwidth == 0:
        yield Fault((*path, "bandwidth"), "a bandwidth of zero", "give what the wire carries, or remove the link")
    if other is None:
        yield _unknown(to, "site", link.to, known.sites)
        return
    if other is site:
        yield Fault(to, "a link from a site to itself", "remove it; flows within a site need none")
        return
    if other.spec.connectivity.mode == "disconnected":
        yield Fault(to, f"{other.name} is disconnected", "remove the link, or change that site's mode")
    for back in other.spec.connectivity.links:
        if back.to == site.name and site.name < other.name:
            for name in Link.model_fields:
                if name != "to" and getattr(link, name) != getattr(back, name):
                    hint = "one end suffices; two must agree in every field"
                    yield Fault((*path, name), f"{other.name} declares another {name} for this wire", hint)


def _of_model(model: Model, known: Names) -> Iterator[Fault]:
    for index in repeated([variant.name for variant in model.spec.variants]):
        yield Fault(("spec", "variants", index, "name"), "a second variant of this name", "rename one")
    if model.spec.state == "approved" and model.spec.approval is None:
        hint = "write who and when: approval: {by: WHO, on: 2026-11-20}; or keep it a candidate"
        yield Fault(("spec", "state"), f"{model.name} is approved by nobody", hint)
    groups = [group for site in known.sites.values() for group in site.spec.hardware]
    if groups and not any(speed_on(variant, group) for variant in model.spec.variants for group in groups):
        arches = ", ".join(sorted({group.arch for group in groups}))
        hint = f"give a speed for an accelerator kind, an arch ({arches}) or arch-isa, with a throughput above zero"
        yield Fault(("spec", "variants"), "no variant has a speed for any hardware of the fleet", hint)


def _of_store(store: Knowledge, known: Names) -> Iterator[Fault]:
    if not known.selects(store.spec.sites):
        yield Fault(("spec", "sites"), "selects no site", "every label must match; {} selects all")
    for index, atom in enumerate(store.spec.data):
        if atom.law is None:
            hint = "say under which countries' law these documents stand, such as law: [FR]"
            yield Fault(("spec", "data", index), f"{atom.data} names no law", hint)


def _of_policy(policy: Policy, known: Names) -> Iterator[Fault]:
    for index, gate in enumerate(policy.spec.declassifiers):
        path: Where = ("spec", "declassifiers", index)
        if gate.stage not in known.stages:
            yield _unknown((*path, "stage"), "stage", gate.stage, known.stages)
        for place, name in enumerate(gate.sites):
            if name not in known.sites:
                yield _unknown((*path, "sites", place), "site", name, known.sites)


def _of_pipeline(pipeline: Pipeline, known: Names) -> Iterator[Fault]:
    spec, tenant = pipeline.spec, pipeline.metadata.tenant
    if tenant not in known.tenants:
        yield Fault(("metadata",), f"tenant {tenant!r} has no Policy", "write exactly one Policy per tenant")
    if not known.selects(spec.origins):
        yield Fault(("spec", "origins"), "selects no site", "every label must match; {} selects all")
    for index, own in enumerate(spec.rates):
        if not known.selects(own.sites):
            yield Fault(("spec", "rates", index, "sites"), "selects no site", "every label must match")
    for kind, stages in (("stages", spec.stages), ("fallbacks", spec.fallbacks)):
        for index, stage in enumerate(stages):
            path: Where = ("spec", kind, index)
            yield from _of_pin(stage, (*path, "sites"), known)
            if stage.knowledge is not None and stage.knowledge not in known.stores:
                yield _unknown((*path, "knowledge"), "Knowledge", stage.knowledge, known.stores)
            for place, name in enumerate(stage.models):
                model = known.models.get(name)
                if model is None:
                    yield _unknown((*path, "models", place), "Model", name, known.models)
                elif model.spec.task not in READS.get(stage.task, (stage.task,)):
                    message = f"{name} does {model.spec.task}, the stage {stage.task}"
                    yield Fault((*path, "models", place), message, "name a model of the stage's task")
    yield from shape_faults(spec)


def _of_pin(stage: Stage, path: Where, known: Names) -> Iterator[Fault]:
    """Yield the names in a pin that are no site; a selector that selects none is a pin that nothing satisfies."""
    if isinstance(stage.sites, tuple):
        for index, name in enumerate(stage.sites):
            if name not in known.sites:
                yield _unknown((*path, index), "site", name, known.sites)
        for index in repeated(stage.sites):
            yield Fault((*path, index), "named twice", "remove one")


CHECKS: tuple[tuple[type[Noun], Callable[..., Iterator[Fault]]], ...] = (
    (Site, _of_site),
    (Pipeline, _of_pipeline),
    (Model, _of_model),
    (Knowledge, _of_store),
    (Policy, _of_policy),
)
