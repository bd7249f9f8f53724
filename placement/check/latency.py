"""Latency of a run, its slowest path from input to answer, over the routes that the design asks for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from placement.check.audit import Audit, Run, exact
from placement.check.document import FlowEntry
from placement.check.graph import ANSWER, INPUT
from placement.check.presence import near
from placement.check.result import Finding
from placement.check.routes import Routes
from placement.check.snapshot import speed_on

HALF_A_MICROSECOND = 0.0006
"""Milliseconds are rounded to three decimals."""


def flows(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every flow whose ends, bytes, rate or route are not what graph, manifests and links make them."""
    routes = audit.bench(run.pipeline.metadata.tenant).routes
    for entry in run.assignment.flows:
        subject = f"{entry.from_stage}>{entry.to_stage}"
        if not entry.route or (entry.route[0], entry.route[-1]) != (entry.source, entry.target):
            expected = f"{entry.source} to {entry.target}"
            yield Finding("plan/route", run.id, subject, expected, " ".join(entry.route) or "no route")
        elif routes.links(entry.route) is None:
            yield Finding("plan/route", run.id, subject, "linked sites", " ".join(entry.route))
    for flow, entry in run.flows.items():
        if flow in run.graph.flows:
            yield from _numbers(run, flow, entry)
            yield from _best(run, flow, entry, routes)


def _numbers(run: Run, flow: tuple[str, str], entry: FlowEntry) -> Iterator[Finding]:
    subject, ends = ">".join(flow), (run.site_of(flow[0]), run.site_of(flow[1]))
    if (entry.source, entry.target) != ends:
        yield Finding("plan/flow", run.id, subject, f"from {ends[0]} to {ends[1]}", f"{entry.source} to {entry.target}")
    if entry.size != run.flow_bytes(flow):
        yield Finding("plan/flow", run.id, subject, f"{run.flow_bytes(flow)} bytes", f"{entry.size:.9g} bytes")
    rate = float(run.flow_rate(flow))
    if not near(entry.rate, rate):
        yield Finding("plan/flow", run.id, subject, f"{rate:.9g}/s", f"{entry.rate:.9g}/s")


def _best(run: Run, flow: tuple[str, str], entry: FlowEntry, routes: Routes) -> Iterator[Finding]:
    waits = not run.graph.is_async(flow)
    best = routes.best(run.labels.sent(*flow), entry.source, entry.target, run.origin, waits=waits)
    if best != entry.route:
        expected = " ".join(best) if best else "no such flow: no route is permitted"
        yield Finding("plan/route", run.id, ">".join(flow), expected, " ".join(entry.route))


def modelled(audit: Audit, run: Run) -> Fraction | None:
    """Return the slowest path in microseconds; None when the plan lacks what it needs, zero when nothing waits."""
    routes = audit.bench(run.pipeline.metadata.tenant).routes
    idle = _not_waiting(run)
    known: dict[str, Fraction | None] = {INPUT: Fraction(0)}
    for name in _in_order(run):
        arrivals = [_arrival(run, flow, known, routes, idle) for flow in sorted(run.graph.flows) if flow[1] == name]
        own = Fraction(0) if name == ANSWER or name in idle else _stage_time(audit, run, name)
        late = [time for time in arrivals if time is not None]
        known[name] = None if own is None or len(late) < len(arrivals) else max(late, default=Fraction(0)) + own
    return known[ANSWER]


def _not_waiting(run: Run) -> set[str]:
    """Return the asynchronous stages and all that only follow from them; no answer waits for these."""
    idle = {name for name, stage in run.graph.stages.items() if stage.is_async}
    grown = True
    while grown:
        more = {flow[1] for flow in run.graph.flows if flow[0] in idle and flow[1] != ANSWER} - idle
        idle |= more
        grown = bool(more)
    return idle


def _in_order(run: Run) -> list[str]:
    """Return the stages so that senders come first, the answer last."""
    left, order = set(run.graph.stages), [INPUT]
    while left:
        ready = sorted(n for n in left if all(source in order for source, target in run.graph.flows if target == n))
        if not ready:
            break
        order += ready
        left -= set(ready)
    return [*order[1:], ANSWER]


def _arrival(
    run: Run, flow: tuple[str, str], known: dict[str, Fraction | None], routes: Routes, idle: set[str]
) -> Fraction | None:
    """Return when a flow has arrived; zero for what nobody waits for."""
    if flow[0] in idle or flow[1] in idle:
        return Fraction(0)
    entry, start = run.flows.get(flow), known.get(flow[0])
    if entry is None or start is None or routes.links(entry.route) is None:
        return None
    measure = routes.measure(entry.route)
    transfer = Fraction(run.flow_bytes(flow) * 8 * 10**6, measure.bandwidth) if measure.bandwidth else 0
    return start + Fraction(measure.rtt, 2) + transfer


def _stage_time(audit: Audit, run: Run, name: str) -> Fraction | None:
    """Return service and modelled waiting of one stage in microseconds; zero for a built-in one."""
    stage, entry = run.graph.stages[name], run.stages.get(name)
    if not stage.models:
        return Fraction(0)
    if entry is None or entry.model is None or entry.variant is None or entry.hardware is None:
        return None
    group, variant = (
        audit.snapshot.group(entry.site, entry.hardware),
        audit.snapshot.variant(entry.model, entry.variant),
    )
    speed = speed_on(variant, group) if group and variant else None
    load = exact(run.pipeline.spec.utilisation)
    return None if speed is None else speed.service * (1 + load / (2 * (1 - load)))


def latencies(audit: Audit) -> Iterator[Finding]:
    """Yield every workload that is slower than its objective, or whose stated latency is not the modelled one."""
    slowest: dict[str, Fraction] = {}
    for run in audit.runs:
        time = modelled(audit, run)
        if time is not None:
            slowest[run.id] = max(time, slowest.get(run.id, Fraction(0)))
            yield from too_slow(run, time)
    for entry in audit.document.workloads:
        if entry.id not in slowest:
            continue
        limit = audit.snapshot.workloads[entry.id][0].spec.latency
        stated, found = float(slowest[entry.id] / 1000), entry.latency_ms
        if not near(found.modelled, stated, absolute=HALF_A_MICROSECOND):
            yield Finding("plan/latency", entry.id, "modelled", f"{stated:.3f} ms", f"{found.modelled} ms")
        if found.limit != (None if limit is None else limit / 1000):
            yield Finding("plan/latency", entry.id, "limit", f"{limit} µs", f"{found.limit} ms")


def too_slow(run: Run, time: Fraction) -> Iterator[Finding]:
    """Yield a finding when a run's slowest path (microseconds) exceeds the pipeline's objective."""
    limit = run.pipeline.spec.latency
    if limit is not None and time > limit:
        yield Finding("plan/latency", run.id, "objective", f"at most {limit / 1000} ms", f"{float(time / 1000):.3f} ms")
