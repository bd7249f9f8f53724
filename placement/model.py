"""The mixed-integer model of a group of workloads that share sites: columns, rows and goals, from exact numbers.

Rows are scaled so that their right-hand side is about one. What the numbers mean is design/placement.md, "The model".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Option, Pool, PoolKey
from placement.capacity import Place
from placement.cost import egress_per_hour
from placement.graph import ANSWER, INPUT, Edge, Graph
from placement.highs import Programme, Terms
from placement.instance import Instance, Workload
from placement.latency import flow_us
from placement.nodes import Group, Use
from placement.pipeline import Stage
from placement.routes import Hop, Route
from placement.solution import HOP_LIMIT, Choice

Move = tuple[str, str, str, str]
"""Where a stage of a current plan is: (site, model, variant, hardware), empty where it is built in."""

Pair = tuple[str, str]


@dataclass(slots=True)
class _Way:
    """One pair of sites that a flow may join, with the columns whose sum says that it does."""

    route: Route
    columns: list[int]


@dataclass(slots=True)
class _Served:
    """The columns of one workload under one graph."""

    graph: Graph
    used: int
    options: dict[str, list[tuple[Option, int]]]


@dataclass(slots=True)
class Model:
    """One component's programme with the meaning of its columns.

    Attributes:
        unplaced: the column that says so, by workload.
        served: the graphs of each workload that can be served at all.
        replicas: of each pool, the columns that count them, by place.
    """

    instance: Instance
    programme: Programme = field(default_factory=Programme)
    unplaced: dict[str, int] = field(default_factory=dict)
    served: dict[str, list[_Served]] = field(default_factory=dict)
    replicas: dict[PoolKey, list[tuple[Place, int]]] = field(default_factory=dict)
    pools: dict[PoolKey, Pool] = field(default_factory=dict)
    uses: dict[PoolKey, list[Use]] = field(default_factory=dict)
    _hops: dict[Hop, list[tuple[int, Fraction]]] = field(default_factory=dict)
    _egress: dict[int, Fraction] = field(default_factory=dict)

    def add(self, workload: Workload, *, must: bool) -> None:
        """Add a workload with all its graphs; with `must` it may not stay unplaced."""
        programme = self.programme
        unplaced = self.unplaced[workload.id] = programme.column(0.0 if must else 1.0)
        self.served[workload.id] = []
        for graph in workload.graphs:
            places = possible(workload, graph)
            if places is not None:
                self.served[workload.id].append(self._serve(workload, graph, places))
        programme.row([(unplaced, 1.0), *((s.used, 1.0) for s in self.served[workload.id])], 1.0, 1.0)

    def _serve(self, workload: Workload, graph: Graph, places: Mapping[str, Sequence[Option]]) -> _Served:
        served = _Served(graph, self.programme.column(), {})
        for stage in graph.stages:
            columns = [(option, self.programme.column()) for option in places[stage.name]]
            self.programme.row([*((column, 1.0) for _, column in columns), (served.used, -1.0)], 0.0, 0.0)
            served.options[stage.name] = columns
            for option, column in columns:
                if option.pool is not None:
                    self.pools[option.pool.key] = option.pool
                    self.uses.setdefault(option.pool.key, []).append(self._use(workload, stage, column))
        ways = {(edge.source, edge.target): self._ways(workload, edge, served) for edge in graph.edges}
        for edge in graph.edges:
            self._load(workload, edge, ways[edge.source, edge.target])
        self._within_latency(workload, served, ways)
        return served

    def _use(self, workload: Workload, stage: Stage, column: int) -> Use:
        wanted = workload.stage_rate(stage) / workload.utilisation
        stored = 0 if stage.knowledge is None else workload.stored[stage.knowledge]
        return Use((workload.id, stage.name), column, wanted, stage.knowledge, stored)

    def _ways(self, workload: Workload, edge: Edge, served: _Served) -> list[_Way]:
        """Return every pair of sites that a flow may join; flow columns only where both ends have a choice."""
        sources, targets = self._sites(workload, edge.source, served), self._sites(workload, edge.target, served)
        joined = {(a, b): route for a in sources for b in targets if (route := workload.route(edge, a, b)) is not None}
        if len(sources) == 1:
            return [_Way(route, targets[b]) for (_, b), route in joined.items()]
        if len(targets) == 1:
            return [_Way(route, sources[a]) for (a, _), route in joined.items()]
        flows = {pair: self.programme.column(whole=False) for pair in joined}
        for a, columns in sources.items():
            leaving = [(flow, 1.0) for pair, flow in flows.items() if pair[0] == a]
            self.programme.row([*leaving, *((column, -1.0) for column in columns)], 0.0, 0.0)
        for b, columns in targets.items():
            arriving = [(flow, 1.0) for pair, flow in flows.items() if pair[1] == b]
            self.programme.row([*arriving, *((column, -1.0) for column in columns)], 0.0, 0.0)
        return [_Way(route, [flows[pair]]) for pair, route in joined.items()]

    def _sites(self, workload: Workload, end: str, served: _Served) -> dict[str, list[int]]:
        if end in (INPUT, ANSWER):
            return {workload.origin.name: [served.used]}
        found: dict[str, list[int]] = {}
        for option, column in served.options[end]:
            found.setdefault(option.site, []).append(column)
        return found

    def _load(self, workload: Workload, edge: Edge, ways: list[_Way]) -> None:
        rate = workload.rate * edge.share
        for way in ways:
            cost = egress_per_hour(rate, edge.bytes, way.route.price)
            for column in way.columns:
                if cost:
                    self._egress[column] = self._egress.get(column, Fraction(0)) + cost
                for hop in way.route.hops:
                    self._hops.setdefault(hop, []).append((column, rate * edge.bytes * 8))

    def _within_latency(self, workload: Workload, served: _Served, ways: Mapping[Pair, list[_Way]]) -> None:
        """Bound the time at which each answer arrives; times are fractions of the objective."""
        limit = workload.limit_us
        if limit is None:
            return
        waiting = [stage.name for stage in served.graph.stages if stage.name in served.graph.waiting]
        times = {INPUT: None} | {name: self.programme.column(whole=False) for name in waiting}
        for edge in (edge for edge in served.graph.edges if edge.counts):
            terms = [
                (column, float(flow_us(edge.bytes, way.route) / max(1, limit)))
                for way in ways[edge.source, edge.target]
                for column in way.columns
            ]
            if (begun := times[edge.source]) is not None:
                terms.append((begun, 1.0))
            if edge.target == ANSWER:
                self.programme.row([*terms, (served.used, -1.0)], upper=0.0)
                continue
            terms += [(c, float(workload.stage_time(o) / max(1, limit))) for o, c in served.options[edge.target]]
            if (done := times[edge.target]) is not None:
                self.programme.row([*terms, (done, -1.0)], upper=0.0)

    def close(self) -> None:
        """Add what workloads share: replicas, nodes and wires. Call once, after the last `add`."""
        groups: dict[tuple[str, str], list[PoolKey]] = {}
        for key in sorted(self.pools):
            groups.setdefault((key.site, key.hardware), []).append(key)
        for keys in groups.values():
            pools = {key: self.pools[key] for key in keys}
            uses = {key: self.uses[key] for key in keys}
            group = Group(self.programme, pools[keys[0]].group, pools, uses)
            group.close()
            self.replicas |= group.replicas
        for hop, users in sorted(self._hops.items()):
            limit = self.instance.problem.network.wires[hop].bandwidth * HOP_LIMIT
            if sum(load for _, load in users) > limit:
                self.programme.row([(column, float(load / limit)) for column, load in users], upper=1.0)

    @property
    def unplaced_goal(self) -> dict[int, Fraction]:
        """Return the priority of each unplaced workload."""
        return {column: self.instance.workloads[name].priority for name, column in self.unplaced.items()}

    @property
    def degraded_goal(self) -> dict[int, Fraction]:
        """Return the priority of each workload served with fallbacks."""
        return {
            served.used: self.instance.workloads[name].priority
            for name, graphs in self.served.items()
            for served in graphs
            if served.graph.replaced
        }

    def moves_goal(self, current: Mapping[str, Mapping[str, Move]]) -> dict[int, Fraction]:
        """Return one for each option that is not where the current plan has that stage."""
        found: dict[int, Fraction] = {}
        for name, graphs in self.served.items():
            for served in graphs:
                for stage, columns in served.options.items():
                    here = current.get(name, {}).get(stage)
                    if here is not None:
                        found |= {column: Fraction(1) for option, column in columns if option.key[:4] != here}
        return found

    @property
    def cost_goal(self) -> dict[int, Fraction]:
        """Return cost per hour: replicas and egress."""
        found = dict(self._egress)
        for key, columns in self.replicas.items():
            found |= {column: self.pools[key].per_hour for _, column in columns}
        return found

    def read(self, values: Sequence[float]) -> dict[str, Choice]:
        """Return the choices that the values of the columns say."""
        found = {}
        for name, graphs in self.served.items():
            for served in graphs:
                if values[served.used] > 0.5:
                    chosen = {s: max(c, key=lambda pair: values[pair[1]])[0] for s, c in served.options.items()}
                    found[name] = Choice(served.graph, chosen)
        return found

    def read_places(self, values: Sequence[float]) -> dict[PoolKey, list[Place]]:
        """Return node and device of each replica that the values of the columns say."""
        return {
            key: [place for place, column in columns for _ in range(round(values[column]))]
            for key, columns in self.replicas.items()
        }

    def columns_of(self, choices: Mapping[str, Choice]) -> list[int]:
        """Return the columns that are one under these choices: what a cut has to forbid."""
        return [
            column
            for name, choice in sorted(choices.items())
            for served in self.served[name]
            if served.graph is choice.graph
            for stage, columns in served.options.items()
            for option, column in columns
            if option is choice.options[stage]
        ]


def possible(workload: Workload, graph: Graph) -> dict[str, list[Option]] | None:
    """Return the options of each stage that some route joins with an option of every neighbour; None when none is left.

    Options whose own times exceed the latency objective are left out as well.
    """
    left = {stage.name: list(workload.options[stage.name]) for stage in graph.stages}
    limit = workload.limit_us
    if limit is not None:
        for name in graph.waiting:
            left[name] = [option for option in left[name] if workload.stage_time(option) <= limit]
    changed = True
    while changed:
        changed = False
        for edge in graph.edges:
            for name, kept in _joined(workload, edge, left):
                changed = changed or len(kept) < len(left[name])
                left[name] = kept
    return left if all(left.values()) else None


def _joined(workload: Workload, edge: Edge, left: Mapping[str, list[Option]]) -> Iterator[tuple[str, list[Option]]]:
    home = workload.origin.name
    sources = {home} if edge.source == INPUT else {option.site for option in left[edge.source]}
    targets = {home} if edge.target == ANSWER else {option.site for option in left[edge.target]}
    pairs = {(a, b) for a in sources for b in targets if workload.route(edge, a, b) is not None}
    if edge.source != INPUT:
        able = {a for a, _ in pairs}
        yield edge.source, [option for option in left[edge.source] if option.site in able]
    if edge.target != ANSWER:
        able = {b for _, b in pairs}
        yield edge.target, [option for option in left[edge.target] if option.site in able]


def as_floats(goal: Mapping[int, Fraction], scale: Fraction) -> Terms:
    """Return a goal's coefficients for the solver, each times `scale`."""
    return {column: float(value * scale) for column, value in goal.items()}
