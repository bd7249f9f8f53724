"""From a solution to the plan: every choice written down with its label, its routes and the rules that permit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from importlib.metadata import version

from placement.candidates import PoolKey
from placement.capacity import Place
from placement.causes import Reason
from placement.check import checker_digest
from placement.check.inputs import CHECKER
from placement.cost import money
from placement.fallback_order import Target, orders
from placement.graph import Edge
from placement.instance import Instance, Workload
from placement.invariants import invariants
from placement.latency import milliseconds
from placement.losses import after
from placement.plan import (
    AssignmentPlan,
    CostPlan,
    EnginePlan,
    FailurePlan,
    FallbackPlan,
    FlowPlan,
    InvariantsPlan,
    LatencyPlan,
    NodePlan,
    Plan,
    PoolPlan,
    RepairPlan,
    Role,
    StagePlan,
    SurvivorPlan,
    TargetPlan,
    UnplacedPlan,
    WorkloadPlan,
)
from placement.routes import Route
from placement.solution import Choice, Failure, PoolLoad, Solution, Tally, latency_us, routed, share_of, tally

DISTRIBUTION = "sovereign-hybrid"


def assemble(instance: Instance, solution: Solution, reasons: Mapping[str, Reason], engine: str) -> Plan:
    """Return the plan that a solution is; `reasons` say of each unplaced or degraded workload why it is so."""
    problem = instance.problem
    total = tally(instance, solution.choices, solution.failures)
    checked, not_checked = invariants(problem)
    return Plan(
        api_version="hybrid/v1",
        kind="Plan",
        since=problem.window.since,
        until=problem.window.until,
        inputs={**problem.digests, CHECKER: checker_digest()},
        engine=EnginePlan(engine, version(DISTRIBUTION), solution.work, 0),
        workloads=tuple(
            _workload(instance, name, choice, solution, total, reasons.get(name))
            for name, choice in sorted(solution.choices.items())
        ),
        unplaced=tuple(_unplaced(name, reasons[name]) for name in instance.workloads if name not in solution.choices),
        pools=tuple(_pool(total.pools[key], solution.packing[key]) for key in sorted(total.pools)),
        invariants=InvariantsPlan(checked, not_checked),
        cost=_cost(problem.currency, total, solution),
        failures=tuple(_failure(instance, failure) for failure in solution.failures),
    )


def _workload(
    instance: Instance, name: str, choice: Choice, solution: Solution, total: Tally, reason: Reason | None
) -> WorkloadPlan:
    workload = instance.workloads[name]
    reserved = _reserved(name, solution.failures)
    followed = [list(orders(instance, workload, part, solution.packing, reserved)) for part in choice.parts]
    return WorkloadPlan(
        id=name,
        pipeline=workload.pipeline.name,
        origin=workload.origin.name,
        tenant=workload.pipeline.metadata.tenant,
        rate=float(workload.rate),
        status="degraded" if choice.is_degraded else "placed",
        assignments=tuple(
            _assignment(workload, part, [target for _, targets in found for target in targets])
            for part, found in zip(choice.parts, followed, strict=True)
        ),
        fallbacks=tuple(
            FallbackPlan(stage, tuple(_target(stage, target) for target in targets), index)
            for index, found in enumerate(followed)
            for stage, targets in found
        ),
        latency_ms=LatencyPlan(
            milliseconds(latency_us(workload, choice)),
            None if workload.limit_us is None else milliseconds(Fraction(workload.limit_us)),
        ),
        cost_per_hour=money(share_of(workload, choice, total)),
        kind=None if reason is None else reason.kind,
        causes=() if reason is None else reason.causes,
        numbers=() if reason is None else reason.numbers,
        causes_complete=reason is None or reason.is_complete,
        repairs=() if reason is None else _repairs(reason),
    )


def _assignment(workload: Workload, part: Choice, targets: Iterable[Target] = ()) -> AssignmentPlan:
    flows = [_flow(workload, edge, route, "primary", part.fraction) for edge, route in routed(workload, part)]
    flows += _spare_flows(workload, targets)
    return AssignmentPlan(float(part.fraction), tuple(_stages(workload, part)), tuple(flows))


def _failure(instance: Instance, failure: Failure) -> FailurePlan:
    survivors = []
    for name, choice in sorted(failure.choices.items()):
        workload = after(instance, instance.workloads[name], failure.loss)
        survivors.append(SurvivorPlan(name, tuple(_assignment(workload, part) for part in choice.parts)))
    return FailurePlan(str(failure.loss), tuple(survivors))


def _reserved(name: str, failures: Iterable[Failure]) -> set[tuple[str, PoolKey]]:
    """Return the stages of a workload, and the pools that have room for them after some loss."""
    return {
        (stage, option.pool.key)
        for failure in failures
        if name in failure.choices
        for part in failure.choices[name].parts
        for stage, option in part.options.items()
        if option.pool is not None
    }


def _stages(workload: Workload, choice: Choice) -> Iterator[StagePlan]:
    for stage in choice.graph.stages:
        option = choice.options[stage.name]
        label = tuple(atom.to_json() for atom in workload.labels.stages[stage.name])
        if option.pool is None:
            yield StagePlan(stage.name, option.site, None, None, None, label, option.rules)
        else:
            key = option.pool.key
            yield StagePlan(
                stage.name, key.site, key.model, key.variant, key.hardware, label, option.rules, key.partition
            )


def _flow(workload: Workload, edge: Edge, route: Route, role: Role, fraction: Fraction = Fraction(0)) -> FlowPlan:
    return FlowPlan(
        from_stage=edge.source,
        to_stage=edge.target,
        source=route.sites[0],
        target=route.sites[-1],
        role=role,
        route=route.sites,
        bytes=edge.bytes,
        rate=float(workload.rate * edge.share * fraction),
        label=tuple(atom.to_json() for atom in workload.labels.flow(edge.source, edge.target)),
        verdict="permit",
        rules=route.rules,
    )


def _spare_flows(workload: Workload, targets: Iterable[Target]) -> list[FlowPlan]:
    """Return each flow that only a fallback would use, once."""
    flows = {
        (edge.source, edge.target, route.sites): _flow(workload, edge, route, "fallback")
        for target in targets
        for edge, route in target.flows
    }
    return [flows[key] for key in sorted(flows)]


def _target(stage: str, target: Target) -> TargetPlan:
    option = target.option
    if target.is_queue:
        return TargetPlan(queue=option.site)
    named = None if target.stage == stage else target.stage
    if option.pool is None:
        return TargetPlan(stage=named, site=option.site)
    key = option.pool.key
    return TargetPlan(named, key.site, key.model, key.variant, key.hardware)


def _pool(entry: PoolLoad, places: Iterable[Place]) -> PoolPlan:
    key, taken = entry.pool.key, tuple(places)
    nodes: dict[str, NodePlan] = {}
    for node, count in sorted(Counter(node for node, _ in taken).items()):
        devices = tuple(device for n, device in taken if n == node and device is not None)
        nodes[f"{key.hardware}-{node}"] = NodePlan(count, devices)
    return PoolPlan(
        site=key.site,
        model=key.model,
        variant=key.variant,
        hardware=key.hardware,
        replicas=entry.replicas,
        nodes=nodes,
        load=float(entry.load),
        utilisation=float(entry.load / (entry.pool.throughput * entry.replicas)),
        partition=key.partition,
    )


def _unplaced(name: str, reason: Reason) -> UnplacedPlan:
    return UnplacedPlan(name, reason.kind, reason.causes, _repairs(reason), reason.numbers, reason.is_complete)


def _repairs(reason: Reason) -> tuple[RepairPlan, ...]:
    return tuple(RepairPlan(repair.change, money(repair.per_hour)) for repair in reason.repairs)


def _cost(currency: str, total: Tally, solution: Solution) -> CostPlan:
    per_hour = money(total.per_hour)
    bound = min(money(solution.bound), per_hour)
    return CostPlan(
        currency=currency,
        per_hour=per_hour,
        billed_per_hour=money(billed(total, solution.packing)),
        egress_per_hour=money(total.egress),
        lower_bound_per_hour=bound,
        gap=round(per_hour / bound - 1, 9) if bound else (0.0 if not per_hour else None),
        gap_over="all",
    )


def billed(total: Tally, packing: Mapping[PoolKey, Iterable[Place]]) -> Fraction:
    """Return the price of every node that holds a replica, and egress, per hour."""
    nodes = {
        (key.site, key.hardware, node): total.pools[key].pool.group.price.amount
        for key, places in packing.items()
        for node, _ in places
    }
    return sum(nodes.values(), total.egress)
