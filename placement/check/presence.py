"""Whether every stage and flow is present once, as manifests ask, at sites that they allow: invariant 1, statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from placement.check.audit import Audit, Run, exact
from placement.check.document import StageEntry, StageKind, WorkloadEntry
from placement.check.graph import Flow
from placement.check.result import Finding
from placement.check.snapshot import serves
from placement.pipeline import Pipeline, Stage
from sites.noun import matches

KINDS_OF_UNPLACED = ("impossible", "crowded")


def facts(entry: WorkloadEntry, pipeline: Pipeline, rate: Fraction) -> Iterator[Finding]:
    """Yield what is wrong with what a plan says of a workload, whichever sites serve it; `rate` is its origin's."""
    said = entry.said
    stated, wanted = (said.pipeline, said.tenant), (pipeline.name, pipeline.metadata.tenant)
    if stated != wanted:
        yield Finding("plan/workload", entry.id, "pipeline, tenant", ", ".join(wanted), ", ".join(stated))
    if not near(said.rate, float(rate)):
        yield Finding("plan/rate", entry.id, "rate", f"{float(rate):.9g}/s", f"{said.rate:.9g}/s")
    limit = None if pipeline.spec.latency is None else pipeline.spec.latency / 1000
    if said.limit != limit:
        yield Finding("plan/latency", entry.id, "limit", f"{limit} ms", f"{said.limit} ms")
    yield from _fractions(entry, pipeline)
    primary = {stage.name for stage in pipeline.spec.stages}
    degraded = any(kind.stage not in primary for part in said.parts for kind, _ in part.outline.stages)
    status = "degraded" if degraded else "placed"
    if said.status != status:
        yield Finding("plan/status", entry.id, "status", status, said.status)
    yield from _reasons(entry.id, said.kind, said.causes, lacking=said.status == "degraded")


def _fractions(entry: WorkloadEntry, pipeline: Pipeline) -> Iterator[Finding]:
    fractions = [exact(part.outline.fraction) for part in entry.said.parts]
    if sum(fractions) != 1 or min(fractions) <= 0:
        yield Finding("plan/fractions", entry.id, "fraction", "positive, in sum 1", f"{float(sum(fractions)):.9g}")
    if len(fractions) > 1 and not pipeline.spec.split:
        yield Finding("plan/fractions", entry.id, "fraction", "one assignment: no `split: true`", f"{len(fractions)}")


def _reasons(name: str, kind: str | None, causes: tuple[tuple[str, ...], ...], *, lacking: bool) -> Iterator[Finding]:
    """Yield reasons that are none; `lacking` workloads have reasons, as far as these were looked into."""
    if kind is not None and (kind not in KINDS_OF_UNPLACED or not lacking):
        expected = " or ".join(KINDS_OF_UNPLACED) if lacking else "none for a workload that is placed"
        yield Finding("plan/unplaced", name, "kind", expected, kind)
    # Without any cause no set of three is enough: of facts that are unknown, more may be missing.
    if not all(1 <= len(set(cause)) == len(cause) <= 3 for cause in causes) or (causes and not lacking):
        yield Finding("plan/unplaced", name, "causes", "sets of one to three reasons", str([list(c) for c in causes]))


def unplaced(audit: Audit) -> Iterator[Finding]:
    """Yield every unplaced workload whose reasons are none."""
    for entry in audit.document.unplaced:
        yield from _reasons(entry.id, entry.kind, entry.causes, lacking=True)


def graph_of(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every stage and primary flow that is missing, needless or there twice."""
    outline = run.assignment.outline
    stages = tuple([kind.stage for kind, _ in outline.stages])
    flows = tuple([(kind.from_stage, kind.to_stage) for kind, *_ in outline.flows if kind.role == "primary"])
    yield from audit.clean((run.graph, stages, flows), lambda: _graph_of(run, Counter(stages), Counter(flows)))


def _graph_of(run: Run, stages: Counter[str], flows: Counter[Flow]) -> Iterator[Finding]:
    optional = run.graph.optional
    for name in sorted(run.graph.stages.keys() | stages.keys()):
        wanted = name in run.graph.stages
        if stages[name] != wanted and not (name in optional and stages[name] == 0):
            expected = "the stage once" if wanted else "no such stage"
            yield Finding("invariant/1", run.id, name, expected, _times(stages[name]))
    left_out = {name for name in optional if name not in stages}
    for flow in sorted(run.graph.flows | flows.keys()):
        wanted = flow in run.graph.flows and not left_out & set(flow)
        if flows[flow] != wanted:
            expected = "the flow once" if wanted else "no such flow"
            yield Finding("invariant/1", run.id, ">".join(flow), expected, _times(flows[flow]))


def _times(count: int) -> str:
    return "absent" if count == 0 else f"listed {count} times"


def placing(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every stage that its site, model, hardware or knowledge may not serve, whatever the law says."""
    profiles = audit.snapshot.profiles
    origin = profiles.kind(run.origin.name)
    for name, entry in run.stages.items():
        stage = run.graph.stages.get(name)
        if stage is not None:
            at_home = entry.site == run.origin.name
            hardware = entry.kind.hardware
            machine = None if hardware is None else profiles.machine(entry.site, hardware)
            key = (run.pipeline.name, entry.kind, profiles.kind(entry.site), machine, origin, at_home)
            yield from audit.clean(key, partial(_placing, audit, run, stage, entry))


def _placing(audit: Audit, run: Run, stage: Stage, entry: StageEntry) -> Iterator[Finding]:
    for code, expected in refused(audit, run, stage, entry.site):
        yield Finding(code, run.id, entry.stage, expected, entry.site)
    why = _unfit(audit, stage, entry.site, entry.kind)
    if why:
        yield Finding("plan/model", run.id, entry.stage, "an approved variant that fits", why)


def refused(audit: Audit, run: Run, stage: Stage, where: str) -> Iterator[tuple[str, str]]:
    """Yield (code, what is asked for) for each thing but law and hardware that keeps a stage off a site."""
    site = audit.snapshot.site(where)
    if not serves(site, run.origin):
        yield "plan/serves", f"a site that serves {run.origin.name}"
    store = audit.snapshot.knowledge.get(stage.knowledge) if stage.knowledge else None
    if store and not matches(store.spec.sites, site.metadata.labels):
        yield "plan/knowledge", f"a site that holds {stage.knowledge}"
    if isinstance(stage.sites, dict) and not matches(stage.sites, site.metadata.labels):
        yield "plan/pin", f"a site that {stage.sites} selects"
    if isinstance(stage.sites, tuple) and where not in stage.sites:
        yield "plan/pin", f"one of {', '.join(stage.sites)}"
    for taint in site.spec.taints:
        if taint.name not in run.pipeline.spec.tolerates:
            yield "plan/taint", f"a site without the taint {taint.name} ({taint.reason})"


def _unfit(audit: Audit, stage: Stage, site: str, kind: StageKind) -> str | None:
    model, variant, hardware = kind.model, kind.variant, kind.hardware
    if not stage.models:
        return None if (model, variant, hardware) == (None, None, None) else "a model for a built-in stage"
    if model is None or variant is None or hardware is None:
        return "no model, variant or hardware"
    group, chosen = audit.snapshot.group(site, hardware), audit.snapshot.variant(model, variant)
    if group is None:
        return f"{site} has no hardware {hardware!r}"
    why = audit.snapshot.unfit(stage, model, variant)
    if why is None and chosen is not None and audit.snapshot.speed(site, hardware, model, variant) is None:
        return f"{model}/{variant} has no speed for {hardware} ({group.arch})"
    return why


def near(found: float, expected: float, *, absolute: float = 0.0) -> bool:
    """Return whether a plan's float is the expected one at nine significant digits, or within `absolute`."""
    return abs(found - expected) <= max(absolute, 1e-8 * abs(expected))
