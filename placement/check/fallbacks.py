"""Whether a fallback order holds: its targets in order, each reachable and in time, and no permitted fallback left out.

Who may take over, in law and on which machines, is asked once per class (`residency.fallback_target`). Here is what
hangs on links and names: routes to where the stage would then run, and the latency of the whole request.
"""

from __future__ import annotations

from collections.abc import Iterator

from placement.check.audit import Audit, Run
from placement.check.document import StageEntry, TargetKind
from placement.check.graph import declared
from placement.check.labels import Labels
from placement.check.presence import refused
from placement.check.residency import would_run
from placement.check.result import Finding
from placement.check.takeovers import Served, Takeovers
from sites.site import Site


def in_order(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield every order whose targets stand in a wrong order, twice, or where the stage already runs."""
    stages, places = run.labels.stages, run.assignment.places
    for stage, order in run.assignment.outline.orders:
        listed = [(kind, None if place is None else places[place]) for kind, place in order]
        entry = run.stages.get(stage)
        fallbacks = stages[stage].fallback if stage in stages else ()
        ranks = [_rank(kind, fallbacks) for kind, _ in listed]
        if ranks != sorted(ranks):
            expected = "other pools first, then fallbacks as they are declared, then queues"
            yield Finding("plan/fallback", run.id, stage, expected, "another order")
        if len(set(listed)) < len(listed):
            yield Finding("plan/fallback", run.id, stage, "each target once", "one twice")
        for kind, where in listed:
            if entry and where == entry.site and kind.stage is None and not kind.queues and _same(entry, kind):
                yield Finding("plan/fallback", run.id, stage, "another pool than the stage's own", str(where))


def _same(entry: StageEntry, kind: TargetKind) -> bool:
    own = entry.kind
    return (kind.model, kind.variant) == (own.model, own.variant) and kind.hardware in (None, own.hardware)


def _rank(kind: TargetKind, fallbacks: tuple[str, ...]) -> int:
    if kind.queues:
        return len(fallbacks) + 2
    return 0 if kind.stage is None else 1 + (fallbacks.index(kind.stage) if kind.stage in fallbacks else len(fallbacks))


def may_serve(audit: Audit, run: Run, fallback: str, site: Site) -> bool:
    """Return whether a fallback stage may run at a site, links and time aside."""
    stage = declared(run.pipeline.spec)[fallback]
    kept_apart = any(fallback in rule.stages for rule in run.pipeline.spec.apart)
    barred = any(True for _ in refused(audit, run, stage, site.name))
    return not kept_apart and not barred and not any(d.refused for d in would_run(audit, run, stage, site))


class Orders:
    """Weighs the fallback orders of assignments by their routes and by time."""

    def __init__(self, audit: Audit) -> None:
        self._audit, self._takeovers = audit, Takeovers(audit)
        self._may_serve: dict[tuple[Labels, str, int], bool] = {}

    def weigh(self, run: Run) -> Iterator[Finding]:
        """Yield each target that no permitted route reaches, that is too slow, or stands behind a slower one.

        And each built-in fallback that an order lacks and that may serve.
        """
        outline, places = run.assignment.outline, run.assignment.places
        lacking = list(self._lacking(run))
        if not outline.orders and not lacking:
            return
        served = Served(self._audit, self._takeovers, run)
        listed = {(kind.from_stage, kind.to_stage, source, target) for kind, source, target, _ in outline.flows}
        limit, nearest_first = run.pipeline.spec.latency, not run.pipeline.spec.survive
        for stage, order in outline.orders:
            before: float | None = None
            for kind, place in order:
                if place is None or not _declared(run, stage, kind):
                    continue
                time = served.queued(stage, place) if kind.queues else served.with_target(stage, kind, place)
                yield from _reached(run, stage, kind, places[place], time)
                for sender, receiver, source, target in () if time is None else served.flows(stage, kind, place):
                    if (sender, receiver, source, target) not in listed:
                        flow = f"{sender}>{receiver} from {places[source]} to {places[target]}"
                        expected = f"listed: {_subject(stage, kind, places[place])}"
                        yield Finding("invariant/1", run.id, flow, expected, "absent")
                if time is None or _late(time, limit) or kind.stage is not None or kind.queues:
                    continue
                subject = _subject(stage, kind, places[place])
                if (places[place], kind.model, kind.variant, kind.hardware) not in self._audit.pool_names:
                    yield Finding("plan/fallback", run.id, subject, "a pool of the plan", "none")
                if before is not None and nearest_first and time < before * (1 - 1e-9):
                    found = f"{time:.0f} after {before:.0f} µs"
                    yield Finding("plan/fallback", run.id, subject, "the nearest first", found)
                before = time
        for stage, kind in lacking:
            time = served.with_target(stage, kind, 0)
            if time is not None and not _late(time, limit):
                expected = "a target of the order: it is permitted"
                yield Finding("plan/fallback", run.id, _subject(stage, kind, places[0]), expected, "absent")

    def _lacking(self, run: Run) -> Iterator[tuple[str, TargetKind]]:
        """Yield each built-in fallback that may serve at the origin, and that neither runs nor is offered."""
        stages, orders = run.labels.stages, run.assignment.outline.orders
        for name in run.stages.keys() & run.graph.stages.keys():
            for fallback in stages[name].fallback:
                if fallback in run.stages or stages[fallback].models:
                    continue
                kinds = [kind for stage, order in orders if stage == name for kind, _ in order]
                offered = any(kind.stage == fallback and not kind.queues for kind in kinds)
                waits = stages[fallback].task == "queue" and any(kind.queues for kind in kinds)
                if not offered and not waits and self._may(run, fallback):
                    yield name, TargetKind(fallback, None, None, None, False)

    def _may(self, run: Run, fallback: str) -> bool:
        """Return whether a fallback stage may run at the origin; asked once for all origins that are alike."""
        key = (run.labels, fallback, self._audit.snapshot.profiles.kind(run.origin.name))
        if key not in self._may_serve:
            self._may_serve[key] = may_serve(self._audit, run, fallback, run.origin)
        return self._may_serve[key]


def _declared(run: Run, stage: str, kind: TargetKind) -> bool:
    """Return whether a target is of a stage that there is; what is none has been found already (invariant 15)."""
    stages = run.labels.stages
    return stage in stages and (kind.stage is None or kind.stage in stages)


def _subject(stage: str, kind: TargetKind, where: str) -> str:
    return f"{stage} falls back to {kind.stage or 'itself'} at {where}"


def _late(time: float, limit: int | None) -> bool:
    return limit is not None and time > limit * (1 + 1e-9)


def _reached(run: Run, stage: str, kind: TargetKind, where: str, time: float | None) -> Iterator[Finding]:
    """Yield a finding when no permitted route reaches a target, or the request would come too late."""
    limit = run.pipeline.spec.latency
    if time is None:
        yield Finding("invariant/15", run.id, _subject(stage, kind, where), "permitted routes there and on", "none")
    elif _late(time, limit):
        found = f"{time:.0f} µs"
        yield Finding("plan/fallback", run.id, _subject(stage, kind, where), f"within {limit} µs", found)
