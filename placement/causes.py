"""Why a workload is not served, or not as declared: *impossible* or *crowded*, with every minimal set of causes.

Impossible is what cannot be placed alone in an empty fleet; crowded, what the others as planned leave no room for. A
cause is a set of at most three families of rules; each set is verified by solving again without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, islice
from typing import Literal

from placement.exact import components, solve
from placement.instance import Instance, Workload, instance_of
from placement.relaxations import RELAXATIONS, relax
from placement.solution import Choice

MOST_FAMILIES = 3
MOST_TRIALS = 400
"""Sets of families that are solved for one workload; more would answer late rather than better."""

PER_POOL = ("approval:", "hardware:", "quality:")
"""Families that stand against a variant on a group, of which one that is set aside may be enough."""

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
    return {name: _Inquest(instance, instance.workloads[name], choices, together[name]).reason() for name in lacking}


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

    def reason(self) -> Reason:
        """Return the kind and all minimal causes that were found."""
        kind: Kind = "crowded" if self._is_placed((), {}) else "impossible"
        others = {n: c for n, c in self.choices.items() if n in self.together and n != self.workload.id}
        beside = others if kind == "crowded" else {}
        causes: list[Cause] = []
        for trial in islice(self._trials(), MOST_TRIALS):
            if not any(set(cause) <= set(trial) for cause in causes) and self._is_placed(trial, beside):
                causes.append(trial)
        return Reason(kind, tuple(sorted(causes)))

    @property
    def _shapes(self) -> int:
        """Return how many of its graphs would do: all when it is unplaced, its own alone when it is degraded."""
        return 1 if self.workload.id in self.choices else len(self.workload.graphs)

    def _is_placed(self, trial: Cause, beside: Mapping[str, Choice]) -> bool:
        """Return whether it can be placed with these families set aside, the others where they are."""
        relaxed = instance_of(relax(self.instance.problem, trial), only={self.workload.id, *beside})
        own = relaxed.workloads[self.workload.id]
        held = {name: pinned(relaxed.workloads[name], choice) for name, choice in beside.items()}
        workloads = {**held, own.id: replace(own, graphs=own.graphs[: self._shapes])}
        return solve(replace(relaxed, workloads=dict(sorted(workloads.items()))), must=workloads) is not None

    def _trials(self) -> Iterator[Cause]:
        """Yield sets of families, small ones first, that leave every stage a place as far as refusals tell."""
        families = self._families()
        for size in range(1, MOST_FAMILIES + 1):
            for trial in combinations(families, size):
                if self._may_help(set(trial)):
                    yield trial

    def _families(self) -> list[str]:
        """Return every family that stands against it, those that show only behind others included."""
        found = {"capacity", "link:bandwidth"} | ({"latency"} if self.workload.limit_us is not None else set())
        found |= {"link:intermittent"} if self.instance.problem.network.intermittent else set()
        known, workload = set[str](), self.workload
        for _ in range(MOST_FAMILIES):
            named = {
                refusal.rule for sites in workload.refusals.values() for each in sites.values() for refusal in each
            }
            known |= {name for name in named if name.partition(":")[0] in RELAXATIONS}
            relaxed = instance_of(relax(self.instance.problem, sorted(known)), only={workload.id})
            workload = relaxed.workloads[workload.id]
        return sorted(known | found)

    def _may_help(self, trial: Collection[str]) -> bool:
        stages = [{stage.name for stage in graph.stages} for graph in self.workload.graphs[: self._shapes]]
        return any(all(self._has_place(name, trial) for name in names) for names in stages)

    def _has_place(self, stage: str, trial: Collection[str]) -> bool:
        if self.workload.options[stage]:
            return True
        return any(_is_lifted([r.rule for r in each], trial) for each in self.workload.refusals[stage].values())


def _is_lifted(rules: Iterable[str], trial: Collection[str]) -> bool:
    per_pool = [rule for rule in rules if rule.startswith(PER_POOL)]
    everywhere = [rule for rule in rules if not rule.startswith(PER_POOL)]
    return all(rule in trial for rule in everywhere) and (not per_pool or any(rule in trial for rule in per_pool))


def pinned(workload: Workload, choice: Choice) -> Workload:
    """Return a workload that can only be served as `choice` says."""
    graphs = tuple(graph for graph in workload.graphs if graph.replaced == choice.graph.replaced)
    options = {
        name: tuple(o for o in workload.options[name] if o.key == option.key) for name, option in choice.options.items()
    }
    return replace(workload, graphs=graphs, options={**workload.options, **options})
