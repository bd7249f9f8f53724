"""Whether every workload, stage and flow is present once, as the manifests ask: invariant 1 and statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from placement.check.audit import Audit, Run, exact
from placement.check.document import UnplacedEntry, WorkloadEntry
from placement.check.result import Finding
from placement.check.snapshot import rate_of, serves, speed_on
from placement.pipeline import Stage

KINDS_OF_UNPLACED = ("impossible", "crowded")


def workloads(audit: Audit) -> Iterator[Finding]:
    """Yield every workload that is missing, unknown, or there twice."""
    listed = Counter([entry.id for entry in audit.document.workloads] + [entry.id for entry in audit.document.unplaced])
    for name in sorted(audit.snapshot.workloads.keys() | listed.keys()):
        if listed[name] != 1 or name not in audit.snapshot.workloads:
            expected = "once" if name in audit.snapshot.workloads else "no such workload"
            yield Finding("invariant/1", name, "workload", expected, f"listed {listed[name]} times")
    for entry in audit.document.workloads:
        if entry.id in audit.snapshot.workloads:
            yield from _facts(audit, entry)
    for unplaced in audit.document.unplaced:
        yield from _unplaced(unplaced)


def _facts(audit: Audit, entry: WorkloadEntry) -> Iterator[Finding]:
    pipeline, origin = audit.snapshot.workloads[entry.id]
    rate = rate_of(pipeline, origin)
    stated = (entry.pipeline, entry.origin, entry.tenant)
    wanted = (pipeline.name, origin.name, pipeline.metadata.tenant)
    if stated != wanted:
        yield Finding("plan/workload", entry.id, "pipeline, origin, tenant", ", ".join(wanted), ", ".join(stated))
    if not near(entry.rate, float(rate)):
        yield Finding("plan/rate", entry.id, "rate", f"{float(rate):.9g}/s", f"{entry.rate:.9g}/s")
    fractions = [exact(assignment.fraction) for assignment in entry.assignments]
    if abs(float(sum(fractions)) - 1) > 1e-8 or min(fractions) <= 0:
        yield Finding("plan/fractions", entry.id, "fraction", "positive, in sum 1", f"{float(sum(fractions)):.9g}")
    if len(fractions) > 1 and not pipeline.spec.split:
        yield Finding("plan/fractions", entry.id, "fraction", "one assignment: no `split: true`", f"{len(fractions)}")
    primary = {stage.name for stage in pipeline.spec.stages}
    degraded = any(entry.stage not in primary for part in entry.assignments for entry in part.stages)
    status = "degraded" if degraded else "placed"
    if entry.status != status:
        yield Finding("plan/status", entry.id, "status", status, entry.status)


def _unplaced(entry: UnplacedEntry) -> Iterator[Finding]:
    if entry.kind not in KINDS_OF_UNPLACED:
        yield Finding("plan/unplaced", entry.id, "kind", " or ".join(KINDS_OF_UNPLACED), entry.kind)
    # Without any cause no set of three is enough: of facts that are unknown, more may be missing.
    if not all(1 <= len(set(cause)) == len(cause) <= 3 for cause in entry.causes):
        yield Finding("plan/unplaced", entry.id, "causes", "sets of one to three reasons", str(list(entry.causes)))


def graph_of(run: Run) -> Iterator[Finding]:
    """Yield every stage and primary flow that is missing, needless or there twice."""
    stages = Counter(entry.stage for entry in run.assignment.stages)
    optional = run.graph.optional
    for name in sorted(run.graph.stages.keys() | stages.keys()):
        wanted = name in run.graph.stages
        if stages[name] != wanted and not (name in optional and stages[name] == 0):
            yield Finding(
                "invariant/1", run.id, name, "the stage once" if wanted else "no such stage", _times(stages[name])
            )
    flows = Counter((f.from_stage, f.to_stage) for f in run.assignment.flows if f.role == "primary")
    left_out = {name for name in optional if name not in stages}
    for flow in sorted(run.graph.flows | flows.keys()):
        wanted = flow in run.graph.flows and not left_out & set(flow)
        if flows[flow] != wanted:
            subject = ">".join(flow)
            yield Finding(
                "invariant/1", run.id, subject, "the flow once" if wanted else "no such flow", _times(flows[flow])
            )


def _times(count: int) -> str:
    return "absent" if count == 0 else f"listed {count} times"


def placing(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every stage that its site, model, hardware or knowledge may not serve, whatever the law says."""
    for name, entry in run.stages.items():
        stage, site = run.graph.stages.get(name), audit.snapshot.site(entry.site)
        if stage is None:
            continue
        if not serves(site, run.origin):
            yield Finding("plan/serves", run.id, name, f"a site that serves {run.origin.name}", entry.site)
        store = audit.snapshot.knowledge.get(stage.knowledge) if stage.knowledge else None
        if store and any(site.metadata.labels.get(key) != value for key, value in store.spec.sites.items()):
            yield Finding("plan/knowledge", run.id, name, f"a site that holds {stage.knowledge}", entry.site)
        why = _unfit(audit, stage, entry.site, entry.model, entry.variant, entry.hardware)
        if why:
            yield Finding("plan/model", run.id, name, "an approved variant that fits", why)


def _unfit(
    audit: Audit, stage: Stage, site: str, model: str | None, variant: str | None, hardware: str | None
) -> str | None:
    if not stage.models:
        return None if (model, variant, hardware) == (None, None, None) else "a model for a built-in stage"
    if model is None or variant is None or hardware is None:
        return "no model, variant or hardware"
    group, chosen = audit.snapshot.group(site, hardware), audit.snapshot.variant(model, variant)
    if group is None:
        return f"{site} has no hardware {hardware!r}"
    why = audit.snapshot.unfit(stage, model, variant)
    if why is None and chosen is not None and speed_on(chosen, group) is None:
        return f"{model}/{variant} has no speed for {hardware} ({group.arch})"
    return why


def near(found: float, expected: float, *, absolute: float = 0.0) -> bool:
    """Return whether a plan's float is the expected one at nine significant digits, or within `absolute`."""
    return abs(found - expected) <= max(absolute, 1e-8 * abs(expected))
