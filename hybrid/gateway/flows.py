"""Which flows a site's own table lets in or out, decided for a label that a claim can only add to; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hybrid.gateway.passport import Passport
from hybrid.gateway.refusal import DENIED, Refusal
from hybrid.gateway.table import Assignment, AtomIds, Decision, FlowEntry, FlowKey, Table, Target, Workload

ANSWER = "answer"
INPUT = "input"
EXPIRED = Refusal(DENIED, "residency:table/plan-expired", "the signed plan does not hold today; install a newer bundle")


@dataclass(frozen=True, slots=True)
class Placed:
    """A target in its place: the stage of the graph that it serves, which is not its own name when it is a fallback."""

    place: str
    target: Target


@dataclass(frozen=True, slots=True)
class Crossing:
    """One flow that is let through, with the label it has now and the decision about it."""

    flow: FlowEntry
    label: AtomIds
    decision: Decision


@dataclass(frozen=True, slots=True)
class Admitted:
    """What an arriving passport may do here.

    Attributes:
        stages: what to run, in the graph's order; empty for an answer that comes home.
        floor: atoms that the claim adds to every label.
        crossings: the flows that brought the data here.
    """

    workload: Workload
    assignment: Assignment
    stages: tuple[Placed, ...]
    floor: AtomIds
    crossings: tuple[Crossing, ...]
    decision: Decision


def admit(found: Passport, chain: Iterable[Passport], table: Table) -> Admitted | Refusal:
    """Return what `table` admits of a passport, or the 451 with the rule.

    The label comes from the table; what this passport or an earlier one of its `chain` claims beyond it is added.
    """
    workload = table.workloads.get(found.workload)
    if workload is None or workload.origin != found.origin:
        return no_flow(f"{found.workload} of {found.origin} is not served here")
    claims = (*chain, found)
    refusal = no_flow("the plan has no such workload here")
    for assignment in workload.assignments:
        floor = frozenset(atom for claim in claims for atom in _added(claim, table, assignment))
        judged = _admit_as(found, floor, table, workload, assignment)
        if isinstance(judged, Admitted):
            return judged
        refusal = judged
    return refusal


def _added(claim: Passport, table: Table, assignment: Assignment) -> AtomIds:
    planned = {
        atom
        for flow in assignment.flows
        if (flow.from_site, flow.to_site) == (claim.issuer, claim.audience.site) and flow.from_stage in claim.carries
        for atom in flow.label
    }
    return frozenset(table.atom(atom) for atom in claim.label) - planned


def _admit_as(
    found: Passport, floor: AtomIds, table: Table, workload: Workload, assignment: Assignment
) -> Admitted | Refusal:
    stages = tuple(_placed(found, assignment))
    comes_home = found.audience.stages == (ANSWER,)
    if len(stages) != len(found.audience.stages) and not comes_home:
        return no_flow(f"the plan runs none of these stages at {found.audience.site}")
    wanted = {name for placed in stages for name in placed.target.after} | ({ANSWER} if comes_home else set())
    keys = list(_arriving(found, stages))
    if not keys or (not comes_home and not set(found.carries) <= wanted):
        return no_flow("the body would carry what no stage here asks for")
    crossings = []
    for key in keys:
        crossing = cross(key, floor, table, assignment)
        if isinstance(crossing, Refusal):
            return crossing
        crossings.append(crossing)
    decisions = [may_run(placed, floor, table, assignment) for placed in stages]
    for decision in decisions:
        if not decision.permitted:
            return denied(decision)
    rules = {rule for decision in decisions for rule in decision.rules}
    return Admitted(
        workload, assignment, stages, floor, tuple(crossings), Decision(verdict="permit", rules=tuple(sorted(rules)))
    )


def _placed(found: Passport, assignment: Assignment) -> Iterator[Placed]:
    for place, entry in assignment.stages.items():
        for target in entry.targets:
            if target.site == found.audience.site and target.stage in found.audience.stages and target.role != "queue":
                yield Placed(place, target)
                break


def _arriving(found: Passport, stages: tuple[Placed, ...]) -> Iterator[FlowKey]:
    if found.audience.stages == (ANSWER,):
        yield from (FlowKey(name, ANSWER, found.issuer, found.audience.site) for name in found.carries)
        return
    for placed in stages:
        for name in placed.target.after:
            if name in found.carries:
                yield FlowKey(name, placed.target.stage, found.issuer, found.audience.site)


def cross(key: FlowKey, floor: AtomIds, table: Table, assignment: Assignment) -> Crossing | Refusal:
    """Return the crossing of one flow, or the 451 when the table has no such flow or does not permit it."""
    flow = assignment.flow(key)
    if flow is None:
        return no_flow(f"{key.from_stage} to {key.to_stage}, {key.from_site} to {key.to_site}, is not in the plan")
    label = frozenset(flow.label) | floor
    decision = table.decide(flow.decisions, label)
    return Crossing(flow, label, decision) if decision.permitted else denied(decision)


def may_run(placed: Placed, floor: AtomIds, table: Table, assignment: Assignment) -> Decision:
    """Return the decision about running a target under the label of its place."""
    return table.decide(placed.target.decisions, frozenset(assignment.stages[placed.place].label) | floor)


def no_flow(why: str) -> Refusal:
    """Return the 451 for a flow that the signed table does not have."""
    return Refusal(DENIED, "residency:table/no-flow", why)


def denied(decision: Decision) -> Refusal:
    """Return the 451 of a decision, with its rules."""
    first = decision.rules[0] if decision.rules else "residency:table/no-permit"
    return Refusal(DENIED, first, f"residency says {decision.verdict}: {', '.join(decision.rules)}", decision.rules)


def unplaced(name: str, workload: Workload) -> Refusal:
    """Return the answer for a workload that the plan could not place: 451 where the cause is residency, else 503."""
    legal = tuple(cause for cause in workload.causes if cause.startswith("residency:"))
    if legal:
        return Refusal(DENIED, legal[0], f"{name} is not placed: {', '.join(legal)}", legal)
    rule = workload.causes[0] if workload.causes else "table/unplaced"
    return Refusal(503, rule, f"{name} is not placed by this plan", workload.causes, retry_after=3600)


def pick(assignments: tuple[Assignment, ...], number: int) -> Assignment:
    """Return the assignment that owns `number` (0 to 999,999) when the shares are laid end to end."""
    for assignment in assignments:
        if number < assignment.share:
            return assignment
        number -= assignment.share
    return assignments[-1]
