"""The independent checker: verifies a plan against its fleet and shares nothing with the planner but the nouns.

Labels, rules, routes, capacities, latencies and costs are computed here a second time, plainly, from
design/residency.md and design/placement.md. May import: the nouns of `sites` and `placement`, the country and
data-class tables, `sites.fleet`. May never import: `sites.verdict` or anything that plans (import-linter holds it).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from placement.check import capacity, cost, latency, presence
from placement.check.audit import Audit
from placement.check.document import parse
from placement.check.inputs import checker_digest, require_current
from placement.check.invariants import INVARIANTS, Check
from placement.check.load import load_of
from placement.check.result import CheckResult, Finding
from placement.check.snapshot import Snapshot
from sites.fleet import Fleet

__all__ = ["INVARIANTS", "CheckResult", "Finding", "check", "checker_digest"]


def check(plan: dict[str, Any], fleet: Fleet) -> CheckResult:
    """Return every finding about a plan and which invariants were checked.

    Args:
        plan: the parsed plan.json (without its envelope).
        fleet: its fleet, read with all five kinds.

    Raises PlacementError for a plan that is malformed, stale (naming the inputs that changed), or of another fleet.
    Time is linear in the plan: decisions and routes are remembered.
    """
    document, snapshot = parse(plan), Snapshot.of(fleet)
    require_current(document.inputs, snapshot.digests)
    audit = Audit(document, snapshot)
    checks = dict.fromkeys(step for invariant in INVARIANTS.values() for step in invariant.checks)
    found = [finding for step in (*checks, *CONSISTENCY) for finding in step(audit)]
    open_questions = {number: invariant.missing(audit) for number, invariant in INVARIANTS.items()}
    not_checked = {number: reason for number, reason in open_questions.items() if reason}
    found += _overclaimed(audit, not_checked)
    return CheckResult(
        tuple(sorted(set(found), key=_order)),
        tuple(number for number in INVARIANTS if number not in not_checked),
        not_checked,
    )


def _order(finding: Finding) -> tuple[int, Finding]:
    return (finding.invariant or 100, finding)


def _overclaimed(audit: Audit, not_checked: dict[int, str]) -> Iterator[Finding]:
    """Yield a finding for every invariant that the plan claims as checked and that nobody could check, or knows."""
    for number in sorted(set(audit.document.invariants.checked) - INVARIANTS.keys()):
        yield Finding("plan/invariants", "", f"checked: {number}", "one of 1 to 20", "no such invariant")
    for number in sorted(set(audit.document.invariants.checked) & not_checked.keys()):
        yield Finding("plan/invariants", "", f"checked: {number}", f"not checked: {not_checked[number]}", "checked")


def _placing(audit: Audit) -> Iterator[Finding]:
    for run in audit.runs:
        yield from presence.placing(audit, run)


def _flows(audit: Audit) -> Iterator[Finding]:
    for run in audit.runs:
        yield from latency.flows(audit, run)


def _loads(audit: Audit) -> Iterator[Finding]:
    load = load_of(audit.runs)
    yield from capacity.pools(audit, load)
    yield from capacity.nodes(audit, load)
    yield from capacity.links(audit, load)


CONSISTENCY: tuple[Check, ...] = (_placing, _flows, _loads, capacity.states, latency.latencies, cost.costs)
"""What makes a plan agree with itself and with the manifests, beside the invariants."""
