"""The twenty invariants as a table: what each demands, what checks it, and the field whose absence leaves it open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from placement.check import declassifying, domains, flows, presence, residency, safeguards
from placement.check.audit import Audit, Run
from placement.check.classes import RunCheck
from placement.check.fallbacks import in_order
from placement.check.graph import declared
from placement.check.inputs import CHECKER, checker_digest
from placement.check.labels import joined_with_keys, within
from placement.check.questions import hired_by, parties_at
from placement.check.result import Finding

Check = Callable[[Audit], Iterator[Finding]]
Missing = Callable[[Audit], str | None]


@dataclass(frozen=True, slots=True)
class Invariant:
    """One numbered promise.

    Attributes:
        title: as design/residency.md says it.
        runs: what is asked of every assignment, in normal running and after a loss; one may serve several numbers.
        checks: what is asked of the plan as a whole.
        missing: what is not known, so that the invariant is *not checked*; None when it was checked in full.
    """

    title: str
    runs: tuple[RunCheck, ...] = ()
    checks: tuple[Check, ...] = ()
    missing: Missing = lambda audit: None


def stages(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield what is wrong with the label, decisions and citations of each stage at its site."""
    for entry in run.assignment.stages:
        yield from residency.stage_at_site(audit, run, entry)


def hops(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield what is wrong with the label, decisions and citations of each flow on its route."""
    yield from residency.flows_on_routes(audit, run)


def fallbacks(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield what is wrong with each target of each fallback order."""
    for stage, order in run.assignment.outline.orders:
        for kind, place in order:
            where = None if place is None else run.assignment.places[place]
            yield from residency.fallback_target(audit, run, stage, kind, where)


def declassifiers(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield what is wrong with each declassifier that a plan relies upon and that lowers nothing."""
    policy = audit.snapshot.policies[run.pipeline.metadata.tenant]
    stages = declared(run.pipeline.spec)
    for entry in policy.spec.declassifiers:
        stage = stages.get(entry.stage)
        if stage is None or entry.stage in run.labels.lowering.registered or not _relied_on(run, entry.stage):
            continue
        days = (audit.document.since, audit.document.until)
        for number, expected in declassifying.faults(entry, stage, policy, audit.snapshot, days):
            subject, found = f"{run.pipeline.name}/{stage.name}", f"declassifier by {entry.approver}"
            yield Finding(f"invariant/{number}", "", subject, expected, found)


def _relied_on(run: Run, stage: str) -> bool:
    """Return whether a plan states less on a flow than the stage that sends it holds."""
    sent = (flow for flow in run.assignment.flows if flow.from_stage == stage)
    return any(not within(run.labels.of(stage), flow.label) for flow in sent)


def keys(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield each stage where pseudonymised data meets data under the same key, and identified data is not permitted."""
    for entry in run.assignment.stages:
        if entry.stage in run.graph.stages and joined_with_keys(run.labels.of(entry.stage)):
            for decisions in residency.joined(audit, run, entry):
                yield from residency.refusals(run, entry.stage, decisions, 17)


def _used_sites(audit: Audit) -> list[str]:
    return sorted(audit.seen.sites)


def _no_telemetry(audit: Audit) -> str | None:
    silent = [name for name in _used_sites(audit) if audit.snapshot.site(name).spec.telemetry is None]
    return f"telemetry of {_some(silent)}" if silent else None


def _no_authority(audit: Audit) -> str | None:
    policies = [audit.snapshot.policies[tenant].spec for tenant in audit.tenants]
    named = {entry.approver for spec in policies if spec.approvers is None for entry in spec.declassifiers}
    return f"over which atoms {_some(sorted(named))} has authority: the Policy names no approvers" if named else None


def _no_reliance(audit: Audit) -> str | None:
    specs = [audit.snapshot.policies[tenant].spec for tenant in audit.tenants]
    rules = [rule for spec in specs for rule in spec.rules]
    rules += [rule for spec in specs for name in spec.packs for rule in audit.snapshot.packs[name].spec.rules]
    if any(rule.readable_by is not None for rule in rules):
        return None
    return "no rule relies on encryption (readableBy): every party counts as reading"


def _no_purpose(audit: Audit) -> str | None:
    running = {
        f"{pipeline}/{name}"
        for pipeline, graphs in audit.seen.graphs.items()
        for graph in graphs
        for name, stage in graph.stages.items()
        if not stage.purpose
    }
    return f"purpose of stage {_some(sorted(running))}" if running else None


def _no_subprocessors(audit: Audit) -> str | None:
    taking_part = {
        f"{name}/{role}": party for name in _used_sites(audit) for role, party in parties_at(audit.snapshot.site(name))
    }
    for hop in audit.seen.hops & audit.snapshot.links.keys():
        if (link := audit.snapshot.links[hop]).tls != "passthrough":
            taking_part |= {f"{'--'.join(sorted(hop))}/{r}": p for r, p in hired_by("intermediary", link.intermediary)}
    silent = [name for name, party in sorted(taking_part.items()) if party is None or party.subprocessors is None]
    return f"subprocessors of {_some(silent)}" if silent else None


def _no_key(audit: Audit) -> str | None:
    fleet = audit.snapshot
    declared_atoms = [atom for model in fleet.models.values() for atom in model.spec.trained_on or ()]
    declared_atoms += [atom for store in fleet.knowledge.values() for atom in store.spec.data]
    named = {pipeline.spec.input.key_ref for pipeline in fleet.pipelines.values()}
    named |= {atom.key_ref for atom in declared_atoms}
    return None if any(named) else "no atom gives keyRef"


def _no_checker(audit: Audit) -> str | None:
    bound = audit.document.inputs.get(CHECKER)
    if bound is None:
        return "inputs binds no checker"
    return None if bound == checker_digest() else f"inputs binds another checker, {bound}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


DECISIONS: tuple[RunCheck, ...] = (stages, hops)

INVARIANTS: dict[int, Invariant] = {
    1: Invariant("Every stage, artefact, flow and side sink is present and placed.",
                 (presence.graph_of, *DECISIONS), missing=_no_telemetry),
    2: Invariant("The recomputed label fixpoint is within the plan's labels.", DECISIONS),
    3: Invariant("Labels fall only at registered declassifiers, whose digest, parameters and atoms match.",
                 (*DECISIONS, declassifiers)),
    4: Invariant("The approver has authority over those atoms and is not the owner; the approval is in force.",
                 (declassifiers,), missing=_no_authority),
    5: Invariant("Declassifiers run where the raw label is permitted.", DECISIONS),
    6: Invariant("Every artefact × site × activity × party has a permitting decision.", DECISIONS),
    7: Invariant("Each decision cites a rule in force; facts that are expired, unknown, or below the basis that the "
                 "rule asks for fail.", DECISIONS),
    8: Invariant("All packs triggered by atoms, parties and sites were evaluated.", DECISIONS),
    9: Invariant("An instrument covers exporter, importer, class and the whole window.", DECISIONS),
    10: Invariant("The transitive compellableBy stays within the required set, key custodian included.", DECISIONS),
    11: Invariant("Where encryption is relied on, excluded parties hold no key and no plaintext arises there.",
                  DECISIONS, missing=_no_reliance),
    12: Invariant("Administrative, support and emergency access are permitted.", DECISIONS),
    13: Invariant("The stage's purpose is among every atom's purposes; training is never implicit.",
                  DECISIONS, missing=_no_purpose),
    14: Invariant("Sub-processors are checked recursively.", DECISIONS, missing=_no_subprocessors),
    15: Invariant("Failover, overflow and retry targets are checked like primaries.",
                  (fallbacks, *DECISIONS)),
    16: Invariant("An intermediary that ends TLS processes; a pass-through path is declared.", DECISIONS),
    17: Invariant("Nobody joins pseudonymised data with its key unless identified data is permitted there.",
                  (keys,), missing=_no_key),
    18: Invariant("Retention is bounded for every copy, and an erasure path exists.",
                   (safeguards.retention,), missing=safeguards.unbounded),
    19: Invariant("Media that cross an air gap, receipts on the way home included, are declared and directional.",
                  (), (safeguards.crossings,), safeguards.undeclared),
    20: Invariant("The plan binds the digests of manifests, packs, pipelines and checker; its expiry is no later than "
                  "the earliest input's.", missing=_no_checker),
}  # fmt: skip
"""Number to promise. Invariant 20's digests are compared before anything else (`inputs.require_current`); that every
workload is there once (1), and that losses are survived (15), is asked of the whole (`Workloads`, `Survival`)."""

CONSISTENCY: tuple[RunCheck, ...] = (presence.placing, flows.agree, domains.apart, in_order)
"""What makes an assignment agree with itself and with the manifests, beside the invariants."""
