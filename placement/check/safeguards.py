"""Invariants 18 and 19: every copy bounded and erasable, every air gap crossed by declared media in a known direction.

Looks at every place that a plan gives a stage: assignments, assignments after a loss, and targets of fallback orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from placement.check.audit import Audit, Run
from placement.check.graph import declared
from placement.check.logic import related
from placement.check.result import Finding
from placement.pipeline import Stage
from sites.data import Atom, Label
from sites.policy import Retention
from sites.site import Site

HOUR = 3600 * 10**6
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stage at a site, wherever a plan says so; `subject` is how a finding names it."""

    run: Run
    stage: Stage
    site: Site
    subject: str
    queues: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """One copy: what it is of, its label, and how long it stays (microseconds; None: nobody says)."""

    what: str
    label: Label
    stays: int | None


def places(audit: Audit, run: Run) -> Iterator[Place]:
    """Yield every place that a plan gives a stage of one assignment."""
    for entry in run.assignment.stages:
        stage = run.graph.stages.get(entry.stage)
        if stage is not None:
            yield Place(run, stage, audit.snapshot.site(entry.site), entry.stage)
    stages = declared(run.pipeline.spec)
    for order in run.fallbacks:
        for kind, where in order.order:
            serving = _queues(stages, order.stage) if kind.queues else (kind.stage or order.stage,)
            for name in serving if where is not None else ():
                if name in stages and where is not None:
                    subject = f"{order.stage} falls back to {'queue' if kind.queues else name} at {where}"
                    yield Place(run, stages[name], audit.snapshot.site(where), subject, queues=kind.queues)


def _queues(stages: Mapping[str, Stage], name: str) -> tuple[str, ...]:
    """Return the stages that a queue for `name` stands for: its fallbacks that queue, or the stage itself."""
    fallbacks = stages[name].fallback if name in stages else ()
    return tuple(each for each in fallbacks if stages[each].task == "queue") or (name,)


def kept_at(audit: Audit, place: Place) -> Iterator[Kept]:
    """Yield the copies that a stage leaves where it is: of its documents, and of what it retains or queues."""
    stage, store = place.stage, audit.snapshot.knowledge.get(place.stage.knowledge or "")
    if store:
        yield Kept(f"knowledge {store.name}", tuple(Atom.declared(atom) for atom in store.spec.data), store.spec.retain)
    waits = stage.is_async or stage.task == "queue" or place.queues
    if stage.retain is not None or waits or (stage.task == "retrieve" and not store):
        yield Kept("what it keeps", place.run.labels.of(stage.name), stage.retain)


def retention(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield each copy that no erasure path ends, that is unbounded, or that outlives what the policy allows."""
    if audit.snapshot.policies[run.pipeline.metadata.tenant].spec.retention is None:
        return
    for place in places(audit, run):
        for kept in kept_at(audit, place):
            audit.seen.copies.update(_open_ends(place, kept))
            for cap in _caps(audit, place.run, kept.label):
                expected = f"{cap.data} for at most {cap.most / HOUR:g} h"
                found = _too_long(kept, place.site, cap)
                if found:
                    yield Finding("invariant/18", place.run.id, place.subject, expected, f"{kept.what}: {found}")


def _too_long(kept: Kept, site: Site, cap: Retention) -> str | None:
    if site.spec.erasure is None:
        return f"{site.name} declares no erasure"
    if kept.stays is None:
        return "no bound"
    whole = kept.stays + site.spec.erasure.within
    return f"{whole / HOUR:g} h until erased" if whole > cap.most else None


def _caps(audit: Audit, run: Run, label: Label) -> list[Retention]:
    caps = audit.snapshot.policies[run.pipeline.metadata.tenant].spec.retention or ()
    return [cap for cap in caps if any(related(atom.data, cap.data) for atom in label)]


def unbounded(audit: Audit) -> str | None:
    """Return what is not known of the copies in a plan, or None."""
    silent = [tenant for tenant in audit.tenants if audit.snapshot.policies[tenant].spec.retention is None]
    if silent:
        return f"the Policy of tenant {_some(silent)} declares no retention"
    return _some(sorted(audit.seen.copies)) if audit.seen.copies else None


def _open_ends(place: Place, kept: Kept) -> Iterator[str]:
    if kept.stays is None:
        yield f"how long {place.run.pipeline.name}/{place.stage.name} keeps {kept.what}"
    if place.site.spec.erasure is None:
        yield f"erasure at {place.site.name}"


def crossings(audit: Audit) -> Iterator[Finding]:
    """Yield each disconnected site in use over whose declared media no bundle comes in, or no receipt goes out."""
    for name, site in _apart(audit).items():
        for cargo, direction in {"bundle": "in", "receipt": "out"}.items():
            ways = {medium.direction for medium in site.spec.media or () if cargo in medium.carries}
            if site.spec.media is not None and not ways & {direction, "both"}:
                found = f"{cargo}: {', '.join(sorted(ways)) or 'not carried'}"
                yield Finding("invariant/19", "", name, f"a medium that carries a {cargo} {direction}", found)


def undeclared(audit: Audit) -> str | None:
    """Return the disconnected sites in use that declare no media, or None."""
    silent = [name for name, site in _apart(audit).items() if site.spec.media is None]
    return f"media of {_some(silent)}" if silent else None


def _apart(audit: Audit) -> dict[str, Site]:
    """Return the disconnected sites at which a plan runs, would run or would queue anything, by name."""
    sites = {name: audit.snapshot.site(name) for name in sorted(audit.seen.sites)}
    return {name: site for name, site in sites.items() if site.spec.connectivity.mode == "disconnected"}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
