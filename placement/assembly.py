"""From a solution to the plan: every choice written down with its label, its routes and the rules that permit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.metadata import version

from placement.candidates import PoolKey
from placement.capacity import Place
from placement.check import checker_digest
from placement.check.inputs import CHECKER
from placement.cost import money
from placement.explanation.causes import Reason
from placement.fallback_order import Target, orders
from placement.flows import Charts, Flow
from placement.instance import Instance, Workload
from placement.invariants import invariants
from placement.latency import milliseconds
from placement.losses import after
from placement.plan import (
    AssignmentPlan,
    AtomJson,
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
from placement.running import Running
from placement.shares import Shares
from placement.solution import Choice, Failure, PoolLoad, Solution, Tally, latency_us, tally
from sites.collecting import no_collections
from sites.data import Label

DISTRIBUTION = "sovereign-hybrid"


@no_collections()
def assemble(instance: Instance, solution: Solution, reasons: Mapping[str, Reason], engine: str) -> Plan:
    """Return the plan that a solution is; `reasons` say of each unplaced or degraded workload why it is so."""
    problem = instance.problem
    assembly = _Assembly(instance, solution)
    checked, not_checked = invariants(problem)
    return Plan(
        api_version="hybrid/v1",
        kind="Plan",
        since=problem.window.since,
        until=problem.window.until,
        inputs={**problem.digests, CHECKER: checker_digest()},
        engine=EnginePlan(engine, version(DISTRIBUTION), solution.work, 0),
        workloads=tuple(
            assembly.workload(name, choice, reasons.get(name)) for name, choice in sorted(solution.choices.items())
        ),
        unplaced=tuple(_unplaced(name, reasons[name]) for name in instance.workloads if name not in solution.choices),
        pools=tuple(_pool(assembly.total.pools[key], solution.packing[key]) for key in sorted(assembly.total.pools)),
        invariants=InvariantsPlan(checked, not_checked),
        cost=_cost(problem.currency, assembly.total, solution),
        failures=tuple(assembly.failure(failure) for failure in solution.failures),
    )


@dataclass(slots=True)
class _Assembly:
    """What all workloads of a plan are written down with; what many of them say alike is one object."""

    instance: Instance
    solution: Solution
    total: Tally = field(init=False)
    running: Running = field(init=False)
    reserved: dict[str, set[tuple[str, PoolKey]]] = field(default_factory=dict)
    charts: Charts = field(default_factory=Charts)
    shares: Shares = field(init=False)
    _spares: dict[tuple[int, int], FlowPlan] = field(default_factory=dict)
    _labels: dict[int, tuple[Label, tuple[AtomJson, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Add everything up, and find the stages of each workload for which pools have room after some loss."""
        self.total = tally(self.instance, self.solution.choices, self.solution.failures)
        self.shares = Shares(self.total)
        known = {key: entry.pool for key, entry in self.total.pools.items()}
        self.running = Running(known, self.instance.problem.sites)
        for failure in self.solution.failures:
            for name, choice in failure.choices.items():
                options = ((stage, option) for part in choice.parts for stage, option in part.options.items())
                pools = {(stage, option.pool.key) for stage, option in options if option.pool is not None}
                self.reserved.setdefault(name, set()).update(pools)

    def workload(self, name: str, choice: Choice, reason: Reason | None) -> WorkloadPlan:
        """Return how a workload is served."""
        workload = self.instance.workloads[name]
        reserved = self.reserved.get(name, ())
        followed = [
            list(orders(self.instance, workload, part, self.running, self.charts, reserved)) for part in choice.parts
        ]
        return WorkloadPlan(
            id=name,
            pipeline=workload.pipeline.name,
            origin=workload.origin.name,
            tenant=workload.pipeline.metadata.tenant,
            rate=float(workload.rate),
            status="degraded" if choice.is_degraded else "placed",
            assignments=tuple(
                self.assignment(workload, part, [target for _, targets in found for target in targets])
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
            cost_per_hour=self._paid(workload, choice),
            kind=None if reason is None else reason.kind,
            causes=() if reason is None else reason.causes,
            numbers=() if reason is None else reason.numbers,
            causes_complete=reason is None or reason.is_complete,
            repairs=() if reason is None else _repairs(reason),
        )

    def _paid(self, workload: Workload, choice: Choice) -> float:
        ways = ((part, self.charts.routed(workload, part)) for part in choice.parts)
        return self.shares.of(workload, ((part, [(flow.edge, route) for flow, route in found]) for part, found in ways))

    def failure(self, failure: Failure) -> FailurePlan:
        """Return how those that survive a loss are served after it."""
        survivors = []
        for name, choice in sorted(failure.choices.items()):
            workload = after(self.instance, self.instance.workloads[name], failure.loss)
            survivors.append(SurvivorPlan(name, tuple(self.assignment(workload, part) for part in choice.parts)))
        return FailurePlan(str(failure.loss), tuple(survivors))

    def assignment(self, workload: Workload, part: Choice, targets: Iterable[Target] = ()) -> AssignmentPlan:
        """Return one way to serve a workload, and the flows that only its fallback targets would use, each once."""
        flows = [self._primary(workload, *way, part.fraction) for way in self.charts.routed(workload, part)]
        spare = {
            (flow.edge.source, flow.edge.target, route.sites): (flow, route)
            for target in targets
            for flow, route in target.flows
        }
        flows += [self._spare(*spare[key]) for key in sorted(spare)]
        return AssignmentPlan(float(part.fraction), tuple(self._stages(workload, part)), tuple(flows))

    def _stages(self, workload: Workload, choice: Choice) -> Iterator[StagePlan]:
        for stage in choice.graph.stages:
            option = choice.options[stage.name]
            label = self._label(workload.labels.stages[stage.name])
            if option.pool is None:
                yield StagePlan(stage.name, option.site, None, None, None, label, option.rules)
            else:
                key = option.pool.key
                yield StagePlan(
                    stage.name, key.site, key.model, key.variant, key.hardware, label, option.rules, key.partition
                )

    def _primary(self, workload: Workload, flow: Flow, route: Route, fraction: Fraction) -> FlowPlan:
        return self._flow(flow, route, "primary", float(workload.rate * flow.edge.share * fraction))

    def _spare(self, flow: Flow, route: Route) -> FlowPlan:
        # Both are kept for as long as this is: by the charts, and by the ways of the flow.
        key = (id(flow), id(route))
        if key not in self._spares:
            self._spares[key] = self._flow(flow, route, "fallback", 0.0)
        return self._spares[key]

    def _flow(self, flow: Flow, route: Route, role: Role, rate: float) -> FlowPlan:
        return FlowPlan(
            from_stage=flow.edge.source,
            to_stage=flow.edge.target,
            source=route.sites[0],
            target=route.sites[-1],
            role=role,
            route=route.sites,
            bytes=flow.edge.bytes,
            rate=rate,
            label=self._label(flow.label),
            verdict="permit",
            rules=route.rules,
        )

    def _label(self, label: Label) -> tuple[AtomJson, ...]:
        """Return a label's form: one object per label, which is kept: its identity is the key."""
        if id(label) not in self._labels:
            self._labels[id(label)] = label, tuple(atom.to_json() for atom in label)
        return self._labels[id(label)][1]


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
        gap_over=solution.bound_over,
    )


def billed(total: Tally, packing: Mapping[PoolKey, Iterable[Place]]) -> Fraction:
    """Return the price of every node that holds a replica, and egress, per hour."""
    nodes = {
        (key.site, key.hardware, node): total.pools[key].pool.group.price.amount
        for key, places in packing.items()
        for node, _ in places
    }
    return sum(nodes.values(), total.egress)
