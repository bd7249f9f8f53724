"""What a changed fleet does to a plan: what becomes illegal and by which rule, who moves, what gets dearer.

Legality is asked of the new fleet alone, stage by stage and flow by flow, without planning; moves and costs come from
planning again with the fewest moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from placement.explanation.difference import ABSENT, Difference
from placement.graph import ANSWER, INPUT
from placement.instance import Instance, Workload
from placement.plan import AssignmentPlan, Plan, StagePlan
from sites.quantity import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True, order=True)
class Illegal:
    """A stage or flow of a plan that a fleet does not permit where it is; `rules` refuse it."""

    workload: str
    part: str
    at: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recosted:
    """A workload whose part of the cost per hour differs."""

    workload: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that a change does to a plan.

    Attributes:
        difference: of the plan and the one that follows; None when only legality was asked.
        recosted: who is dearer or cheaper, the largest difference first.
        worse: workloads that are unplaced or degraded, and were not.
    """

    illegal: tuple[Illegal, ...]
    difference: Difference | None
    recosted: tuple[Recosted, ...] = ()
    worse: tuple[str, ...] = ()

    @property
    def forced(self) -> frozenset[str]:
        """Return `workload/stage` of all that cannot stay where it is."""
        return frozenset(f"{one.workload}/{one.part}" for one in self.illegal)

    def lines(self, most: int = 20) -> Iterator[str]:
        """Yield the review as people read it; what is forced to move is told apart from what makes way."""
        told = _together(self.illegal)
        yield from told[:most]
        if len(told) > most:
            yield f"! and {len(told) - most} more that cannot stay"
        if self.difference is None:
            return
        if not self.difference and not self.illegal:
            yield "nothing that runs would differ"
        moves = [f"{move.workload}/{move.stage}" for move in self.difference.moves]
        if moves:
            forced = sum(move in self.forced for move in moves)
            yield f"{len(moves)} moves, {forced} of them forced"
        yield from self.difference.lines()
        yield from self._money(most)

    def _money(self, most: int) -> Iterator[str]:
        assert self.difference is not None
        currency = self.difference.currency
        for one in self.recosted[:most]:
            word = "dearer" if one.after > one.before else "cheaper"
            yield f"  {one.workload} is {word}: {one.before:.4f} -> {one.after:.4f} {currency}/h"
        if len(self.recosted) > most:
            yield f"  and {len(self.recosted) - most} more are dearer or cheaper"
        before, after = (c * HOURS_PER_MONTH for c in (self.difference.cost_before, self.difference.cost_after))
        yield f"a month: {before:.2f} -> {after:.2f} {currency} ({after - before:+.2f})"

    def to_json(self) -> dict[str, Any]:
        """Return the review as programs read it."""
        told: dict[str, Any] = {} if self.difference is None else self.difference.to_json()
        if self.difference is not None:
            cost = self.difference.cost_before, self.difference.cost_after
            told["costPerMonth"] = dict(zip(("before", "after"), (c * HOURS_PER_MONTH for c in cost), strict=True))
            told["forced"] = [m for m in (f"{m.workload}/{m.stage}" for m in self.difference.moves) if m in self.forced]
            told["recosted"] = [asdict(one) for one in self.recosted]
            told["worse"] = list(self.worse)
        return {"illegal": [asdict(one) for one in self.illegal], **told}


def _together(illegal: tuple[Illegal, ...]) -> list[str]:
    """Return one line for all workloads of which the same is to be said; flows of what cannot stay say nothing new."""
    parts = {(one.workload, one.part) for one in illegal}
    found: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for one in illegal:
        ends = one.part.split("->")
        if len(ends) == 1 or not any((one.workload, end) in parts for end in ends):
            pipeline, _, origin = one.workload.partition("@")
            at = one.at.replace(origin, "its origin")
            found.setdefault((pipeline, one.part, at, one.rules), []).append(origin)
    return [
        f"! {pipeline}/{part} cannot stay at {at}: {', '.join(rules)} (of {', '.join(origins[:8])}"
        f"{f' and {len(origins) - 8} more' if len(origins) > 8 else ''})"
        for (pipeline, part, at, rules), origins in found.items()
    ]


def review(before: Plan, after: Plan | None, instance: Instance) -> Review:
    """Return what a fleet does to a plan.

    Args:
        before: the plan as it is.
        after: the plan of the changed fleet, made with the fewest moves; None asks for legality alone.
        instance: of the changed fleet.
    """
    illegal = tuple(sorted(_illegal(before, instance)))
    if after is None:
        return Review(illegal, None)
    found = _difference(before, after)
    worse = tuple(
        s.workload
        for s in found.statuses
        if s.before in ("placed", "degraded", ABSENT) and _is_worse(s.before, s.after)
    )
    return Review(illegal, found, tuple(_recosted(before, after)), worse)


def _difference(before: Plan, after: Plan) -> Difference:
    from placement.explanation.difference import difference

    return difference(before, after)


def _is_worse(before: str, after: str) -> bool:
    order = ("placed", "degraded", "unplaced")
    return after in order and order.index(after) > (order.index(before) if before in order else 0)


def _recosted(before: Plan, after: Plan) -> Iterator[Recosted]:
    was = {workload.id: workload.cost_per_hour for workload in before.workloads}
    found = [
        Recosted(workload.id, was[workload.id], workload.cost_per_hour)
        for workload in after.workloads
        if workload.id in was and abs(workload.cost_per_hour - was[workload.id]) > 1e-6
    ]
    yield from sorted(found, key=lambda one: (-abs(one.after - one.before), one.workload))


def _illegal(plan: Plan, instance: Instance) -> Iterator[Illegal]:
    """Yield each stage and flow of a plan that may not be where it is; whose origin is gone is not asked."""
    for planned in plan.workloads:
        workload = instance.workloads.get(planned.id)
        for assignment in planned.assignments if workload is not None else ():
            assert workload is not None
            yield from _stages(workload, assignment, instance)
            yield from _flows(workload, assignment)


def _stages(workload: Workload, assignment: AssignmentPlan, instance: Instance) -> Iterator[Illegal]:
    for placed in assignment.stages:
        if placed.stage not in workload.options:
            yield Illegal(workload.id, placed.stage, placed.site, ("pipeline:no such stage",))
        elif placed.site not in instance.problem.sites:
            yield Illegal(workload.id, placed.stage, placed.site, ("site:gone",))
        elif refusals := workload.refusals[placed.stage].get(placed.site):
            yield Illegal(workload.id, placed.stage, placed.site, tuple(sorted({r.rule for r in refusals})))
        elif not any(_is_there(option.key, placed) for option in workload.options[placed.stage]):
            at = f"{placed.site} as {placed.model}/{placed.variant} on {placed.hardware}"
            yield Illegal(workload.id, placed.stage, at, ("hardware:variant",))


def _is_there(key: tuple[str, ...], placed: StagePlan) -> bool:
    return key[:4] == (placed.site, placed.model or "", placed.variant or "", placed.hardware or "")


def _flows(workload: Workload, assignment: AssignmentPlan) -> Iterator[Illegal]:
    """Yield each flow between sites that no permitted route joins any more."""
    names = {*workload.options, INPUT, ANSWER}
    waits = {(e.source, e.target): e.is_async for graph in workload.graphs for e in graph.edges}
    for flow in assignment.flows:
        ends = (flow.from_stage, flow.to_stage)
        known = flow.role == "primary" and flow.source != flow.target and set(ends) <= names
        if not known or not {flow.source, flow.target} <= set(workload.router.network.neighbours):
            continue
        label, is_async = workload.labels.flow(*ends), waits.get(ends, False)
        if workload.router.route(flow.source, flow.target, label, is_async) is None:
            rules = workload.router.obstacles(flow.source, flow.target, label, is_async)
            yield Illegal(workload.id, f"{ends[0]}->{ends[1]}", f"{flow.source}--{flow.target}", tuple(rules))
