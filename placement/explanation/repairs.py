"""What would place a workload, with numbers and prices: every repair is solved again, and none relaxes residency.

The price of a repair is what the plan then costs more per hour when everybody else stays where they are: new replicas
and traffic, less what the workload costs now, and what the others' replicas become dearer on larger nodes. A plan that
is made anew afterwards costs as much or less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from placement.cost import money
from placement.explanation.causes import MOST_OF_A_PLAN, Cause, Kind, Reason, Repair, reason
from placement.explanation.change import AS_IT_IS, Change, without
from placement.explanation.court import Bench, Court, UndecidedError
from placement.explanation.families import UNTOUCHED, levers, of_rate
from placement.explanation.legal_relaxations import LEGAL
from placement.explanation.levers import turn
from placement.explanation.words import any_of
from placement.instance import Instance
from placement.plan import Plan, RepairPlan
from placement.solution import Choice, Failure

MOST_REPAIRS = 8
MOST_TURNS = 250
"""Trials for the numbers and repairs of all workloads of one plan: enough for a handful."""

MOST_SOLVES = 60
"""Of all these, trials that the oracle cannot know and the solver is asked: some seconds."""

MOST_NUMBERED = 5
"""Causes of one workload whose numbers are looked for, the shortest first."""

NO_NUMBER = "no number: no single change was found"
NOT_ASKED = "not asked: shorter causes come first"
CROWDING = ("capacity", "hardware:cpus", "hardware:disk", "hardware:memory", "link:bandwidth")
"""Families that a lower rate helps with."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """One cause with its numbers.

    Attributes:
        numbers: of each family, in words.
        changes: each enough for the whole cause; none where a family has no lever.
    """

    numbers: tuple[str, ...]
    changes: tuple[Change, ...]


def numbered(bench: Bench, cause: Cause) -> Numbered:
    """Return how much of each family of a cause would just suffice, the ones before at their numbers."""
    if not may_be_moved(cause):
        return Numbered(tuple(map(_untold, cause)), ())
    words: list[str] = []
    done, ways, is_whole = AS_IT_IS, [AS_IT_IS], True
    for index, family in enumerate(cause):
        rest = done.then(without(cause[index + 1 :]))
        found = turn(bench, rest, levers(bench, family, rest))
        words.append(any_of([change.text for change in found]) if found else NO_NUMBER)
        is_whole = is_whole and bool(found)
        ways = [done.then(change) for change in found]
        done = ways[0] if found else done.then(without([family]))
    return Numbered(tuple(words), tuple(ways) if is_whole else ())


def may_be_moved(cause: Cause) -> bool:
    """Return whether nothing of a cause protects data: of what does, a price is told and no change proposed."""
    return not any(family.partition(":")[0] in UNTOUCHED for family in cause)


def _untold(family: str) -> str:
    if family.startswith(LEGAL):
        return "a rule of law, not a number: see its price"
    if family.partition(":")[0] in UNTOUCHED:
        return "what protects data, not a number"
    return "not asked: what protects data stands against it too"


def explanations(
    instance: Instance,
    choices: Mapping[str, Choice],
    failures: Iterable[Failure] = (),
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Reason]:
    """Return why each workload that is missing or degraded in `choices` is so, and what would repair it.

    The causes of all come first, as far as `MOST_OF_A_PLAN` trials reach, then numbers and repairs, as far as
    `MOST_TURNS` do, and no more than `MOST_SOLVES` of either by the solver: who asks about one of the others alone
    (`explanation`) learns them. The same holds for all who come after somebody said stop.
    """
    court = Court(instance, choices, tuple(failures), solves=MOST_SOLVES)
    left, found = MOST_OF_A_PLAN, dict[str, Reason]()
    benches = {
        name: (court.bench(name, is_alone=True), court.bench(name, is_alone=False))
        for name in instance.workloads
        if name not in choices or choices[name].is_degraded
    }
    for name, (alone, beside) in benches.items():
        found[name] = reason(alone, beside, 0 if is_stopped() else left)
        left -= alone.trials + beside.trials
    left = MOST_TURNS
    for name, (alone, beside) in benches.items():
        before = alone.trials + beside.trials
        if left > 0 and not is_stopped():
            found[name] = _numbered_and_priced(
                alone if found[name].kind == "impossible" else beside, beside, found[name]
            )
            left -= alone.trials + beside.trials - before
    return found


def explanation(court: Court, name: str, known: Kind = "crowded") -> Reason:
    """Return why one workload is unplaced or degraded, and what would repair it; `known` as in `reason`."""
    alone, beside = court.bench(name, is_alone=True), court.bench(name, is_alone=False)
    found = reason(alone, beside, known=known)
    return _numbered_and_priced(alone if found.kind == "impossible" else beside, beside, found)


def _numbered_and_priced(setting: Bench, beside: Bench, found: Reason) -> Reason:
    numbers: list[tuple[str, ...]] = []
    repairs: dict[str, Repair] = {}
    asked = sorted((c for c in found.causes if may_be_moved(c)), key=lambda c: (len(c), c))[:MOST_NUMBERED]
    try:
        for cause in found.causes:
            if may_be_moved(cause) and cause not in asked:
                numbers.append((NOT_ASKED,) * len(cause))
                continue
            one = numbered(setting, cause)
            numbers.append(one.numbers)
            priced = _priced(beside, one.changes)
            if not priced and one.changes and setting is not beside and beside.is_placed(without(cause)):
                # Enough for one alone, and not beside the others: asked again with them there.
                priced = _priced(beside, numbered(beside, cause).changes)
            repairs |= priced
        repairs |= _priced(beside, _slower(beside, found.causes))
    except UndecidedError:
        return replace(found, numbers=(), is_complete=False)
    menu = sorted(repairs.values(), key=lambda repair: (repair.per_hour, repair.change))
    return replace(found, numbers=tuple(numbers), repairs=tuple(menu[:MOST_REPAIRS]))


def _slower(beside: Bench, causes: Sequence[Cause]) -> list[Change]:
    """Return the rate that would be served, where more room is among what would help."""
    if not any(family in CROWDING for cause in causes for family in cause):
        return []
    return turn(beside, AS_IT_IS, [of_rate(beside)])


def _priced(beside: Bench, offered: Iterable[Change]) -> dict[str, Repair]:
    """Return each change that is enough beside everybody else, with its price, by what it says."""
    ways = ((change, beside.best(change)) for change in offered)
    return {change.text: Repair(change.text, beside.dearer(change, way)) for change, way in ways if way is not None}


def with_reason(plan: Plan, name: str, found: Reason) -> Plan:
    """Return a plan that says of one workload why it is unplaced or degraded."""
    repairs = tuple(RepairPlan(repair.change, money(repair.per_hour)) for repair in found.repairs)
    said: dict[str, Any] = {
        "kind": found.kind, "causes": found.causes, "numbers": found.numbers, "repairs": repairs,
        "causes_complete": found.is_complete,
    }  # fmt: skip
    return replace(
        plan,
        workloads=tuple(replace(one, **said) if one.id == name else one for one in plan.workloads),
        unplaced=tuple(replace(one, **said) if one.id == name else one for one in plan.unplaced),
    )
