"""What a plan takes of pools and wires, read from the plan itself: one workload is explained without the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from placement.candidates import Option, Pool, PoolKey
from placement.cost import replica_per_hour
from placement.errors import PlacementError
from placement.explanation.court import Court
from placement.explanation.ledger import GroupKey, Room
from placement.graph import ANSWER, INPUT, exact
from placement.hardware import speed_on
from placement.instance import Instance, Workload, instance_of
from placement.losses import Loss
from placement.network import Hop
from placement.pipeline import Stage
from placement.plan import AssignmentPlan, FlowPlan, Plan, StagePlan, WorkloadPlan
from placement.problem import Problem
from placement.solution import Choice, Failure, PoolLoad

CHECK = "the plan was altered, or is of another fleet: hybrid check PLAN FLEET"


@dataclass(slots=True)
class Standing:
    """A problem and the plan that was made for it."""

    problem: Problem
    plan: Plan

    def court(self, name: str) -> Court:
        """Return the court of one workload, beside all that the plan has. Raises KeyError for no such workload."""
        instance = instance_of(self.problem, {name})
        workload = instance.workloads[name]
        planned = self.plan.workload(name)
        choices = {} if planned is None else {name: choice_of(workload, planned)}
        room = self.room(without=name)
        failures = failures_of(self.plan)
        return Court(instance, choices, failures, room, lambda: self._whole(instance))

    def _whole(self, one: Instance) -> Court:
        instance = instance_of(self.problem, rulings=one.rulings)
        choices = {w.id: choice_of(instance.workloads[w.id], w) for w in self.plan.workloads}
        return Court(instance, choices, failures_of(self.plan))

    def room(self, *, without: str) -> Room:
        """Return what everybody but one workload takes."""
        pools: dict[GroupKey, dict[PoolKey, PoolLoad]] = {}
        hops: dict[Hop, Fraction] = {}
        pipelines = {pipeline.name: pipeline for pipeline in self.problem.pipelines.values()}
        for planned in self.plan.workloads:
            if planned.id == without:
                continue
            pipeline = pipelines[planned.pipeline]
            rate = pipeline.rate_at(self.problem.sites[planned.origin])
            stages = {stage.name: stage for stage in (*pipeline.spec.stages, *pipeline.spec.fallbacks)}
            for assignment in planned.assignments:
                part = rate * exact(assignment.fraction)
                self._add_stages(pools, stages, assignment, part, exact(pipeline.spec.utilisation))
                for flow, share in _flows(assignment, stages):
                    for hop in zip(flow.route, flow.route[1:], strict=False):
                        hops[hop] = hops.get(hop, Fraction(0)) + part * share * flow.bytes * 8
        return Room(pools, hops)

    def _add_stages(
        self,
        pools: dict[GroupKey, dict[PoolKey, PoolLoad]],
        stages: dict[str, Stage],
        assignment: AssignmentPlan,
        rate: Fraction,
        utilisation: Fraction,
    ) -> None:
        for placed in assignment.stages:
            if placed.model is None:
                continue
            key = pool_key(placed)
            here = pools.setdefault((key.site, key.hardware), {})
            if key not in here:
                here[key] = PoolLoad(self._pool(key))
            stage = stages[placed.stage]
            load = rate * exact(stage.share)
            here[key].load += load
            here[key].wanted += load / utilisation
            if stage.knowledge is not None:
                here[key].stores[stage.knowledge] = self.problem.stores[stage.knowledge].spec.size

    def _pool(self, key: PoolKey) -> Pool:
        group = next(g for g in self.problem.sites[key.site].spec.hardware if g.name == key.hardware)
        variant = next(v for v in self.problem.models[key.model].spec.variants if v.name == key.variant)
        speed = speed_on(variant, group)
        assert speed is not None
        cost = replica_per_hour(variant.needs, group)
        return Pool(key, speed.service, speed.throughput, cost, variant.needs, group)


def failures_of(plan: Plan) -> tuple[Failure, ...]:
    """Return the losses that a plan reserves for; who is served then, and where, is left to the plan."""
    return tuple(Failure(Loss((failure.lost,)), {}) for failure in plan.failures)


def pool_key(placed: StagePlan) -> PoolKey:
    """Return the pool of a stage that has one."""
    return PoolKey(placed.site, placed.model or "", placed.variant or "", placed.hardware or "", placed.partition)


def _flows(assignment: AssignmentPlan, stages: dict[str, Stage]) -> Iterator[tuple[FlowPlan, Fraction]]:
    """Yield each flow that carries requests, with the fraction of them that it carries."""
    for flow in assignment.flows:
        if flow.role == "primary":
            ends = (stages[end] for end in (flow.from_stage, flow.to_stage) if end not in (INPUT, ANSWER))
            yield flow, min((exact(stage.share) for stage in ends), default=Fraction(1))


def choice_of(workload: Workload, planned: WorkloadPlan) -> Choice:
    """Return the choice that a plan made for a workload. Raises PlacementError when it is not among its options."""
    parts = [_part(workload, assignment) for assignment in planned.assignments]
    first = parts[0]
    return Choice(first.graph, first.options, first.fraction, tuple(parts[1:]))


def _part(workload: Workload, assignment: AssignmentPlan) -> Choice:
    placed = {stage.stage: stage for stage in assignment.stages}
    graph = next((g for g in workload.graphs if {s.name for s in g.stages} == set(placed)), None)
    if graph is None:
        raise PlacementError(f"{workload.id}: the plan runs stages that are no graph of its pipeline", advice=CHECK)
    options = {stage.name: _option(workload, placed[stage.name]) for stage in graph.stages}
    return Choice(graph, options, exact(assignment.fraction))


def _option(workload: Workload, placed: StagePlan) -> Option:
    key = pool_key(placed)
    wanted = (key.site, key.model, key.variant, key.hardware, key.partition)
    found = next((option for option in workload.options[placed.stage] if option.key == wanted), None)
    if found is None:
        raise PlacementError(
            f"{workload.id}/{placed.stage}: the plan has it at {placed.site}, where it may not run", advice=CHECK
        )
    return found
