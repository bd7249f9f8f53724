"""Whether a workload that must survive has, for the loss of every site and link it uses, a place in the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise

from placement.check import capacity, latency, presence, residency
from placement.check.audit import Audit, Run
from placement.check.document import FailureEntry
from placement.check.load import PoolKey, load_of
from placement.check.result import Finding

Lost = frozenset[str]
"""The site, or the two ends of the link."""


def lost_by(failure: FailureEntry) -> Lost:
    """Return what a failure takes away; a link is written `a--b`."""
    return frozenset(failure.lost.split("--"))


def touches(run: Run, lost: Lost) -> bool:
    """Return whether a run uses a lost site, or hops over a lost link."""
    routes = [flow.route for flow in run.flows.values()]
    if len(lost) == 2:
        return any(frozenset(hop) == lost for route in routes for hop in pairwise(route))
    used = {entry.site for entry in run.stages.values()} | {site for route in routes for site in route}
    return bool(used & lost)


def survival(audit: Audit) -> Iterator[Finding]:
    """Yield every loss that is not provided for, and whatever is wrong with what is provided."""
    failures = {lost_by(failure): failure for failure in audit.document.failures}
    for run in audit.runs:
        if run.pipeline.spec.survive:
            for lost in sorted(_losses(run), key=sorted):
                failure = failures.get(lost)
                if failure is None or run.id not in {entry.id for entry in failure.workloads}:
                    yield Finding("invariant/15", run.id, "--".join(sorted(lost)), "assignments after its loss", "none")
    known = {entry.id for entry in audit.document.workloads} & audit.snapshot.workloads.keys()
    for lost, failure in failures.items():
        for entry in failure.workloads:
            if entry.id not in known:
                yield Finding("invariant/15", entry.id, f"without {failure.lost}", "a workload that is placed", "none")
        yield from _scenario(audit, lost, failure)


def _losses(run: Run) -> set[Lost]:
    """Return every single site (not the origin) and link that a run uses."""
    hops = {frozenset(hop) for flow in run.flows.values() for hop in pairwise(flow.route)}
    sites = {entry.site for entry in run.stages.values()} | {site for hop in hops for site in hop}
    return {frozenset((site,)) for site in sites - {run.origin.name}} | hops


def _scenario(audit: Audit, lost: Lost, failure: FailureEntry) -> Iterator[Finding]:
    moved = _moved(audit, failure)
    stay = [run for run in audit.runs if run.id not in {m.id for m in moved} and run.origin.name not in lost]
    for run in moved:
        yield from _after_loss(audit, run, lost)
    load = load_of([*moved, *(run for run in stay if not touches(run, lost))])
    for finding in (*_overloaded(audit, load.reserved), *capacity.links(audit, load)):
        yield Finding(
            "invariant/15",
            finding.workload,
            f"without {failure.lost}: {finding.subject}",
            finding.expected,
            finding.found,
        )


def _moved(audit: Audit, failure: FailureEntry) -> list[Run]:
    entries = {entry.id: entry for entry in audit.document.workloads if entry.id in audit.snapshot.workloads}
    return [
        audit.run(entries[workload.id], assignment)
        for workload in failure.workloads
        if workload.id in entries
        for assignment in workload.assignments
    ]


def _after_loss(audit: Audit, run: Run, lost: Lost) -> Iterator[Finding]:
    subject = "--".join(sorted(lost))
    if touches(run, lost) or set(run.graph.stages) != {stage.name for stage in run.pipeline.spec.stages}:
        yield Finding("invariant/15", run.id, f"without {subject}", "whole, and without what is lost", "not so")
    time = latency.modelled(audit, run)
    found: list[Finding] = [*presence.graph_of(run), *presence.placing(audit, run)]
    found += [f for entry in run.assignment.stages for f in residency.stage_at_site(audit, run, entry)]
    found += [f for flow in run.assignment.flows for f in residency.flow_on_route(audit, run, flow)]
    found += list(latency.too_slow(run, time)) if time is not None else []
    for finding in found:
        yield Finding("invariant/15", run.id, f"without {subject}: {finding.subject}", finding.expected, finding.found)


def _overloaded(audit: Audit, reserved: Mapping[PoolKey, Fraction]) -> Iterator[Finding]:
    throughput = capacity.throughputs(audit)
    for key, rate in sorted(reserved.items()):
        if rate > throughput.get(key, 0) * capacity.SLACK:
            found = f"{float(throughput.get(key, 0)):.9g}/s"
            yield Finding(
                "plan/load", "", capacity.pool_name(key), f"throughput of at least {float(rate):.9g}/s", found
            )
