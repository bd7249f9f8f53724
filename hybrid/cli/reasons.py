"""Says of a plan who is not served as declared: why, how much would just suffice, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from placement.plan import Plan, UnplacedPlan, WorkloadPlan

MOST_CAUSES = 4
MOST_REPAIRS = 4


def lacking(made: Plan, only: str | None = None) -> Iterator[str]:
    """Yield who is unplaced or degraded, or one of them, with its causes, their numbers, and repairs with prices."""
    for unplaced in made.unplaced:
        if only in (None, unplaced.id):
            yield from _told("unplaced", unplaced, made.cost.currency)
    for workload in made.workloads:
        if workload.status == "degraded" and only in (None, workload.id):
            yield from _told("degraded", workload, made.cost.currency)


def _told(status: str, found: UnplacedPlan | WorkloadPlan, currency: str) -> Iterator[str]:
    yield f"{status}  {found.id} ({found.kind})"
    numbers = found.numbers or ((),) * len(found.causes)
    for cause, words in list(zip(found.causes, numbers, strict=True))[:MOST_CAUSES]:
        said = f": {' and '.join(words)}" if words else ""
        yield f"  because of {' with '.join(cause)}{said}"
    if len(found.causes) > MOST_CAUSES:
        yield f"  and {len(found.causes) - MOST_CAUSES} more sets of causes"
    if not found.causes_complete:
        yield "  the search for causes stopped early: there may be more"
    elif not found.causes:
        yield "  no set of up to three rules would place it if set aside"
    for repair in found.repairs[:MOST_REPAIRS]:
        yield f"  repair: {repair.change} ({repair.cost_per_hour:+.4f} {currency}/h)"
    if any(family.startswith("residency:") for cause in found.causes for family in cause):
        yield "  what the law costs is told by: hybrid explain PLAN --prices"
