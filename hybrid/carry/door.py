"""Asks the site plan, before an install, whether it may stand at this box at all: residency at the door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundles.nouns import Enrolment
    from bundles.verification import Residency
    from hybrid.gateway.table import Assignment, Table


def residency_at(now: datetime) -> Residency:
    """Return the check of a site plan at `now`, the effective time.

    It refuses a table for another site, one whose legal window is over (legal expiry always denies, whatever the
    expiry policy excuses; no instrument that a verdict rests on outlives the window), and one that places a stage
    here, or lets a flow end here, without a permit.
    """

    def refusals(table: Mapping[str, Any], enrolment: Enrolment) -> list[str]:
        from hybrid.errors import HybridError
        from hybrid.gateway.table import Table

        try:
            read = Table.of(table)
        except HybridError as error:
            return [str(error)]
        today = now.date().isoformat()
        found = [f"the table is for {read.site}"] if read.site != enrolment.site else []
        if today > read.file.until:
            found.append(f"the plan ended on {read.file.until} (today is {today}, effective time)")
        return found + sorted(set(_unpermitted(read)))

    return refusals


def _unpermitted(table: Table) -> Iterator[str]:
    """Yield each stage here, and each flow that ends here, that the table itself does not permit as planned."""
    for name, workload in table.workloads.items():
        for assignment in workload.assignments:
            for what, decisions, label in _here(table, assignment):
                decision = table.decide(decisions, frozenset(label))
                if not decision.permitted:
                    yield f"{name}: {what} is {decision.verdict} ({', '.join(decision.rules)})"


def _here(table: Table, assignment: Assignment) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    for entry in assignment.stages.values():
        for target in entry.targets:
            if target.site == table.site and target.role != "queue":
                yield f"stage {target.stage} here", target.decisions, entry.label
    for flow in assignment.flows:
        if flow.to_site == table.site:
            yield f"{flow.from_stage} to {flow.to_stage} from {flow.from_site}", flow.decisions, flow.label
