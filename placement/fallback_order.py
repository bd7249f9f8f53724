"""What is tried when a stage does not answer, in a fixed and permitted order: other pools, fallback stages, queues.

Every target has the `failover` verdict and permitted routes to its neighbours, which stay where they are. Nothing is
reserved for it, unless the workload survives losses. Of other pools the nearest few are named (docs/adr/0016).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from placement.candidates import Option, PoolKey
from placement.domains import binding, domain_of
from placement.graph import Edge, Graph
from placement.instance import Instance, Workload
from placement.moving import Detour, Rank, Timing
from placement.pipeline import Stage
from placement.routes import Route
from placement.solution import Choice, latency_us, routed
from sites.site import Site

MOST = 3
"""Other pools that an order names: what is nearest, what is next when that is lost too, and one more."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place that takes over, with the flows that then run to and from it."""

    stage: str
    option: Option
    is_queue: bool
    flows: tuple[tuple[Edge, Route], ...]


@dataclass(slots=True)
class Running:
    """The pools that have replicas, by the sites at which a model runs."""

    pools: Collection[PoolKey]
    _models: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the pools by model."""
        for key in self.pools:
            self._models.setdefault(key.model, set()).add(key.site)

    def sites(self, stage: Stage) -> list[set[str]]:
        """Return the sites at which some model of a stage runs, by model."""
        return [self._models[model] for model in stage.models if model in self._models]


def orders(
    instance: Instance,
    workload: Workload,
    choice: Choice,
    running: Running,
    reserved: Collection[tuple[str, PoolKey]] = (),
) -> Iterator[tuple[str, list[Target]]]:
    """Yield (stage, targets) for each stage of a choice that has any.

    Args:
        running: the pools that have replicas.
        reserved: stages and the pools that keep room for them in some failure; they come first.
    """
    timing = Timing(workload, choice)
    for stage in choice.graph.stages:
        kept = {pool for name, pool in reserved if name == stage.name}
        targets = [
            *(_elsewhere(_Search(instance, running, timing, stage), kept) if stage.models else ()),
            *_instead(instance, workload, choice, stage, running),
        ]
        if targets:
            yield stage.name, targets


@dataclass(slots=True)
class _Search:
    """The search for other pools of one stage."""

    instance: Instance
    running: Running
    timing: Timing
    stage: Stage
    workload: Workload = field(init=False)
    choice: Choice = field(init=False)
    detour: Detour = field(init=False)

    def __post_init__(self) -> None:
        """Work out what a move of the stage leaves as it is."""
        self.workload, self.choice = self.timing.workload, self.timing.choice
        self.detour = Detour(self.timing, self.stage)

    def nearest(self, most: int) -> list[Option]:
        """Return the first few other pools: by latency, then by the time of the stage and its flows, then by key.

        Sites are asked in the order of their distance from where the stage's first flow begins, until none that is
        left can be better.
        """
        found: list[tuple[Rank, Option]] = []
        where = self.running.sites(self.stage)
        for distance, site in self._sites():
            if len(found) >= most and self.detour.least(distance) > found[most - 1][0][:2]:
                break
            if any(site in sites for sites in where):
                found = sorted([*found, *self.at(self.instance.problem.sites[site])], key=lambda each: each[0])[:most]
        return [option for _, option in found]

    def _sites(self) -> Iterator[tuple[int, str]]:
        home, network = self.workload.origin.name, self.workload.router.network
        if home in network.stubs:
            yield 0, home
        yield from self.detour.near()

    def at(self, site: Site) -> Iterator[tuple[Rank, Option]]:
        """Yield the options at a site that may take over, with what they are sorted by."""
        taken, pools = self.choice.options[self.stage.name].key, self.running.pools
        here = self.workload.options_at(self.stage.name, site)
        others = [o for o in here if o.pool is not None and o.pool.key in pools and o.key != taken]
        if others and self._may_take_over(site):
            for option in others:
                rank = self.detour.rank(option)
                if rank is not None:
                    yield rank, option

    def _may_take_over(self, site: Site) -> bool:
        cohort, graph = self.workload.cohort, self.choice.graph
        if not cohort.stands_in(self.stage, site):
            return False
        # The declared graph has every flow that a candidate needs; with a fallback in it, it may have fewer.
        if graph.replaced and not cohort.reaches(self.stage, self.workload.origin, site):
            return False
        places = {name: option.site for name, option in self.choice.options.items()} | {self.stage.name: site.name}
        return _are_apart(self.instance, self.workload, graph, self.stage, places)


def _are_apart(instance: Instance, workload: Workload, graph: Graph, stage: Stage, places: Mapping[str, str]) -> bool:
    """Return whether a stage shares no domain with one from which it is to be apart."""
    sites = instance.problem.sites
    for apart in binding(workload.pipeline, graph) if workload.pipeline.spec.apart else ():
        if stage.name in apart.stages:
            a, b = (domain_of(sites[places[name]], apart.by) for name in apart.stages)
            if a is None or a == b:
                return False
    return True


def _elsewhere(search: _Search, kept: Collection[PoolKey]) -> Iterator[Target]:
    """Yield the other running pools that may take over a stage: those that are kept for it, then the nearest."""
    sites = search.instance.problem.sites
    ranked = sorted(
        pair
        for name in {key.site for key in kept}
        for pair in search.at(sites[name])
        if pair[1].pool is not None and pair[1].pool.key in kept
    ) if kept else []  # fmt: skip
    first = [option for _, option in ranked]
    names = {option.key for option in first}
    rest = [option for option in search.nearest(MOST + len(first)) if option.key not in names]
    for option in [*first, *rest[:MOST]]:
        yield Target(search.stage.name, option, search.stage.task == "queue", tuple(search.detour.flows(option)))


def _instead(
    instance: Instance, workload: Workload, choice: Choice, stage: Stage, running: Running
) -> Iterator[Target]:
    """Yield the declared fallbacks of a stage, in order, each at its origin if it may run there, else by name."""
    for name in stage.fallback:
        graph = _with(workload, choice.graph, stage.name, name)
        if graph is None or not {s.name for s in graph.stages} <= {*choice.options, name}:
            continue
        fallback = workload.cohort.stages[name]
        kept = {s.name: choice.options[s.name] for s in graph.stages if s.name != name}
        for option in _by_name(workload, fallback, running):
            moved = {**kept, name: option}
            if _are_apart(instance, workload, graph, fallback, {other: at.site for other, at in moved.items()}):
                target = _target(workload, Choice(graph, moved), fallback, option)
                if target is not None:
                    yield target
                    break


def _by_name(workload: Workload, stage: Stage, running: Running) -> Iterable[Option]:
    """Yield the options of a stage that are built in or run: at the origin, then at others by name."""
    home, where = workload.origin, running.sites(stage)
    offered = (site for site in workload.cohort.candidates.offering if site.name != home.name)
    for site in (home, *offered):
        if not stage.models or any(site.name in sites for sites in where):
            for option in workload.options_at(stage.name, site):
                if option.pool is None or option.pool.key in running.pools:
                    yield option


def _with(workload: Workload, graph: Graph, stage: str, fallback: str) -> Graph | None:
    wanted = {*graph.replaced, (stage, fallback)}
    return next((other for other in workload.graphs if set(other.replaced) == wanted), None)


def _target(workload: Workload, choice: Choice, stage: Stage, option: Option) -> Target | None:
    """Return the target, or None where a route is missing or the latency objective would not hold."""
    try:
        flows = tuple(way for way in routed(workload, choice) if stage.name in (way[0].source, way[0].target))
        within = workload.limit_us is None or latency_us(workload, choice) <= workload.limit_us
    except LookupError:
        return None
    return Target(stage.name, option, stage.task == "queue", flows) if within else None
