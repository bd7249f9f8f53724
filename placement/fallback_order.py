"""What is tried when a stage does not answer, in a fixed and permitted order: other pools, fallback stages, queues.

Every target has the `failover` verdict and permitted routes to its neighbours, which stay where they are. Nothing is
reserved for it, unless the workload survives losses. Of other pools the nearest few are named (docs/adr/0016).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from placement.candidates import Option, PoolKey, who_not
from placement.domains import binding, domain_of
from placement.flows import Charts, Flow
from placement.graph import Graph
from placement.instance import Instance, Workload
from placement.moving import Detour, Rank, Timing
from placement.pipeline import Stage
from placement.routes import Route
from placement.running import Running
from placement.solution import Choice, latency_us
from sites.site import Site

MOST_AT_ONCE = 4
"""So many sites are tried without a look at which is nearer."""

HOPELESS = (float("inf"), float("inf"))
"""A rank that nothing is behind."""

MOST = 3
"""Other pools that an order names: what is nearest, what is next when that is lost too, and one more."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place that takes over, with the flows that then run to and from it."""

    stage: str
    option: Option
    is_queue: bool
    flows: tuple[tuple[Flow, Route], ...]


def orders(
    instance: Instance,
    workload: Workload,
    choice: Choice,
    running: Running,
    charts: Charts,
    reserved: Collection[tuple[str, PoolKey]] = (),
) -> Iterator[tuple[str, list[Target]]]:
    """Yield (stage, targets) for each stage of a choice that has any.

    Args:
        running: the pools that have replicas.
        reserved: stages and the pools that keep room for them in some failure; they come first.
    """
    timing = Timing(workload, choice, charts.of(workload, choice.graph))
    for stage in choice.graph.stages:
        kept = {pool for name, pool in reserved if name == stage.name}
        targets = [
            *(_elsewhere(_Search(instance, running, timing, stage), kept) if stage.models else ()),
            *_instead(instance, workload, choice, stage, running, charts),
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
        left can be better, or hold the objective.
        """
        home, sites = self.workload.origin, self.instance.problem.sites
        where = self.running.offering(self.stage, home)
        found = [] if home.name in where else sorted(self.at(home), key=_rank)[:most]
        left, soonest, limit = len(where), self.running.soonest(self.stage), self.timing.limit
        for distance, name in self.detour.near() if left > MOST_AT_ONCE else [(0, name) for name in where]:
            if name not in where:
                continue
            worst = found[-1][0][:2] if len(found) >= most else HOPELESS
            least = self.detour.least(distance, soonest)
            if least[0] > limit or least > worst:
                break
            spare: Sequence[Option] = self.running.spare(self.workload.cohort, self.stage, sites[name])
            if spare and worst is not HOPELESS:
                spare = [option for option in spare if self.detour.least(distance, _served_us(option)) <= worst]
            for pair in self._ranked(sites[name], spare) if spare else ():
                insort(found, pair, key=_rank)
            del found[most:]
            left -= 1
            if not left:
                break
        return [option for _, option in found]

    def at(self, site: Site) -> Iterator[tuple[Rank, Option]]:
        """Yield the options at a site that may take over, with what they are sorted by."""
        taken = self.choice.options[self.stage.name].pool
        if self.running.has_another(self.stage, site.name, None if taken is None else taken.key):
            here = self.workload.options_at(self.stage.name, site)
            yield from self._ranked(site, self.running.fit(self.workload.cohort, self.stage, site, here))

    def _ranked(self, site: Site, options: Iterable[Option]) -> Iterator[tuple[Rank, Option]]:
        taken = self.choice.options[self.stage.name]
        others = options if taken.site != site.name else [option for option in options if option.key != taken.key]
        if others and self._may_take_over(site):
            for option in others:
                rank = self.detour.rank(option)
                if rank is not None:
                    yield rank, option

    def _may_take_over(self, site: Site) -> bool:
        cohort, graph, home = self.workload.cohort, self.choice.graph, self.workload.origin
        if site.spec.serves != "any" and any(who_not(site, home)):
            return False
        # The declared graph has every flow that a candidate needs; with a fallback in it, it may have fewer.
        if graph.replaced and not cohort.reaches(self.stage, home, site):
            return False
        if not self.workload.pipeline.spec.apart:
            return True
        places = {name: option.site for name, option in self.choice.options.items()} | {self.stage.name: site.name}
        return _are_apart(self.instance, self.workload, graph, self.stage, places)


def _served_us(option: Option) -> int:
    """Return how long an option serves a request."""
    return 0 if option.pool is None else option.pool.service_us


def _rank(found: tuple[Rank, Option]) -> Rank:
    return found[0]


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
    ranked = (pair for name in {key.site for key in kept} for pair in search.at(sites[name]))
    first = [option for _, option in sorted(ranked, key=_rank) if option.pool is not None and option.pool.key in kept]
    names = {option.key for option in first}
    rest = [option for option in search.nearest(MOST + len(first)) if option.key not in names]
    for option in [*first, *rest[:MOST]]:
        yield Target(search.stage.name, option, search.stage.task == "queue", tuple(search.detour.flows(option)))


def _instead(
    instance: Instance, workload: Workload, choice: Choice, stage: Stage, running: Running, charts: Charts
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
                target = _target(workload, Choice(graph, moved), fallback, option, charts)
                if target is not None:
                    yield target
                    break


def _by_name(workload: Workload, stage: Stage, running: Running) -> Iterable[Option]:
    """Yield the options of a stage that are built in or run: at the origin, then at others by name."""
    home = workload.origin
    offered = (site for site in workload.cohort.candidates.offering if site.name != home.name)
    for site in (home, *offered):
        if not stage.models or running.at(stage, site.name):
            for option in workload.options_at(stage.name, site):
                if option.pool is None or option.pool.key in running.pools:
                    yield option


def _with(workload: Workload, graph: Graph, stage: str, fallback: str) -> Graph | None:
    wanted = {*graph.replaced, (stage, fallback)}
    return next((other for other in workload.graphs if set(other.replaced) == wanted), None)


def _target(workload: Workload, choice: Choice, stage: Stage, option: Option, charts: Charts) -> Target | None:
    """Return the target, or None where a route is missing or the latency objective would not hold."""
    try:
        ways = tuple(charts.routed(workload, choice))
        within = workload.limit_us is None or latency_us(workload, choice) <= workload.limit_us
    except LookupError:
        return None
    flows = tuple((flow, route) for flow, route in ways if stage.name in (flow.edge.source, flow.edge.target))
    return Target(stage.name, option, stage.task == "queue", flows) if within else None
