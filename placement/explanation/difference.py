"""What differs between two plans: who is served otherwise, what moved, which pools grew, what it costs.

A move is one stage of one workload whose (site, model, variant, hardware) differs; newly placed workloads are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from placement.plan import Plan, PoolPlan, StagePlan

UNPLACED, ABSENT = "unplaced", "absent"


@dataclass(frozen=True, slots=True)
class Moved:
    """One stage that is elsewhere: `site model/variant on hardware`, or the site alone where it is built in."""

    workload: str
    stage: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Restated:
    """One workload whose status differs: placed, degraded, unplaced or absent."""

    workload: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Resized:
    """One pool whose number of replicas differs; zero where it is not there."""

    pool: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, each part sorted; costs are per hour. False when nothing does."""

    statuses: tuple[Restated, ...]
    moves: tuple[Moved, ...]
    pools: tuple[Resized, ...]
    currency: str
    cost_before: float
    cost_after: float

    def __bool__(self) -> bool:
        """Return whether anything that runs would change."""
        return bool(self.statuses or self.moves or self.pools)

    def lines(self) -> Iterator[str]:
        """Yield the difference as people read it."""
        for status in self.statuses:
            yield f"{'+' if status.before == ABSENT else '~'} {status.workload}: {status.before} -> {status.after}"
        for move in self.moves:
            yield f"~ {move.workload}/{move.stage}: {move.before} -> {move.after}"
        for pool in self.pools:
            sign = "+" if not pool.before else "-" if not pool.after else "~"
            yield f"{sign} pool {pool.pool}: {pool.before} -> {pool.after} replicas"
        change = self.cost_after - self.cost_before
        yield f"cost {self.cost_before:.6g} -> {self.cost_after:.6g} {self.currency}/h ({change:+.6g})"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as programs read it."""
        return {
            "statuses": [asdict(status) for status in self.statuses],
            "moves": [asdict(move) for move in self.moves],
            "pools": [asdict(pool) for pool in self.pools],
            "cost": {"currency": self.currency, "before": self.cost_before, "after": self.cost_after},
        }


def difference(before: Plan, after: Plan) -> Difference:
    """Return what differs between two plans; their windows and inputs are not compared."""
    statuses = _statuses(before), _statuses(after)
    restated = [
        Restated(name, statuses[0].get(name, ABSENT), statuses[1].get(name, ABSENT))
        for name in sorted({*statuses[0], *statuses[1]})
        if statuses[0].get(name, ABSENT) != statuses[1].get(name, ABSENT)
    ]
    sizes = {_pool(p): p.replicas for p in before.pools}, {_pool(p): p.replicas for p in after.pools}
    resized = [
        Resized(name, sizes[0].get(name, 0), sizes[1].get(name, 0))
        for name in sorted({*sizes[0], *sizes[1]})
        if sizes[0].get(name, 0) != sizes[1].get(name, 0)
    ]
    costs = before.cost.per_hour, after.cost.per_hour
    return Difference(tuple(restated), tuple(_moves(before, after)), tuple(resized), after.cost.currency, *costs)


def _statuses(plan: Plan) -> dict[str, str]:
    served = {workload.id: str(workload.status) for workload in plan.workloads}
    return served | {workload.id: UNPLACED for workload in plan.unplaced}


def _moves(before: Plan, after: Plan) -> Iterator[Moved]:
    old, new = _places(before), _places(after)
    for key in sorted(old.keys() & new.keys()):
        if old[key] != new[key]:
            yield Moved(*key, old[key], new[key])


def _places(plan: Plan) -> dict[tuple[str, str], str]:
    return {
        (workload.id, stage.stage): place_of(stage)
        for workload in plan.workloads
        for assignment in workload.assignments
        for stage in assignment.stages
    }


def place_of(stage: StagePlan) -> str:
    """Return where a stage is, in words."""
    return stage.site if stage.model is None else f"{stage.site} {stage.model}/{stage.variant} on {stage.hardware}"


def _pool(pool: PoolPlan) -> str:
    apart = f" #{pool.partition}" if pool.partition else ""
    return f"{pool.site} {pool.model}/{pool.variant} on {pool.hardware}{apart}"
