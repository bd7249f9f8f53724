"""The twenty invariants as a table: what each demands, what checks it, and the field whose absence leaves it open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from placement.check import declassifying, presence, residency, survival
from placement.check.audit import Audit
from placement.check.graph import declared
from placement.check.inputs import CHECKER, checker_digest
from placement.check.questions import parties_at
from placement.check.result import Finding
from placement.pipeline import Stage
from sites.policy import Declassifier
from sites.site import Party

Check = Callable[[Audit], Iterator[Finding]]
Missing = Callable[[Audit], str | None]


@dataclass(frozen=True, slots=True)
class Invariant:
    """One numbered promise.

    Attributes:
        title: as design/residency.md says it.
        checks: the functions that yield its findings; one may serve several numbers.
        missing: what is not known, so that the invariant is *not checked*; None when it was checked in full.
    """

    title: str
    checks: tuple[Check, ...]
    missing: Missing = lambda audit: None


def graphs(audit: Audit) -> Iterator[Finding]:
    """Yield what is missing from, or too much in, each workload's graph."""
    for run in audit.runs:
        yield from presence.graph_of(run)


def stages(audit: Audit) -> Iterator[Finding]:
    """Yield what is wrong with the label, decisions and citations of each stage at its site."""
    for run in audit.runs:
        for entry in run.assignment.stages:
            yield from residency.stage_at_site(audit, run, entry)


def flows(audit: Audit) -> Iterator[Finding]:
    """Yield what is wrong with the label, decisions and citations of each flow on its route."""
    for run in audit.runs:
        for flow in run.assignment.flows:
            yield from residency.flow_on_route(audit, run, flow)


def fallbacks(audit: Audit) -> Iterator[Finding]:
    """Yield what is wrong with each target of each fallback order."""
    for run in audit.runs:
        if run.assignment is run.workload.assignments[0]:
            for entry in run.workload.fallbacks:
                for target in entry.order:
                    yield from residency.fallback_target(audit, run, entry.stage, target)


def declassifiers(audit: Audit) -> Iterator[Finding]:
    """Yield each registered declassifier whose digest, approver or date is wrong: it lowers nothing."""
    for entry, pipeline, stage in _registered(audit):
        for number, expected in declassifying.faults(entry, stage, audit.snapshot, audit.document.until):
            yield Finding(
                f"invariant/{number}", "", f"{pipeline}/{stage.name}", expected, f"declassifier by {entry.approver}"
            )


def keys(audit: Audit) -> Iterator[Finding]:
    """Yield each stage where pseudonymised data meets data under the same key, and identified data is not permitted."""
    for run in audit.runs:
        for entry in run.assignment.stages:
            if entry.stage in run.graph.stages:
                yield from residency.refusals(run, entry.stage, residency.joined(audit, run, entry), 17)


def _registered(audit: Audit) -> Iterator[tuple[Declassifier, str, Stage]]:
    for pipeline in audit.snapshot.pipelines.values():
        policy = audit.snapshot.policies.get(pipeline.metadata.tenant)
        for entry in policy.spec.declassifiers if policy else ():
            stage = declared(pipeline.spec).get(entry.stage)
            if stage:
                yield entry, pipeline.name, stage


def _used_sites(audit: Audit) -> list[str]:
    return sorted({entry.site for run in audit.runs for entry in run.assignment.stages})


def _no_telemetry(audit: Audit) -> str | None:
    silent = [name for name in _used_sites(audit) if audit.snapshot.site(name).spec.telemetry is None]
    return f"telemetry of {_some(silent)}" if silent else None


def _no_parameters(audit: Audit) -> str | None:
    named = sorted({entry.stage for entry, _, _ in _registered(audit) if entry.parameters})
    return f"parameters of stage {_some(named)}: no Pipeline gives any" if named else None


def _no_authority(audit: Audit) -> str | None:
    named = sorted({entry.approver for entry, _, _ in _registered(audit)})
    return f"over which atoms {_some(named)} has authority: no manifest says it" if named else None


def _no_reliance(audit: Audit) -> str | None:
    return "no manifest says where encryption is relied on to leave a party out: every party counts as reading"


def _no_purpose(audit: Audit) -> str | None:
    running = {
        f"{run.pipeline.name}/{name}" for run in audit.runs for name, s in run.graph.stages.items() if not s.purpose
    }
    return f"purpose of stage {_some(sorted(running))}" if running else None


def _no_chain(audit: Audit) -> str | None:
    open_ends = [
        f"{name}/{role}"
        for name in _used_sites(audit)
        for role, party in parties_at(audit.snapshot.site(name))
        if not _ends(party)
    ]
    return f"controlledBy, to its end, of {_some(open_ends)}" if open_ends else None


def _ends(party: Party | None) -> bool:
    return party is not None and party.controlled_by is not None and all(_ends(p) for p in party.controlled_by)


def _no_key(audit: Audit) -> str | None:
    fleet = audit.snapshot
    declared_atoms = [atom for model in fleet.models.values() for atom in model.spec.trained_on or ()]
    declared_atoms += [atom for store in fleet.knowledge.values() for atom in store.spec.data]
    named = {pipeline.spec.input.key_ref for pipeline in fleet.pipelines.values()}
    named |= {atom.key_ref for atom in declared_atoms}
    return None if any(named) else "no atom gives keyRef"


def _no_erasure(audit: Audit) -> str | None:
    retained = any(stage.retain is not None for run in audit.runs for stage in run.graph.stages.values())
    return "no manifest declares an erasure path" if retained else "no stage gives retain"


def _no_media(audit: Audit) -> str | None:
    apart = [n for n in _used_sites(audit) if audit.snapshot.site(n).spec.connectivity.mode == "disconnected"]
    return f"no manifest declares the media that cross to {_some(apart)}" if apart else None


def _no_checker(audit: Audit) -> str | None:
    bound = audit.document.inputs.get(CHECKER)
    if bound is None:
        return "inputs binds no checker"
    return None if bound == checker_digest() else f"inputs binds another checker, {bound}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


DECISIONS: tuple[Check, ...] = (stages, flows)

INVARIANTS: dict[int, Invariant] = {
    1: Invariant("Every stage, artefact, flow and side sink is present and placed.",
                 (presence.workloads, graphs, *DECISIONS), _no_telemetry),
    2: Invariant("The recomputed label fixpoint is within the plan's labels.", DECISIONS),
    3: Invariant("Labels fall only at registered declassifiers, whose digest, parameters and atoms match.",
                 (*DECISIONS, declassifiers), _no_parameters),
    4: Invariant("The approver has authority over those atoms and is not the owner; the approval is in force.",
                 (declassifiers,), _no_authority),
    5: Invariant("Declassifiers run where the raw label is permitted.", DECISIONS),
    6: Invariant("Every artefact × site × activity × party has a permitting decision.", DECISIONS),
    7: Invariant("Each decision cites a rule in force; facts that are expired, unknown, or below the basis that the "
                 "rule asks for fail.", DECISIONS),
    8: Invariant("All packs triggered by atoms, parties and sites were evaluated.", DECISIONS),
    9: Invariant("An instrument covers exporter, importer, class and the whole window.", DECISIONS),
    10: Invariant("The transitive compellableBy stays within the required set, key custodian included.", DECISIONS),
    11: Invariant("Where encryption is relied on, excluded parties hold no key and no plaintext arises there.",
                  (), _no_reliance),
    12: Invariant("Administrative, support and emergency access are permitted.", DECISIONS),
    13: Invariant("The stage's purpose is among every atom's purposes; training is never implicit.",
                  DECISIONS, _no_purpose),
    14: Invariant("Sub-processors are checked recursively.", DECISIONS, _no_chain),
    15: Invariant("Failover, overflow and retry targets are checked like primaries.",
                  (fallbacks, *DECISIONS, survival.survival)),
    16: Invariant("An intermediary that ends TLS processes; a pass-through path is declared.", DECISIONS),
    17: Invariant("Nobody joins pseudonymised data with its key unless identified data is permitted there.",
                  (keys,), _no_key),
    18: Invariant("Retention is bounded for every copy, and an erasure path exists.", (), _no_erasure),
    19: Invariant("Media that cross an air gap, receipts on the way home included, are declared and directional.",
                  (), _no_media),
    20: Invariant("The plan binds the digests of manifests, packs, pipelines and checker; its expiry is no later than "
                  "the earliest input's.", (), _no_checker),
}  # fmt: skip
"""Number to promise. Invariant 20's digests are compared before anything else (`inputs.require_current`)."""
