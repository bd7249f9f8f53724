"""Every decision of a plan, asked again, and every refusal with the number of the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from placement.check.audit import Audit, Run
from placement.check.document import FlowEntry, StageEntry, TargetEntry, planned_label
from placement.check.evaluator import Reason
from placement.check.graph import INPUT, declared, graph, senders
from placement.check.labels import joined_with_keys, within
from placement.check.questions import SUBPROCESSOR, Decision
from placement.check.result import Finding
from placement.check.snapshot import serves
from placement.pipeline import Stage
from sites.data import Label
from sites.site import EXPECTED_ROLES, Activity


def activities_of(stage: Stage, *, fallback: bool = False) -> tuple[Activity, ...]:
    """Return the activities of a stage beside process, log and access."""
    keeps = stage.task == "retrieve" or stage.knowledge is not None or stage.retain is not None
    queues = stage.is_async or stage.task == "queue"
    keeping: tuple[Activity, ...] = ("store", "backup") if keeps or queues else ()
    return (*keeping, "failover") if fallback else keeping


def number_of(decision: Decision, reason: Reason) -> int:
    """Return the invariant that a refused decision breaks: the most particular one."""
    tests = set(reason.tests)
    if "purpose" in tests:
        return 13
    if tests & {"applicability", "no-pack"}:
        return 8
    if decision.role is not None and decision.role.endswith(SUBPROCESSOR):
        return 14
    if decision.role == "intermediary":
        return 16
    if decision.role is not None:
        return 12 if decision.role in EXPECTED_ROLES else 14
    if "readable_by" in tests and "compellable_by" not in tests:
        return 11
    if "compellable_by" in tests and "countries" not in tests:
        return 10
    if "instrument" in tests:
        return 9
    return 7 if reason.unknown or tests & {"basis", "assurances"} else 6


def refusals(run: Run, subject: str, decisions: Iterable[Decision], number: int | None = None) -> Iterator[Finding]:
    """Yield a finding per decision that is no permit; `number` replaces the particular one."""
    for decision in decisions:
        judgement = decision.judgement
        if judgement.outcome == "permit":
            continue
        reason = judgement.reasons[0]
        who = f" by {decision.role}" if decision.role else ""
        asked = f"permit: {decision.atom.data} {decision.activity}{who} at {decision.place or 'an unknown place'}"
        names = ", ".join(f"residency:{rule}" for rule in judgement.rules)
        code = f"invariant/{number or number_of(decision, reason)}"
        yield Finding(code, run.id, subject, asked, f"{judgement.outcome}: {names}")


def cited(run: Run, subject: str, decisions: Iterable[Decision], stated: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding when the rules that a plan cites are not the sorted union over permitting decisions."""
    found = list(decisions)
    if any(decision.judgement.outcome != "permit" for decision in found):
        return
    expected = sorted({rule for decision in found for rule in decision.judgement.rules})
    if list(stated) == expected:
        return
    missing = {rule.split("/")[0] for rule in expected} - {rule.split("/")[0] for rule in stated}
    code = "invariant/8" if missing else "invariant/7"
    yield Finding(code, run.id, subject, f"rules {', '.join(expected)}", f"rules {', '.join(stated)}")


def stage_at_site(audit: Audit, run: Run, entry: StageEntry) -> Iterator[Finding]:
    """Yield what is wrong with a stage's label, its declassifier's sites, its decisions and the rules it cites."""
    stage = run.graph.stages.get(entry.stage)
    if stage is None:
        return
    label = run.labels.of(entry.stage)
    if not within(label, planned_label(entry.label)):
        yield Finding("invariant/2", run.id, entry.stage, _shown(label), _shown(planned_label(entry.label)))
    decisions, sunk = _at_site(audit, run, entry, label)
    lowers = run.labels.lowering.registered.get(entry.stage)
    if lowers and entry.site not in lowers.sites:
        yield Finding("invariant/5", run.id, entry.stage, f"one of {', '.join(lowers.sites)}", entry.site)
    yield from refusals(run, entry.stage, decisions)
    yield from refusals(run, entry.stage, decisions, 5) if lowers else ()
    yield from refusals(run, entry.stage, sunk, 1)
    yield from cited(run, entry.stage, (*decisions, *sunk, *joined(audit, run, entry)), entry.rules)


def joined(audit: Audit, run: Run, entry: StageEntry) -> tuple[Decision, ...]:
    """Return the decisions on what a stage could identify, because pseudonymised data meets its key there."""
    decisions, sunk = _at_site(audit, run, entry, joined_with_keys(run.labels.of(entry.stage)))
    return (*decisions, *sunk)


def _at_site(
    audit: Audit, run: Run, entry: StageEntry, label: Label
) -> tuple[tuple[Decision, ...], tuple[Decision, ...]]:
    """Return the decisions that running a stage with a label at its site needs, and those on its telemetry."""
    stage, site = run.graph.stages[entry.stage], audit.snapshot.site(entry.site)
    questions = audit.bench(run.pipeline.metadata.tenant).questions
    serves_instead = entry.stage not in {stage.name for stage in run.pipeline.spec.stages}
    extra = activities_of(stage, fallback=serves_instead)
    sunk = questions.telemetry(label, site, run.origin, stage.purpose)
    return questions.placing(label, site, run.origin, stage.purpose, extra), sunk


def flow_on_route(audit: Audit, run: Run, flow: FlowEntry) -> Iterator[Finding]:
    """Yield what is wrong with a flow's label, its hops' decisions, its verdict and the rules it cites."""
    ends = (flow.from_stage, flow.to_stage)
    subject, routes = ">".join(ends), audit.bench(run.pipeline.metadata.tenant).routes
    yield from _follows(run, flow, subject)
    if ends[0] not in (INPUT, *declared(run.pipeline.spec)):
        return
    label, stated = run.labels.sent(*ends), planned_label(flow.label)
    if not within(label, stated):
        sender = run.stages.get(ends[0])
        fell = sender is not None and within(label, planned_label(sender.label))
        yield Finding(f"invariant/{3 if fell else 2}", run.id, subject, _shown(label), _shown(stated))
    if routes.links(flow.route) is None:
        return
    decisions = routes.decisions(label, flow.route, run.origin)
    yield from refusals(run, subject, decisions, None if flow.role == "primary" else 15)
    yield from cited(run, subject, decisions, flow.rules)
    if flow.verdict != "permit":
        yield Finding("invariant/6", run.id, subject, "verdict permit", f"verdict {flow.verdict}")


def _follows(run: Run, flow: FlowEntry, subject: str) -> Iterator[Finding]:
    """Yield a spare flow that no stage and no target of a fallback order would use."""
    if flow.role == "primary":
        return
    if flow.role != "fallback" or flow.from_stage not in senders(run.pipeline.spec, flow.to_stage):
        yield Finding("invariant/1", run.id, subject, "a flow that a fallback of the pipeline brings", flow.role)
        return
    size = run.pipeline.spec.input.size
    size = size if flow.from_stage == INPUT else declared(run.pipeline.spec)[flow.from_stage].output
    if (flow.size, flow.rate) != (size, 0):
        found = f"{flow.size:.9g} bytes, {flow.rate:.9g}/s"
        yield Finding("plan/flow", run.id, subject, f"{size} bytes, reserving nothing", found)
    for end, site in ((flow.from_stage, flow.source), (flow.to_stage, flow.target)):
        if site not in _places(run, end):
            yield Finding("invariant/15", run.id, subject, f"an end of {end} that the plan has", site)


def _places(run: Run, end: str) -> set[str]:
    """Return every site at which the plan has a stage (or an end of the graph), fallback targets included."""
    found = {run.site_of(end)}
    for entry in run.workload.fallbacks:
        for target in entry.order:
            if end == (target.stage or entry.stage):
                found.add(target.queue or target.site)
            elif target.queue is not None and end in _queues(run, entry.stage):
                found.add(target.queue)
    return {site for site in found if site is not None}


def _queues(run: Run, name: str) -> tuple[str, ...]:
    """Return the fallback stages of a stage that queue."""
    stages = declared(run.pipeline.spec)
    fallbacks = stages[name].fallback if name in stages else ()
    return tuple(each for each in fallbacks if stages[each].task == "queue")


def fallback_target(audit: Audit, run: Run, name: str, target: TargetEntry) -> Iterator[Finding]:
    """Yield what forbids one target of a stage's fallback order: who serves, decisions, and routes there and on."""
    stages = {stage.name: stage for stage in (*run.pipeline.spec.stages, *run.pipeline.spec.fallbacks)}
    serving, where = target.stage or name, target.queue or target.site
    if name not in stages or where is None or serving not in (name, *stages[name].fallback):
        yield Finding(
            "invariant/15", run.id, name, "a fallback of the stage at a site", target.model_dump_json(exclude_none=True)
        )
        return
    stage, site = stages[serving], audit.snapshot.site(where)
    questions = audit.bench(run.pipeline.metadata.tenant).questions
    label = run.labels.of(serving)
    label = (*label, *joined_with_keys(label))
    extra = ("store", "backup", "failover") if target.queue else activities_of(stage, fallback=True)
    subject = f"{name} falls back to {serving if not target.queue else 'queue'} at {where}"
    if not serves(site, run.origin):
        yield Finding("invariant/15", run.id, subject, f"a site that serves {run.origin.name}", where)
    if stage.models and not target.queue:
        why = audit.snapshot.unfit(stage, target.model or "", target.variant or "")
        if why:
            yield Finding("invariant/15", run.id, subject, "an approved variant that fits", why)
    yield from refusals(run, subject, questions.placing(label, site, run.origin, stage.purpose, extra), 15)
    yield from refusals(run, subject, questions.telemetry(label, site, run.origin, stage.purpose), 15)
    yield from _unreachable(audit, run, name, serving, where, subject, queued=target.queue is not None)


def _unreachable(
    audit: Audit, run: Run, name: str, serving: str, where: str, subject: str, *, queued: bool
) -> Iterator[Finding]:
    """Yield every flow to or from a fallback target for which no permitted route exists."""
    replaced = graph(run.pipeline, {name: serving} if serving != name else {})
    routes = audit.bench(run.pipeline.metadata.tenant).routes
    for flow in sorted(replaced.flows):
        if serving not in flow or (queued and flow[0] == serving):
            continue
        ends = [where if end == serving else run.site_of(end) for end in flow]
        if ends[0] is None or ends[1] is None:
            continue
        waits = not replaced.is_async(flow) and not queued
        if routes.best(run.labels.sent(*flow), ends[0], ends[1], run.origin, waits=waits) is None:
            yield Finding("invariant/15", run.id, subject, f"a permitted route {ends[0]} to {ends[1]}", "none")


def _shown(label: Iterable[object]) -> str:
    return ", ".join(str(atom.to_json()) for atom in label if hasattr(atom, "to_json")) or "an empty label"
