"""The mixed-integer model of a group of workloads that share sites: columns, rows and goals, from exact numbers.

Rows are scaled so that their right-hand side is about one. What the numbers mean is design/placement.md, "The model".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil

from placement.candidates import Option, Pool, PoolKey
from placement.capacity import Place
from placement.cost import egress_per_hour
from placement.domains import domain_of, most_at
from placement.exact.highs import Programme, Terms
from placement.exact.nodes import Group, Use
from placement.exact.serving import THOUSANDTHS, Serving, keep_apart, possible, serve
from placement.graph import exact
from placement.instance import Instance, Workload
from placement.network import Hop
from placement.solution import HOP_LIMIT, Choice

__all__ = ["Model", "Move", "as_floats", "possible"]

Move = tuple[str, str, str, str]
"""Where a stage of a current plan is: (site, model, variant, hardware), empty where it is built in."""

Current = Mapping[str, Mapping[str, Collection[Move]]]
"""Where the stages of the current plan's workloads are; more than one place where a workload is split."""

FEWEST_COPIES, MOST_COPIES = 3, 6
"""How many assignments a split workload may have: each costs as many columns as the workload itself.

At a vertex of the linear relaxation no more workloads are divided than limits bind, most of them in two. A `spread`
that needs more parts than three gets them.
"""

Load = tuple[str, int, Fraction]
"""A workload, a column, and what it takes of something shared when the column is one."""

Ward = tuple[str, int, str]
"""A pipeline, the place of one of its `spread` rules, and a domain."""


@dataclass(slots=True)
class Shared:
    """What servings take together, in normal running or after one loss."""

    pools: dict[PoolKey, list[Load]] = field(default_factory=dict)
    hops: dict[Hop, list[Load]] = field(default_factory=dict)
    wards: dict[Ward, list[Load]] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """One component's programme with the meaning of its columns.

    Attributes:
        unplaced: the column that says so, by workload. `degraded`: those that say that a fallback serves.
        served: the servings of each workload that can be served at all.
        replicas: of each pool, the columns that count them, by place.
        shared: normal running first, then one for each loss.
        detailed: hardware groups that are modelled node by node.
    """

    instance: Instance
    programme: Programme = field(default_factory=Programme)
    unplaced: dict[str, int] = field(default_factory=dict)
    degraded: dict[str, list[int]] = field(default_factory=dict)
    served: dict[str, list[Serving]] = field(default_factory=dict)
    replicas: dict[PoolKey, list[tuple[Place, int]]] = field(default_factory=dict)
    pools: dict[PoolKey, Pool] = field(default_factory=dict)
    uses: dict[PoolKey, list[Use]] = field(default_factory=dict)
    shared: list[Shared] = field(default_factory=lambda: [Shared()])
    detailed: Collection[tuple[str, str]] = ()
    _egress: dict[int, Fraction] = field(default_factory=dict)

    def add(self, workload: Workload, *, must: bool) -> None:
        """Add a workload with all its graphs; with `must` it may not stay unplaced."""
        programme = self.programme
        unplaced = self.unplaced[workload.id] = programme.column(0.0 if must else 1.0)
        places = [possible(workload, graph) for graph in workload.graphs]
        servings = self.served[workload.id] = self.serve(workload, places, self.shared[0], [(unplaced, 1.0)], 1.0)
        for serving in servings:
            for edge in serving.graph.edges:
                for way in serving.carried[edge.source, edge.target]:
                    cost = egress_per_hour(workload.rate * edge.share, edge.bytes, way.route.price)
                    for column in way.columns if cost else ():
                        self._egress[column] = self._egress.get(column, Fraction(0)) + cost
        fallen = [serving.used for serving in servings if serving.graph.replaced]
        self.degraded[workload.id] = [self._any_of(fallen)] if workload.pipeline.spec.split and fallen else fallen

    def _any_of(self, columns: Sequence[int]) -> int:
        found = self.programme.column()
        for column in columns:
            self.programme.row([(column, 1.0), (found, -1.0)], upper=0.0)
        return found

    def serve(
        self,
        workload: Workload,
        places: Sequence[Mapping[str, Sequence[Option]] | None],
        shared: Shared,
        rest: Sequence[tuple[int, float]],
        whole: float,
    ) -> list[Serving]:
        """Add the servings of a workload: one per graph and copy, of which one per copy is used at most.

        Args:
            places: by graph, the options of each stage; None where there are none.
            rest, whole: the fractions served and these terms add up to this.
        """
        programme, is_split = self.programme, workload.pipeline.spec.split
        copies: list[list[Serving]] = []
        for copy in range(_copies(workload)):
            copies.append([])
            for graph, options in zip(workload.graphs, places, strict=True):
                if options is not None:
                    serving = serve(programme, workload, graph, options, copy if is_split else None)
                    keep_apart(programme, serving, self.instance.problem.sites)
                    self._share(shared, serving)
                    copies[-1].append(serving)
        if is_split:
            self._in_thousandths(copies, rest, whole)
        programme.row([*rest, *((serving.used, 1.0) for serving in copies[0])], whole, whole)
        for more, fewer in pairwise(copies):
            programme.row([*((s.used, 1.0) for s in fewer), *((s.used, -1.0) for s in more)], upper=0.0)
        return [serving for servings in copies for serving in servings]

    def _in_thousandths(self, copies: list[list[Serving]], rest: Sequence[tuple[int, float]], whole: float) -> None:
        counts = [self.programme.column(float(THOUSANDTHS)) for _ in copies]
        for count, servings in zip(counts, copies, strict=True):
            terms = [(serving.part, float(THOUSANDTHS)) for serving in servings]
            self.programme.row([*terms, (count, -1.0)], 0.0, 0.0)
        parts = [(serving.part, 1.0) for servings in copies for serving in servings]
        self.programme.row([*rest, *parts], whole, whole)
        for more, fewer in pairwise(counts):
            self.programme.row([(fewer, 1.0), (more, -1.0)], upper=0.0)

    def _share(self, shared: Shared, serving: Serving) -> None:
        """Note what a serving takes of pools, wires and domains."""
        workload, name = serving.workload, serving.workload.id
        for stage in serving.graph.stages:
            wanted = workload.stage_rate(stage) / workload.utilisation
            stored = 0 if stage.knowledge is None else workload.stored[stage.knowledge]
            for spot in serving.spots[stage.name]:
                if (pool := spot.option.pool) is not None:
                    together = (id(shared), name, stage.name, serving.copy)
                    use = Use((name, stage.name), together, spot.chosen, wanted, stage.knowledge, stored)
                    self.pools[pool.key] = pool
                    self.uses.setdefault(pool.key, []).append(use)
                    shared.pools.setdefault(pool.key, []).append((name, spot.part, wanted))
        for edge in serving.graph.edges:
            load = workload.rate * edge.share * edge.bytes * 8
            for way in serving.carried[edge.source, edge.target]:
                for hop in way.route.hops:
                    shared.hops.setdefault(hop, []).extend((name, column, load) for column in way.columns)
        for ward, column in self._wards(serving):
            shared.wards.setdefault(ward, []).append((name, column, workload.rate))

    def _wards(self, serving: Serving) -> Iterator[tuple[Ward, int]]:
        pipeline, sites = serving.workload.pipeline, self.instance.problem.sites
        for index, spread in enumerate(pipeline.spec.spread):
            for spot in serving.spots.get(spread.stage, ()):
                domain = domain_of(sites[spot.option.site], spread.by)
                if domain is None:
                    self.programme.row([(spot.chosen, 1.0)], upper=0.0)
                else:
                    yield (pipeline.name, index, domain), spot.part

    def close(self) -> None:
        """Add what workloads share: replicas, nodes, wires and domains. Call once, after the last `add`."""
        groups: dict[tuple[str, str], list[PoolKey]] = {}
        for key in sorted(self.pools):
            groups.setdefault((key.site, key.hardware), []).append(key)
        for where, keys in groups.items():
            loads = {key: [shared.pools[key] for shared in self.shared if key in shared.pools] for key in keys}
            pools, uses = {key: self.pools[key] for key in keys}, {key: self.uses[key] for key in keys}
            group = Group(self.programme, pools[keys[0]].group, pools, uses, loads, where not in self.detailed)
            group.close()
            self.replicas |= group.replicas
        problem = self.instance.problem
        for shared in self.shared:
            for hop, users in sorted(shared.hops.items()):
                self._limit(users, problem.network.wires[hop].bandwidth * HOP_LIMIT)
            for (name, index, _), users in sorted(shared.wards.items()):
                pipeline = problem.pipelines[name]
                self._limit(users, most_at(pipeline, pipeline.spec.spread[index], problem.sites))

    def _limit(self, users: Sequence[Load], limit: Fraction) -> None:
        if sum(load for _, _, load in users) > limit:
            self.programme.row([(column, float(load / limit)) for _, column, load in users], upper=1.0)

    @property
    def unplaced_goal(self) -> dict[int, Fraction]:
        """Return the priority of each unplaced workload."""
        return {column: self.instance.workloads[name].priority for name, column in self.unplaced.items()}

    @property
    def degraded_goal(self) -> dict[int, Fraction]:
        """Return the priority of each workload served with fallbacks."""
        workloads = self.instance.workloads
        return {column: workloads[name].priority for name, columns in self.degraded.items() for column in columns}

    def moves_goal(self, current: Current) -> dict[int, Fraction]:
        """Return one for each stage that is anywhere where the current plan does not have it. Call before solving."""
        found: dict[int, Fraction] = {}
        for name, servings in self.served.items():
            moved: dict[str, list[int]] = {}
            for serving in servings:
                for stage, here in current.get(name, {}).items():
                    spots = serving.spots.get(stage, ())
                    moved.setdefault(stage, []).extend(s.chosen for s in spots if s.option.key[:4] not in here)
            for columns in moved.values():
                is_split = self.instance.workloads[name].pipeline.spec.split
                found |= dict.fromkeys([self._any_of(columns)] if is_split and columns else columns, Fraction(1))
        return found

    @property
    def cost_goal(self) -> dict[int, Fraction]:
        """Return cost per hour: replicas and egress."""
        found = dict(self._egress)
        for key, columns in self.replicas.items():
            found |= {column: self.pools[key].per_hour for _, column in columns}
        return found

    def read_places(self, values: Sequence[float]) -> dict[PoolKey, list[Place]]:
        """Return node and device of each replica that the values of the columns say."""
        return {
            key: [place for place, column in columns for _ in range(round(values[column]))]
            for key, columns in self.replicas.items()
        }


def _copies(workload: Workload) -> int:
    """Return how many assignments a workload may have."""
    spec = workload.pipeline.spec
    if not spec.split:
        return 1
    needed = max((ceil(1 / exact(spread.most)) for spread in spec.spread), default=1)
    return min(MOST_COPIES, max(FEWEST_COPIES, needed))


def read(served: Mapping[str, Sequence[Serving]], values: Sequence[float]) -> dict[str, Choice]:
    """Return the choices that the values of the columns say, by workload."""
    found = {}
    for name, servings in served.items():
        parts: dict[tuple[object, ...], Choice] = {}
        for serving in (s for s in servings if values[s.used] > 0.5):
            options = {stage: spot.option for stage, spot in serving.taken(values).items()}
            key = (serving.graph.replaced, *((stage, option.key) for stage, option in sorted(options.items())))
            fraction = Fraction(round(values[serving.part] * THOUSANDTHS), THOUSANDTHS)
            if key in parts:
                fraction += parts[key].fraction
            parts[key] = Choice(serving.graph, options, fraction)
        if parts:
            first, *others = (part for _, part in sorted(parts.items(), key=lambda pair: (-pair[1].fraction, pair[0])))
            found[name] = replace(first, beside=tuple(others))
    return found


def chosen(servings: Sequence[Serving], values: Sequence[float]) -> list[int]:
    """Return the columns that are one where a stage of these servings is: what a cut has to forbid."""
    return [
        spot.chosen for serving in servings if values[serving.used] > 0.5 for spot in serving.taken(values).values()
    ]


def as_floats(goal: Mapping[int, Fraction], scale: Fraction) -> Terms:
    """Return a goal's coefficients for the solver, each times `scale`."""
    return {column: float(value * scale) for column, value in goal.items()}
