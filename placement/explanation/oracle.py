"""The best way to serve one workload beside what others take: proven, in milliseconds, without a solver.

Branch and bound over its own stages. Bounds are floats with a margin; what is accepted holds in exact arithmetic. Where
first fit cannot pack what no volume forbids, or the tree grows too large, it says that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from math import ceil

from placement.candidates import Option, Pool, PoolKey
from placement.cost import egress_per_hour
from placement.domains import binding
from placement.exact.model import possible
from placement.explanation.branch import Branch, Flow, Step
from placement.explanation.fit import Fit, Own, Packer
from placement.explanation.ledger import GroupKey, Room, added_cost, link_loads
from placement.graph import ANSWER, INPUT, Edge, Graph
from placement.instance import Workload
from placement.latency import flow_us
from placement.network import Hop
from placement.pipeline import Apart, Stage
from placement.problem import Problem
from placement.routes import Route
from placement.solution import HOP_LIMIT, Choice, latency_us

MOST_STEPS = 20_000
"""Options tried in one question; beyond, the solver is asked instead."""

MOST_STAGES = 100
"""The tree is as deep as a graph has stages. Of a longer one the solver takes seconds for a question: nobody asks."""

NEAREST = 12
"""Sites near its home at which a workload is tried before it is tried at all that it may use."""

MARGIN = 1e-9
NOTHING = Fraction(0)


class UnsureError(Exception):
    """Whether a way exists, or which is best, could not be decided here."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one workload is served best, and what that costs more per hour than the plan without it."""

    choice: Choice
    per_hour: Fraction


def best_way(
    problem: Problem, workload: Workload, room: Room, graphs: Iterable[Graph], *, any_will_do: bool = False
) -> Way | None:
    """Return the cheapest way over the first of `graphs` that can be, or None when there is none.

    Args:
        room: what others take.
        graphs: in the order of preference.
        any_will_do: stop at the first way, whatever it costs.

    Raises UnsureError.
    """
    spec = workload.pipeline.spec
    is_beyond = spec.survive or spec.split or spec.spread or len(spec.stages) > MOST_STAGES
    packer = Packer(room)
    for graph in graphs:
        options = possible(workload, graph)
        if options is not None:
            if is_beyond:
                raise UnsureError(workload.id)
            if any_will_do and (near := _nearest(workload, graph, options)):
                with suppress(UnsureError):
                    if (way := Tree(problem, workload, room, graph, near, packer, True).best()) is not None:
                        return way
            tree = Tree(problem, workload, room, graph, options, packer, any_will_do)
            if (way := tree.best()) is not None:
                return way
    return None


def _nearest(workload: Workload, graph: Graph, options: Mapping[str, list[Option]]) -> dict[str, list[Option]] | None:
    """Return the options at home and at the sites nearest to it, where most ways are; None when that is no less."""
    sites = {option.site for found in options.values() for option in found}
    first = next((edge for edge in graph.edges if edge.source == INPUT), None)
    if first is None or len(sites) <= 2 * NEAREST:
        return None
    paths = workload.router.paths(workload.labels.flow(INPUT, first.target), first.is_async)
    around = (site for _, site in paths.near(workload.origin.name) if site in sites)
    near = {workload.origin.name, *islice(around, NEAREST)}
    left = {stage: [option for option in found if option.site in near] for stage, found in options.items()}
    return left if all(left.values()) else None


@dataclass(slots=True)
class Tree:
    """The search over one graph; `bound_times` and `soonest` are of use without it."""

    problem: Problem
    workload: Workload
    room: Room
    graph: Graph
    allowed: Mapping[str, Sequence[Option]]
    packer: Packer
    any_will_do: bool
    steps: int = 0
    found: Way | None = None
    doubtful: Fraction | None = None
    _least: list[float] = field(default_factory=list)
    _left: dict[tuple[str, str], float] = field(default_factory=dict)
    _room: dict[Hop, float] = field(default_factory=dict)
    _wants: dict[str, Fraction] = field(default_factory=dict)
    _times: dict[PoolKey, float] = field(default_factory=dict)
    _costs: dict[tuple[PoolKey, str], Fraction] = field(default_factory=dict)
    _into: dict[str, list[Edge]] = field(default_factory=dict)
    _answers: dict[str, list[Edge]] = field(default_factory=dict)
    _flows: dict[tuple[str, str, str, str], Flow | None] = field(default_factory=dict)
    _apart: tuple[Apart, ...] = ()

    def best(self) -> Way | None:
        """Return the cheapest way, or None. Raises UnsureError."""
        self._apart = binding(self.workload.pipeline, self.graph)
        for stage in self.graph.stages:
            self._into[stage.name] = [edge for edge in self.graph.edges if edge.target == stage.name]
            sent = (edge for edge in self.graph.edges if edge.source == stage.name)
            self._answers[stage.name] = [edge for edge in sent if edge.target == ANSWER]
        if self.workload.limit_us is not None:
            self.bound_times()
        self._bound_costs()
        self._grow(0, Branch(), 0.0)
        if self.doubtful is not None and (self.found is None or self.doubtful < self.found.per_hour):
            raise UnsureError(self.workload.id)
        return self.found

    # what any completion needs at least

    def _flow(self, edge: Edge, a: str, b: str) -> Flow | None:
        """Return cost and time of a flow between two sites; None when no route joins them."""
        key = (edge.source, edge.target, a, b)
        if key not in self._flows:
            route = self.workload.route(edge, a, b)
            self._flows[key] = None if route is None else self._carried(edge, route)
        return self._flows[key]

    def _carried(self, edge: Edge, route: Route) -> Flow | None:
        if not route.hops:
            return 0.0, 0.0, (), 0.0
        rate = self.workload.rate * edge.share
        load = float(rate * edge.bytes * 8)
        if any(load > self._spare(hop) for hop in route.hops):
            return None
        time = float(flow_us(edge.bytes, route)) if edge.counts else 0.0
        return float(egress_per_hour(rate, edge.bytes, route.price)), time, route.hops, load

    def _spare(self, hop: Hop) -> float:
        """Return what others leave of a hop, and a margin."""
        if hop not in self._room:
            left = self.problem.network.wires[hop].bandwidth * HOP_LIMIT - self.room.hops.get(hop, NOTHING)
            self._room[hop] = float(left) * (1 + MARGIN)
        return self._room[hop]

    def _sites(self, end: str) -> list[str]:
        if end in (INPUT, ANSWER):
            return [self.workload.origin.name]
        return list(dict.fromkeys(option.site for option in self.allowed[end]))

    def bound_times(self) -> None:
        """Work out, from the last stage back, how long after a stage at a site the answer arrives at the earliest."""
        for stage in reversed(self.graph.stages):
            leaving = [edge for edge in self.graph.edges if edge.source == stage.name and edge.counts]
            for site in self._sites(stage.name):
                waits = [self.soonest(edge, site) for edge in leaving]
                self._left[stage.name, site] = max(waits, default=0.0)

    def soonest(self, edge: Edge, site: str) -> float:
        if edge.target == ANSWER:
            flow = self._flow(edge, site, self.workload.origin.name)
            return float("inf") if flow is None else flow[1]
        waits = [
            flow[1] + self._time(option) + self._left[edge.target, option.site]
            for option in self.allowed[edge.target]
            if (flow := self._flow(edge, site, option.site)) is not None
        ]
        return min(waits, default=float("inf"))

    def _bound_costs(self) -> None:
        """Work out what the stages from each on cost at least: their pools, and the flows into them."""
        if self.any_will_do:
            self._least = [0.0] * (len(self.graph.stages) + 1)
            return
        seen: dict[PoolKey, int] = {}
        for stage in self.graph.stages:
            for key in {option.pool.key for option in self.allowed[stage.name] if option.pool is not None}:
                seen[key] = seen.get(key, 0) + 1
        least = [0.0]
        for stage in reversed(self.graph.stages):
            costs = [self._alone(stage, option, seen) for option in self.allowed[stage.name]]
            least.append(least[-1] + min(costs))
        self._least = least[::-1]

    def _alone(self, stage: Stage, option: Option, seen: Mapping[PoolKey, int]) -> float:
        cost = 0.0
        if option.pool is not None and seen[option.pool.key] == 1:
            cost = float(self._more(option.pool, NOTHING, stage))
        for edge in self._into[stage.name]:
            flows = (self._flow(edge, site, option.site) for site in self._sites(edge.source))
            cost += min((flow[0] for flow in flows if flow is not None), default=0.0)
        return cost

    def _wanted(self, stage: Stage) -> Fraction:
        if stage.name not in self._wants:
            self._wants[stage.name] = self.workload.stage_rate(stage) / self.workload.utilisation
        return self._wants[stage.name]

    def _time(self, option: Option) -> float:
        if option.pool is None:
            return 0.0
        if option.pool.key not in self._times:
            self._times[option.pool.key] = float(self.workload.stage_time(option))
        return self._times[option.pool.key]

    def _more(self, pool: Pool, before: Fraction, stage: Stage) -> Fraction:
        """Return what a stage costs more of a pool per hour, `before` being this workload's own already."""
        known = (pool.key, stage.name)
        if before or known not in self._costs:
            other = self.room.pool(pool.key)
            there = before + (other.wanted if other else 0)
            replicas = ceil((there + self._wanted(stage)) / pool.throughput) - ceil(there / pool.throughput)
            if before:
                return replicas * pool.per_hour
            self._costs[known] = replicas * pool.per_hour
        return self._costs[known]

    # the search

    def _grow(self, index: int, branch: Branch, cost: float) -> None:
        if index == len(self.graph.stages):
            self._accept(branch)
            return
        stage = self.graph.stages[index]
        steps: Iterable[tuple[Step, Option]] = self._steps(stage, branch)
        if not self.any_will_do:
            steps = sorted(steps, key=lambda pair: pair[0][0])
        for step, option in steps:
            if self.any_will_do and self.found is not None:
                return
            if self.found is not None and cost + step[0] + self._least[index + 1] >= float(self.found.per_hour):
                return
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise UnsureError(self.workload.id)
            self._descend(index, stage, option, branch, cost, step)

    def _steps(self, stage: Stage, branch: Branch) -> Iterator[tuple[Step, Option]]:
        for option in self.allowed[stage.name]:
            if not any(branch.is_near(stage.name, option, rule, self.problem.sites) for rule in self._apart):
                step = self._step(stage, option, branch)
                if step is not None:
                    yield step, option

    def _step(self, stage: Stage, option: Option, branch: Branch) -> Step | None:
        """Return what a stage at an option adds; None when it cannot be there."""
        cost, begun, hops, home = 0.0, 0.0, branch.hops, self.workload.origin.name
        ways = []
        for edge in self._into[stage.name]:
            source = home if edge.source == INPUT else branch.options[edge.source].site
            ways.append((edge, self._flow(edge, source, option.site)))
        ways += [(edge, self._flow(edge, option.site, home)) for edge in self._answers[stage.name]]
        for edge, flow in ways:
            if flow is None:
                return None
            cost += flow[0]
            if edge.target != ANSWER and edge.counts:
                begun = max(begun, branch.finished.get(edge.source, 0.0) + flow[1])
            hops = {**hops, **{hop: hops.get(hop, 0.0) + flow[3] for hop in flow[2]}} if flow[2] else hops
        if hops is not branch.hops and any(load > self._spare(hop) for hop, load in hops.items()):
            return None
        done, limit = begun + self._time(option), self.workload.limit_us
        counts = limit is not None and stage.name in self.graph.waiting
        if counts and done + self._left[stage.name, option.site] > (limit or 0) * (1 + MARGIN):
            return None
        if option.pool is not None:
            before = branch.wanted.get(option.pool.key, NOTHING)
            cost += float(self._more(option.pool, before, stage))
        return cost, done, hops

    def _descend(self, index: int, stage: Stage, option: Option, branch: Branch, cost: float, step: Step) -> None:
        wanted, stores, users = dict(branch.wanted), dict(branch.stores), dict(branch.users)
        if option.pool is not None:
            key = option.pool.key
            wanted[key] = wanted.get(key, NOTHING) + self._wanted(stage)
            read = {} if stage.knowledge is None else {stage.knowledge: self.workload.stored[stage.knowledge]}
            stores[key] = {**stores.get(key, {}), **read}
            users[key] = (*users.get(key, ()), stage.name)
        finished = {**branch.finished, stage.name: step[1]}
        after = Branch({**branch.options, stage.name: option}, wanted, stores, users, finished, step[2])
        if option.pool is not None and self._fits(after, (option.site, option.pool.key.hardware)) is False:
            return
        self._grow(index + 1, after, cost + step[0])

    def _fits(self, branch: Branch, at: GroupKey) -> Fit:
        by_key = {o.pool.key: o.pool for o in branch.options.values() if o.pool is not None}
        own = {
            key: Own(pool, branch.wanted[key], branch.stores[key], branch.users[key])
            for key, pool in by_key.items()
            if (key.site, key.hardware) == at
        }
        return self.packer.fits(at, own)

    def _accept(self, branch: Branch) -> None:
        """Keep a whole choice if it holds exactly and is cheaper."""
        choice = Choice(self.graph, branch.options)
        limit = self.workload.limit_us
        if (limit is not None and latency_us(self.workload, choice) > limit) or self._fills_a_link(choice):
            return
        cost = added_cost(self.workload, choice, self.room)
        if self.found is not None and cost >= self.found.per_hour:
            return
        if all(self._fits(branch, at) for at in {(key.site, key.hardware) for key in branch.wanted}):
            self.found = Way(choice, cost)
        elif self.doubtful is None or cost < self.doubtful:
            self.doubtful = cost

    def _fills_a_link(self, choice: Choice) -> bool:
        return any(load > limit for _, load, limit in link_loads(self.problem, self.workload, choice, self.room))
