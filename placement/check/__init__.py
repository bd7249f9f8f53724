"""The independent checker: verifies a plan against its fleet and shares nothing with the planner but the nouns.

Labels, rules, routes, capacities, latencies and costs are computed here a second time, plainly, from
design/residency.md and design/placement.md. May import: the nouns of `sites` and `placement`, the country and
data-class tables, `sites.fleet`. May never import: `sites.verdict` or anything that plans (import-linter holds it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from placement.check import capacity, cost, domains, presence
from placement.check.audit import Audit
from placement.check.classes import Classes
from placement.check.inputs import checker_digest, require_current
from placement.check.invariants import CONSISTENCY, INVARIANTS
from placement.check.load import stores_of
from placement.check.reading import Reader
from placement.check.result import CheckResult, Finding
from placement.check.schema import head_of
from placement.check.snapshot import Snapshot
from placement.check.source import Data, NotCanonicalError, Source, canonical, parsed, whole
from placement.check.survival import Survival
from placement.check.twice import DuplicateKeyError, placed
from placement.check.workloads import Workloads
from sites.collecting import no_collections
from sites.fleet import Fleet

__all__ = ["INVARIANTS", "CheckResult", "DuplicateKeyError", "Finding", "check", "check_bytes", "checker_digest"]

Tick = Callable[[float], None]
"""Is told which further fraction of the plan has been looked at."""


def check(plan: dict[str, Any], fleet: Fleet, tick: Tick | None = None) -> CheckResult:
    """Return every finding about a plan and which invariants were checked.

    Args:
        plan: the parsed plan.json (without its envelope).
        fleet: its fleet, read with all five kinds.
        tick: is told of the progress, now and then.

    Raises PlacementError for a plan that is malformed, stale (naming the inputs that changed), or of another fleet.
    Time is linear in the plan: what repeats is judged once (`placement.check.classes`).
    """
    with no_collections():
        return _check(whole(plan), Snapshot.of(fleet), tick or _nothing)


def check_bytes(data: Data, fleet: Fleet, tick: Tick | None = None) -> CheckResult:
    """Return what `check` does of a plan.json that was not parsed; a canonical one is never in memory as a whole.

    Raises PlacementError as `check` does, ValueError when the bytes are no JSON, and of these DuplicateKeyError, with
    the place, for an object in which a key stands twice.
    """
    try:
        with no_collections():
            return _check_bytes(data, Snapshot.of(fleet), tick or _nothing)
    except DuplicateKeyError as error:
        raise placed(error, data) from None


def _check_bytes(data: Data, snapshot: Snapshot, tick: Tick) -> CheckResult:
    try:
        return _check(canonical(data), snapshot, tick)
    except NotCanonicalError:
        plan = parsed(bytes(data))
    if not isinstance(plan, dict):
        raise ValueError("expected an object")
    return _check(whole(plan), snapshot, tick)


def _check(source: Source, snapshot: Snapshot, tick: Tick) -> CheckResult:
    audit = Audit(head_of(source.head), snapshot)
    require_current(audit.document.inputs, snapshot.digests)
    runs = dict.fromkeys(step for invariant in INVARIANTS.values() for step in invariant.runs)
    classes = Classes(audit, (*runs, *CONSISTENCY))
    found = list(_workloads(audit, classes, source, tick))
    for step in dict.fromkeys(step for invariant in INVARIANTS.values() for step in invariant.checks):
        found += step(audit)
    open_questions = {number: invariant.missing(audit) for number, invariant in INVARIANTS.items()}
    not_checked = {number: reason for number, reason in open_questions.items() if reason}
    found += _overclaimed(audit, not_checked)
    return CheckResult(
        tuple(sorted(set(found), key=_order)),
        tuple(number for number in INVARIANTS if number not in not_checked),
        not_checked,
        tuple(_notes(audit)),
    )


def _workloads(audit: Audit, classes: Classes, source: Source, tick: Tick) -> Iterator[Finding]:
    """Yield what is wrong with the workloads and failures, and with what they ask for together."""
    reader, weighed = Reader(source.texts, audit.snapshot.profiles.words), Workloads(audit, classes)
    for raw in source.workloads():
        yield from weighed.weigh(reader.workload(raw))
        tick((len(raw) + 1 if isinstance(raw, bytes) else 1) / max(source.size, 1))
    yield from weighed.missing()
    yield from presence.unplaced(audit)
    load = weighed.ledger.load()
    audit.seen.hops.update(frozenset(hop) for hop in load.carried)
    survival = Survival(audit, classes, weighed, load)
    yield from survival.weigh(reader.failure(raw) for raw in source.failures())
    yield from weighed.costs(load.reserved, survival.reserve())
    yield from capacity.pools(audit, load, survival.reserved)
    yield from capacity.nodes(audit, stores_of((load.stores, survival.stores)))
    yield from capacity.links(audit, load.carried)
    yield from capacity.states(load)
    yield from domains.spread(audit, weighed.ledger)
    yield from cost.costs(audit, load)


def _order(finding: Finding) -> tuple[int, Finding]:
    return (finding.invariant or 100, finding)


def _overclaimed(audit: Audit, not_checked: dict[int, str]) -> Iterator[Finding]:
    """Yield a finding for every invariant that the plan claims as checked and that nobody could check, or knows."""
    for number in sorted(set(audit.document.invariants.checked) - INVARIANTS.keys()):
        yield Finding("plan/invariants", "", f"checked: {number}", "one of 1 to 20", "no such invariant")
    for number in sorted(set(audit.document.invariants.checked) & not_checked.keys()):
        yield Finding("plan/invariants", "", f"checked: {number}", f"not checked: {not_checked[number]}", "checked")


def _notes(audit: Audit) -> Iterator[str]:
    """Yield what is no fault: labels may say less than is derived, because what is unknown is refused (invariant 2)."""
    named = sorted(audit.seen.stricter)
    if named:
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        yield (
            f"labels that leave out facts or purposes which are known: {', '.join(named[:3])}{more}; nothing is "
            "permitted by it, and a gateway under this plan refuses more than it need"
        )


def _nothing(fraction: float) -> None:
    """Tell nobody."""
