"""Every decision of a plan, asked again, and every refusal with the number of the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from placement.check.audit import Audit, Run
from placement.check.document import FlowEntry, FlowKind, StageEntry, TargetKind
from placement.check.evaluator import Reason
from placement.check.graph import INPUT, senders
from placement.check.labels import joined_with_keys, within
from placement.check.presence import refused
from placement.check.questions import SUBPROCESSOR, Decision, Decisions
from placement.check.result import Finding
from placement.pipeline import Stage
from sites.data import Label
from sites.site import EXPECTED_ROLES, Activity, Site


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


def refusals(run: Run, subject: str, decisions: Decisions, number: int | None = None) -> Iterator[Finding]:
    """Yield a finding per decision that is no permit; `number` replaces the particular one."""
    for decision in decisions.refused:
        judgement = decision.judgement
        reason = judgement.reasons[0]
        who = f" by {decision.role}" if decision.role else ""
        asked = f"permit: {decision.atom.data} {decision.activity}{who} at {decision.place or 'an unknown place'}"
        names = ", ".join(f"residency:{rule}" for rule in judgement.rules)
        code = f"invariant/{number or number_of(decision, reason)}"
        yield Finding(code, run.id, subject, asked, f"{judgement.outcome}: {names}")


def cited(run: Run, subject: str, decisions: Iterable[Decisions], stated: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding when the rules that a plan cites are not the sorted union over permitting decisions."""
    found = list(decisions)
    if any(part.refused for part in found):
        return
    expected = sorted(frozenset[str]().union(*(part.rules for part in found)))
    if list(stated) == expected:
        return
    missing = {rule.split("/")[0] for rule in expected} - {rule.split("/")[0] for rule in stated}
    code = "invariant/8" if missing else "invariant/7"
    yield Finding(code, run.id, subject, f"rules {', '.join(expected)}", f"rules {', '.join(stated)}")


def stage_at_site(audit: Audit, run: Run, entry: StageEntry) -> Iterator[Finding]:
    """Yield what is wrong with a stage's label, its declassifier's sites, its decisions and the rules it cites."""
    if entry.stage in run.graph.stages:
        law = audit.snapshot.profiles.law
        fails_over = run.fails_over(entry.stage, entry.site)
        key = (run.labels, entry.kind, law(entry.site), law(run.origin.name), fails_over)
        yield from audit.clean(key, lambda: _stage_at_site(audit, run, entry))


def _stage_at_site(audit: Audit, run: Run, entry: StageEntry) -> Iterator[Finding]:
    label = run.labels.of(entry.stage)
    if not within(label, entry.label):
        yield Finding("invariant/2", run.id, entry.stage, _shown(label), _shown(entry.label))
    elif label != entry.label:
        audit.seen.stricter.add(f"{run.pipeline.name}/{entry.stage}")
    decisions, sunk = _at_site(audit, run, entry, label)
    lowers = run.labels.lowering.registered.get(entry.stage)
    if lowers and entry.site not in lowers.sites:
        yield Finding("invariant/5", run.id, entry.stage, f"one of {', '.join(lowers.sites)}", entry.site)
    yield from refusals(run, entry.stage, decisions)
    yield from refusals(run, entry.stage, decisions, 5) if lowers else ()
    yield from refusals(run, entry.stage, sunk, 1)
    yield from cited(run, entry.stage, (decisions, sunk, *joined(audit, run, entry)), entry.rules)


def joined(audit: Audit, run: Run, entry: StageEntry) -> tuple[Decisions, Decisions]:
    """Return the decisions on what a stage could identify, because pseudonymised data meets its key there."""
    return _at_site(audit, run, entry, joined_with_keys(run.labels.of(entry.stage)))


def _at_site(audit: Audit, run: Run, entry: StageEntry, label: Label) -> tuple[Decisions, Decisions]:
    """Return the decisions that running a stage with a label at its site needs, and those on its telemetry."""
    stage, site = run.graph.stages[entry.stage], audit.snapshot.site(entry.site)
    questions = audit.bench(run.pipeline.metadata.tenant).questions
    extra = activities_of(stage, fallback=run.fails_over(entry.stage, entry.site))
    sunk = questions.telemetry(label, site, run.origin, stage.purpose)
    return questions.placing(label, site, run.origin, stage.purpose, extra), sunk


def flows_on_routes(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield what is wrong with flows' labels, their hops' decisions, verdicts, the rules they cite, and spare flows.

    What was found right over kinds of hops is not looked at again, whichever flow says it.
    """
    outline, places = run.assignment.outline, run.assignment.places
    crossed = {(a, b): audit.snapshot.crossing(places[a], places[b]) for a, b in outline.hops}
    tenant = run.pipeline.metadata.tenant
    law = audit.bench(tenant).questions.law_of(run.origin)
    right, worded, followers = audit.lawful(tenant), audit.worded(run.labels), audit.followers(run.pipeline)
    for number, (kind, source, target, route) in enumerate(outline.flows):
        if kind.role != "primary" and not (kind in followers and _ends_are_there(run, kind, source, target)):
            found = list(_follows(run, run.assignment.flow(number)))
            yield from found
            if not found:
                followers.add(kind)
        if kind.from_stage != INPUT and kind.from_stage not in run.labels.stages:
            continue
        wording = worded.get(kind)
        if wording is None:
            wording = worded[kind] = _wording(audit, run, kind)
        key = (wording, law, *[crossed[hop] for hop in pairwise(route)])
        if key not in right:
            found = list(_flow_on_route(audit, run, run.assignment.flow(number)))
            yield from found
            if not found:
                right.add(key)


def _wording(audit: Audit, run: Run, kind: FlowKind) -> int:
    """Return the number of what is said of a flow, beside what is derived; note a label that says less."""
    label = run.labels.sent(kind.from_stage, kind.to_stage)
    if label != kind.label and within(label, kind.label):
        audit.seen.stricter.add(f"{run.pipeline.name}/{kind.from_stage}>{kind.to_stage}")
    return audit.wordings[(label, kind.label, kind.rules, kind.verdict)]


def _flow_on_route(audit: Audit, run: Run, flow: FlowEntry) -> Iterator[Finding]:
    ends = flow.ends
    subject, routes = ">".join(ends), audit.bench(run.pipeline.metadata.tenant).routes
    label = run.labels.sent(*ends)
    if not within(label, flow.label):
        sender = run.stages.get(ends[0])
        fell = sender is not None and within(label, sender.label)
        yield Finding(f"invariant/{3 if fell else 2}", run.id, subject, _shown(label), _shown(flow.label))
    if routes.links(flow.route) is None:
        return
    decisions = routes.decisions(label, flow.route, run.origin)
    for hop in decisions:
        yield from refusals(run, subject, hop, None if flow.kind.role == "primary" else 15)
    yield from cited(run, subject, decisions, flow.rules)
    if flow.kind.verdict != "permit":
        yield Finding("invariant/6", run.id, subject, "verdict permit", f"verdict {flow.kind.verdict}")


def _ends_are_there(run: Run, kind: FlowKind, source: int, target: int) -> bool:
    """Return whether a stage, or a target of a fallback order, is at either end of a spare flow."""
    ends, spare = run.ends, run.spare_places
    return (ends.get(kind.from_stage) == source or (kind.from_stage, source) in spare) and (
        ends.get(kind.to_stage) == target or (kind.to_stage, target) in spare
    )


def _follows(run: Run, flow: FlowEntry) -> Iterator[Finding]:
    """Yield a spare flow that no stage and no target of a fallback order would use."""
    kind, subject = flow.kind, ">".join(flow.ends)
    if kind.role != "fallback" or kind.from_stage not in senders(run.pipeline.spec, kind.to_stage):
        yield Finding("invariant/1", run.id, subject, "a flow that a fallback of the pipeline brings", kind.role)
        return
    size = run.pipeline.spec.input.size
    size = size if kind.from_stage == INPUT else run.labels.stages[kind.from_stage].output
    if (kind.size, kind.rate) != (size, 0):
        found = f"{kind.size:.9g} bytes, {kind.rate:.9g}/s"
        yield Finding("plan/flow", run.id, subject, f"{size} bytes, reserving nothing", found)
    for end, site in ((kind.from_stage, flow.source), (kind.to_stage, flow.target)):
        if site != run.site_of(end) and site not in run.spare.get(end, ()):
            yield Finding("invariant/15", run.id, subject, f"an end of {end} that the plan has", site)


def fallback_target(audit: Audit, run: Run, name: str, kind: TargetKind, where: str | None) -> Iterator[Finding]:
    """Yield what forbids one target of a stage's fallback order: who serves, pins and taints, and the decisions."""
    stages = run.labels.stages
    serving = kind.stage or name
    if name not in stages or where is None or serving not in (name, *stages[name].fallback):
        yield Finding("invariant/15", run.id, name, "a fallback of the stage at a site", f"{serving} at {where}")
        return
    site, kinds = audit.snapshot.site(where), audit.snapshot.profiles.kind
    key = (run.labels, name, kind, kinds(where), kinds(run.origin.name), where == run.origin.name)
    yield from audit.clean(key, lambda: _target(audit, run, name, kind, stages[serving], site))


def _target(audit: Audit, run: Run, name: str, kind: TargetKind, stage: Stage, site: Site) -> Iterator[Finding]:
    where = site.name
    subject = f"{name} falls back to {'queue' if kind.queues else stage.name} at {where}"
    for code, expected in refused(audit, run, stage, where):
        if not kind.queues or code in ("plan/serves", "plan/taint"):
            yield Finding("invariant/15", run.id, subject, expected, where)
    if stage.models and not kind.queues:
        why = audit.snapshot.unfit(stage, kind.model or "", kind.variant or "")
        if why:
            yield Finding("invariant/15", run.id, subject, "an approved variant that fits", why)
    for decisions in would_run(audit, run, stage, site, queues=kind.queues):
        yield from refusals(run, subject, decisions, 15)


def would_run(audit: Audit, run: Run, stage: Stage, site: Site, *, queues: bool = False) -> tuple[Decisions, ...]:
    """Return the decisions that a stage needs which takes over at a site, or whose input queues there."""
    questions = audit.bench(run.pipeline.metadata.tenant).questions
    label = run.labels.of(stage.name)
    extra = ("store", "backup", "failover") if queues else activities_of(stage, fallback=True)
    placing = [
        questions.placing(each, site, run.origin, stage.purpose, extra) for each in (label, joined_with_keys(label))
    ]
    return (*placing, questions.telemetry(label, site, run.origin, stage.purpose))


def _shown(label: Iterable[object]) -> str:
    return ", ".join(str(atom.to_json()) for atom in label if hasattr(atom, "to_json")) or "an empty label"
