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
from placement.plan import (
    AssignmentPlan,
    CostPlan,
    EnginePlan,
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
    TargetPlan,
    UnplacedPlan,
    WorkloadPlan,
)
from placement.routes import Route
from placement.solution import Choice, PoolLoad, Solution, Tally, latency_us, routed, share_of, tally

DISTRIBUTION = "sovereign-hybrid"


def assemble(instance: Instance, solution: Solution, reasons: Mapping[str, Reason], engine: str) -> Plan:
    """Return the plan that a solution is; `reasons` say of each unplaced or degraded workload why it is so."""
    problem = instance.problem
    total = tally(instance, solution.choices)
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
    )


def _workload(
    instance: Instance, name: str, choice: Choice, solution: Solution, total: Tally, reason: Reason | None
) -> WorkloadPlan:
    workload = instance.workloads[name]
    followed = list(orders(instance, workload, choice, solution.packing))
    flows = [_flow(workload, edge, route, "primary") for edge, route in routed(workload, choice)]
    flows += _spare_flows(workload, [target for _, targets in followed for target in targets])
    return WorkloadPlan(
        id=name,
        pipeline=workload.pipeline.name,
        origin=workload.origin.name,
        tenant=workload.pipeline.metadata.tenant,
        rate=float(workload.rate),
        status="degraded" if choice.graph.replaced else "placed",
        assignments=(AssignmentPlan(1.0, tuple(_stages(workload, choice)), tuple(flows)),),
        fallbacks=tuple(
            FallbackPlan(stage, tuple(_target(stage, target) for target in targets)) for stage, targets in followed
        ),
        latency_ms=LatencyPlan(
            milliseconds(latency_us(workload, choice)),
            None if workload.limit_us is None else milliseconds(Fraction(workload.limit_us)),
        ),
        cost_per_hour=money(share_of(workload, choice, total)),
        kind=None if reason is None else reason.kind,
        causes=() if reason is None else reason.causes,
    )


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


def _flow(workload: Workload, edge: Edge, route: Route, role: Role) -> FlowPlan:
    return FlowPlan(
        from_stage=edge.source,
        to_stage=edge.target,
        source=route.sites[0],
        target=route.sites[-1],
        role=role,
        route=route.sites,
        bytes=edge.bytes,
        rate=float(workload.rate * edge.share) if role == "primary" else 0.0,
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
    repairs = tuple(RepairPlan(repair.change, money(repair.per_hour)) for repair in reason.repairs)
    return UnplacedPlan(name, reason.kind, reason.causes, repairs)


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
