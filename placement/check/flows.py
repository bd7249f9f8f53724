"""Whether each flow's ends, bytes, rate and neighbours are what graph, manifests and links make them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from placement.check.audit import Audit, Run
from placement.check.document import FlowEntry
from placement.check.presence import near
from placement.check.result import Finding


def agree(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every flow that contradicts itself, its graph or its links; whether its route is best is not asked here."""
    outline, places, crossing = run.assignment.outline, run.assignment.places, audit.snapshot.crossing
    unlinked = {(a, b) for a, b in outline.hops if crossing(places[a], places[b]) < 0}
    for number, (_, source, target, route) in enumerate(outline.flows):
        leads = bool(route) and route[0] == source and route[-1] == target
        if not leads or (unlinked and not unlinked.isdisjoint(pairwise(route))):
            yield from _misled(audit, run, run.assignment.flow(number))
    for flow, entry in run.flows.items():
        if flow in run.graph.flows:
            yield from _numbers(run, flow, entry)


def _misled(audit: Audit, run: Run, entry: FlowEntry) -> Iterator[Finding]:
    """Yield a finding when a flow's route does not lead from its sender to its receiver, over links that exist."""
    subject = ">".join(entry.ends)
    if not entry.route or (entry.route[0], entry.route[-1]) != (entry.source, entry.target):
        expected = f"{entry.source} to {entry.target}"
        yield Finding("plan/route", run.id, subject, expected, " ".join(entry.route) or "no route")
    elif audit.bench(run.pipeline.metadata.tenant).routes.links(entry.route) is None:
        yield Finding("plan/route", run.id, subject, "linked sites", " ".join(entry.route))


def _numbers(run: Run, flow: tuple[str, str], entry: FlowEntry) -> Iterator[Finding]:
    subject, ends = ">".join(flow), (run.site_of(flow[0]), run.site_of(flow[1]))
    if (entry.source, entry.target) != ends:
        yield Finding("plan/flow", run.id, subject, f"from {ends[0]} to {ends[1]}", f"{entry.source} to {entry.target}")
    size, rate = run.volume.sizes[flow], run.volume.paces[flow]
    if entry.kind.size != size:
        yield Finding("plan/flow", run.id, subject, f"{size} bytes", f"{entry.kind.size:.9g} bytes")
    if not near(entry.kind.rate, rate):
        yield Finding("plan/flow", run.id, subject, f"{rate:.9g}/s", f"{entry.kind.rate:.9g}/s")
