"""Why a workload is not served, or not as declared: *impossible* or *crowded*, with every minimal set of causes.

Impossible is what cannot be placed alone in an empty fleet; crowded, what the others as planned leave no room for. A
cause is a set of at most three families of rules; each set is verified by solving again without them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from placement.exact import can_all_be_placed, components
from placement.instance import Instance, Workload, instance_of
from placement.problem import Problem
from placement.relaxations import RELAXATIONS, relax
from placement.rulings import Rulings
from placement.solution import Choice

MOST_FAMILIES = 3
MOST_TRIALS = 200
"""Sets of families that are solved for one workload; more would answer late rather than better."""

LEGAL = "residency:"

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
    """Why a workload is unplaced or degraded; `causes` are minimal sets, sorted."""

    kind: Kind
    causes: tuple[Cause, ...]
    repairs: tuple[Repair, ...] = ()


def reasons(instance: Instance, choices: Mapping[str, Choice]) -> dict[str, Reason]:
    """Return why each workload that is missing or degraded in `choices` is so."""
    lacking = [name for name in instance.workloads if name not in choices or choices[name].graph.replaced]
    if not lacking:
        return {}
    together = {name: members for members in components(instance) for name in members}
    law = _Law({frozenset(): instance.rulings})
    return {n: _Inquest(instance, instance.workloads[n], choices, together[n], law).reason() for n in lacking}


@dataclass(frozen=True, slots=True)
class _Law:
    """What the law said with each set of residency rules set aside: nothing else that is relaxed changes it."""

    known: dict[frozenset[str], Rulings]

    def of(self, relaxed: Problem, trial: Iterable[str]) -> Rulings:
        """Return the rulings for a trial, shared among trials that set aside the same rules of law."""
        legal = frozenset(family for family in trial if family.startswith(LEGAL))
        return self.known.setdefault(legal, Rulings(relaxed))


@dataclass(slots=True)
class _Inquest:
    """The search for the causes of one workload.

    Attributes:
        together: ids of all workloads with which it shares a site or a wire.
    """

    instance: Instance
    workload: Workload
    choices: Mapping[str, Choice]
    together: Collection[str]
    law: _Law

    def reason(self) -> Reason:
        """Return the kind and all minimal causes that were found."""
        kind: Kind = "crowded" if self._is_placed((), {}) else "impossible"
        others = {n: c for n, c in self.choices.items() if n in self.together and n != self.workload.id}
        beside = others if kind == "crowded" else {}
        causes = minimal_sets(self._families(), lambda trial: self._is_placed(trial, beside))
        return Reason(kind, tuple(sorted(cause for cause in causes if len(cause) <= MOST_FAMILIES)))

    @property
    def _shapes(self) -> int:
        """Return how many of its graphs would do: all when it is unplaced, its own alone when it is degraded."""
        return 1 if self.workload.id in self.choices else len(self.workload.graphs)

    def _is_placed(self, trial: Cause, beside: Mapping[str, Choice]) -> bool:
        """Return whether it can be placed with these families set aside, the others where they are."""
        relaxed = self._without(trial, {self.workload.id, *beside}, is_brief=True)
        own = relaxed.workloads[self.workload.id]
        held = {name: pinned(relaxed.workloads[name], choice) for name, choice in beside.items()}
        workloads = {**held, own.id: replace(own, graphs=own.graphs[: self._shapes])}
        return can_all_be_placed(replace(relaxed, workloads=dict(sorted(workloads.items()))))

    def _without(self, trial: Iterable[str], only: Collection[str], *, is_brief: bool = False) -> Instance:
        families = tuple(trial)
        relaxed = relax(self.instance.problem, families)
        return instance_of(relaxed, only, self.law.of(relaxed, families), is_brief=is_brief)

    def _families(self) -> list[str]:
        """Return every family that stands against it, those that show only behind others included."""
        found = {*SHARED} | ({"latency"} if self.workload.limit_us is not None else set())
        found |= {"link:intermittent"} if self.instance.problem.network.intermittent else set()
        known, workload = set[str](), self.workload
        for _ in range(MOST_FAMILIES):
            refusals = (each for sites in workload.refusals.values() for each in sites.values())
            named = {refusal.rule for each in refusals for refusal in each}
            new = {name for name in named if name.partition(":")[0] in RELAXATIONS} - known
            if not new:
                break
            known |= new
            workload = self._without(sorted(known), {workload.id}).workloads[workload.id]
        return sorted(known | found)


def minimal_sets(families: Sequence[str], is_enough: Callable[[Cause], bool]) -> list[Cause]:
    """Return every minimal set of families that is enough, for a test that more never fails.

    Each set that is not among the supersets of those found leaves out at least one family of each of them; so all
    but a minimal choice of such families are tried at once, and what is enough is thinned out (as MARCO does). Stops
    after `MOST_TRIALS` tests.
    """
    trials = 0
    enough: list[frozenset[str]] = []
    hopeless: list[frozenset[str]] = []

    def test(trial: Iterable[str]) -> bool:
        """Return whether a set is enough, from what is known of larger and smaller ones where that tells."""
        nonlocal trials
        families = tuple(trial)
        tried = frozenset(families)
        if any(tried <= other for other in hopeless):
            return False
        if any(tried >= other for other in enough):
            return True
        trials += 1
        if trials > MOST_TRIALS:
            return False
        (enough if (holds := is_enough(families)) else hopeless).append(tried)
        return holds

    found: list[Cause] = []
    left_out: list[frozenset[str]] = [frozenset()]
    while left_out:
        without = left_out.pop(0)
        rest = [family for family in families if family not in without]
        lawful = [family for family in rest if not family.startswith(LEGAL)]
        if test(lawful):
            rest = lawful
        elif not test(rest):
            continue
        cause = _thinned(rest, test)
        if trials > MOST_TRIALS:
            break
        found.append(cause)
        left_out = _hitting(found)
    return found


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


def pinned(workload: Workload, choice: Choice) -> Workload:
    """Return a workload that can only be served as `choice` says."""
    graphs = tuple(graph for graph in workload.graphs if graph.replaced == choice.graph.replaced)
    options = {
        name: tuple(o for o in workload.options[name] if o.key == option.key) for name, option in choice.options.items()
    }
    return replace(workload, graphs=graphs, options={**workload.options, **options})
