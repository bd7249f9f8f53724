"""Why a workload is not served, or not as declared: *impossible* or *crowded*, with every minimal set of causes.

Impossible is what cannot be placed alone in an empty fleet; crowded, what the others as planned leave no room for. A
cause is a set of at most three families of rules; each set is verified by solving again without them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from placement.explanation.change import without
from placement.explanation.court import Bench, Court, UndecidedError
from placement.explanation.legal_relaxations import LEGAL
from placement.explanation.oracle import MOST_STAGES
from placement.explanation.relaxations import RELAXATIONS
from placement.instance import Instance
from placement.solution import Choice

MOST_FAMILIES = 3
MOST_TRIALS = 200
"""Sets of families that are solved for one workload; more would answer late rather than better."""

MOST_HINTS = 12
"""Causes of other workloads that are tried before anything else, the most frequent first."""

MOST_OF_A_PLAN = 1000
"""Trials for all workloads of one plan; who comes after has to be asked about alone."""

MOST_ASKED = 500
"""Workloads of a searched plan of whom the oracle is asked whether they could be served at all."""

SHARED = ("capacity", "hardware:cpus", "hardware:disk", "hardware:memory", "link:bandwidth")
"""Families of which there may be too little for all though there is enough for one: no refusal names them."""

Kind = Literal["impossible", "crowded"]
Cause = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """A change that would place a workload, and what the plan would cost more per hour."""

    change: str
    per_hour: Fraction


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a workload is unplaced or degraded.

    Attributes:
        causes: minimal sets, sorted.
        numbers: for each cause and each of its families, how much would just suffice, in words.
        is_complete: whether every set of at most three families was decided, so that no cause is missing.
        repairs: the cheapest first.
    """

    kind: Kind
    causes: tuple[Cause, ...]
    numbers: tuple[tuple[str, ...], ...] = ()
    is_complete: bool = True
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Every minimal set that was found, and whether that is all."""

    causes: tuple[Cause, ...]
    is_complete: bool


def reason(alone: Bench, beside: Bench, most: int = MOST_OF_A_PLAN, known: Kind = "crowded") -> Reason:
    """Return why a workload is unplaced or degraded, from its benches in the empty fleet and beside the others.

    Args:
        most: trials; without any the kind alone is told.
        known: the kind where neither bench can decide it: crowded, unless somebody proved more.
    """
    kind = known
    with suppress(UndecidedError):
        kind = "crowded" if alone.is_placed() else "impossible"
    if most <= 0 or len(alone.workload.pipeline.spec.stages) > MOST_STAGES:
        return Reason(kind, (), is_complete=False)
    try:
        found = causes_on(alone if kind == "impossible" else beside, min(MOST_TRIALS, most))
    except UndecidedError:
        return Reason(kind, (), is_complete=False)
    return Reason(kind, found.causes, is_complete=found.is_complete)


def kinds(
    instance: Instance,
    choices: Mapping[str, Choice],
    proved: Collection[str],
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Reason]:
    """Return of each who is missing or degraded in `choices` the kind alone; causes are told to who asks for one.

    The oracle is asked about those that are not `proved` impossible, the heaviest first, as far as `MOST_ASKED` reach;
    the others are crowded, as nobody knows better.
    """
    court, left = Court(instance, choices), MOST_ASKED
    found = {name: Reason("impossible", (), is_complete=False) for name in proved}
    lacking = (name for name in instance.workloads if name not in choices or choices[name].is_degraded)
    open_ = sorted((name for name in lacking if name not in found), key=lambda n: (-instance.workloads[n].priority, n))
    for name in open_:
        if left > 0 and not is_stopped():
            left -= 1
            alone = court.bench(name, is_alone=True)
            found[name] = reason(alone, alone, most=0)
        else:
            found[name] = Reason("crowded", (), is_complete=False)
    return {name: found[name] for name in sorted(found)}


def causes_on(bench: Bench, most: int = MOST_TRIALS) -> Found:
    """Return every minimal set of at most three families without which the workload would be placed, on a bench."""
    seen = bench.court.seen
    hints = sorted(seen, key=lambda cause: (-seen[cause], cause))[:MOST_HINTS]
    found = minimal_sets(families_against(bench), lambda trial: bench.is_placed(without(trial)), most, hints)
    seen.update(found.causes)
    short = (cause for cause in found.causes if len(cause) <= MOST_FAMILIES)
    return Found(tuple(sorted(short)), found.is_complete)


def families_against(bench: Bench, depth: int = MOST_FAMILIES) -> list[str]:
    """Return every family that stands against a workload, those that show only behind others included.

    Args:
        depth: behind how many others; one names what is in front alone.
    """
    workload, found = bench.workload, {*SHARED, *bench.workload_rules()}
    known = set[str]()
    for layer in range(depth):
        workload = bench.under(without(known), is_brief=False) if layer else workload
        refusals = (each for sites in workload.refusals.values() for each in sites.values())
        named = {refusal.rule for each in refusals for refusal in each}
        new = {name for name in named if name.partition(":")[0] in RELAXATIONS} - known
        if not new:
            break
        known |= new
    return sorted(known | found)


def minimal_sets(
    families: Sequence[str], is_enough: Callable[[Cause], bool], most: int = MOST_TRIALS, hints: Sequence[Cause] = ()
) -> Found:
    """Return every minimal set of families that is enough, for a test that more never fails.

    Each set that is not among the supersets of those found leaves out at least one family of each of them; so all
    but a minimal choice of such families are tried at once, and what is enough is thinned out (as MARCO does). Stops
    after `most` tests, and then says that more may be; so it does where a test cannot decide.

    Args:
        hints: sets that are likely to be enough, and are tried first.
    """
    trials, is_complete = 0, True
    enough: list[frozenset[str]] = []
    hopeless: list[frozenset[str]] = [frozenset()]
    undecided: list[frozenset[str]] = []

    def test(trial: Iterable[str]) -> bool:
        """Return whether a set is enough, from what is known of larger and smaller ones where that tells."""
        nonlocal trials, is_complete
        families = tuple(trial)
        tried = frozenset(families)
        if tried in undecided or any(tried <= other for other in hopeless):
            return False
        if any(tried >= other for other in enough):
            return True
        trials += 1
        if trials > most:
            is_complete = False
            return False
        try:
            (enough if (holds := is_enough(families)) else hopeless).append(tried)
        except UndecidedError:
            undecided.append(tried)
            return False
        return holds

    found: list[Cause] = []
    for hint in hints:
        if set(hint) <= set(families) and not any(set(cause) <= set(hint) for cause in found) and test(hint):
            found.append(_thinned(hint, test))
    left_out = _hitting(found) if is_complete else []
    while left_out:
        without = left_out.pop(0)
        rest = [family for family in families if family not in without]
        if not test(rest):
            continue
        lawful = [family for family in rest if not family.startswith(LEGAL)]
        rest = lawful if test(lawful) else rest
        cause = _thinned(rest, test)
        if not is_complete:
            break
        found.append(cause)
        left_out = _hitting(found)
    # Of what nobody could decide, a part might have been enough: such a cause may not be minimal.
    minimal = (cause for cause in found if not any(part < set(cause) for part in undecided))
    return Found(tuple(minimal), is_complete and not undecided)


def _thinned(families: Sequence[str], is_enough: Callable[[Iterable[str]], bool]) -> Cause:
    """Return what is left when every family that is not needed has been taken out, many at a time where that goes.

    The law goes first and together: each set of rules set aside is another evaluator to ask.
    """
    kept = list(families)
    legal = [family for family in families if family.startswith(LEGAL)]
    parts = [[family for family in families if family not in legal], legal]
    while parts:
        part = parts.pop()
        fewer = [family for family in kept if family not in part]
        if part and is_enough(fewer):
            kept = fewer
        elif len(part) > 1:
            half = len(part) // 2
            parts += [part[:half], part[half:]]
    return tuple(kept)


def _hitting(found: Iterable[Cause]) -> list[frozenset[str]]:
    """Return the minimal sets of families of which each found cause has at least one (Berge)."""
    sets: list[frozenset[str]] = [frozenset()]
    for cause in found:
        grown = {one if one & set(cause) else one | {family} for one in sets for family in cause}
        sets = [one for one in grown if not any(other < one for other in grown)]
    return sorted(sets, key=lambda one: (len(one), sorted(one)))
