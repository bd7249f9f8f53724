"""Says of a plan who is not served as declared: why, how much would just suffice, and what it would cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from placement.plan import Plan, UnplacedPlan, WorkloadPlan

MOST_CAUSES = 4
MOST_NAMES = 6
MOST_REPAIRS = 4

LAW = "a rule of law"
NO_NUMBER = ("not asked", "no number", "what protects data", LAW)
"""How words begin that hold no number: of a cause, such are told once, after what can be counted."""

EARLY = "the search for causes stopped early: there may be more"
LATER = "its causes were not looked for here: hybrid explain PLAN WORKLOAD tells them"
UNDECIDED = "its causes could not be decided: too much has to be solved again for each"


def lacking(made: Plan, only: Collection[str] | None = None) -> Iterator[str]:
    """Yield who is unplaced or degraded, or those of `only`: causes, their numbers, and repairs with prices.

    Workloads of which the same is to be said are told of together.
    """
    told: dict[tuple[str, ...], list[str]] = {}
    for status, found in who(made):
        if only is None or found.id in only:
            said = _told(found, made.cost.currency, LATER if only is None else UNDECIDED)
            told.setdefault((status, str(found.kind), *said), []).append(found.id)
    for (status, kind, *lines), names in told.items():
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield f"{status}  {', '.join(names[:MOST_NAMES])}{more} ({kind})"
        yield from lines
    if any(LAW in line for _, _, *lines in told for line in lines):
        yield "what each rule costs: hybrid explain PLAN --prices"


def who(made: Plan) -> Iterator[tuple[str, UnplacedPlan | WorkloadPlan]]:
    """Yield (status, workload) for all that are unplaced or degraded."""
    yield from (("unplaced", found) for found in made.unplaced)
    yield from (("degraded", found) for found in made.workloads if found.status == "degraded")


def _told(found: UnplacedPlan | WorkloadPlan, currency: str, without: str) -> Iterator[str]:
    numbers = found.numbers or ((),) * len(found.causes)
    for cause, words in list(zip(found.causes, numbers, strict=True))[:MOST_CAUSES]:
        yield f"  because of {' with '.join(cause)}{_numbers(words)}"
    if len(found.causes) > MOST_CAUSES:
        yield f"  and {len(found.causes) - MOST_CAUSES} more sets of causes"
    if not found.causes_complete:
        yield f"  {EARLY if found.causes else without}"
    elif not found.causes:
        yield "  no set of up to three rules would place it if set aside; hybrid explain PLAN WORKLOAD tells all"
    for repair in found.repairs[:MOST_REPAIRS]:
        yield f"  repair: {repair.change} ({repair.cost_per_hour:+.4f} {currency}/h)"


def _numbers(words: Collection[str]) -> str:
    counted = [each for each in words if not each.startswith(NO_NUMBER)]
    rest = [each for each in words if each.startswith(LAW)] or [each for each in words if each not in counted]
    return (f": {' and '.join(counted)}" if counted else "") + (f" ({rest[0]})" if rest else "")
