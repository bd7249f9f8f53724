"""The columns of one workload under one graph: where each stage is, which way each flow goes, and how long it takes.

A workload that is split has several servings side by side, each for a part of its requests; in one that is not, the
columns that choose and the columns that carry are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Option
from placement.domains import binding, domain_of
from placement.exact.highs import Programme
from placement.graph import ANSWER, INPUT, Edge, Graph
from placement.instance import Workload
from placement.latency import flow_us
from placement.losses import Loss
from placement.routes import Route
from sites.site import Site

Pair = tuple[str, str]

THOUSANDTHS = 1000
"""Fractions of a split workload are whole thousandths: exact in a plan's decimals, coarse enough for a solver."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One option of one stage: `chosen` is one when the stage is there, `part` the fraction of requests that are."""

    option: Option
    chosen: int
    part: int


@dataclass(frozen=True, slots=True)
class Way:
    """One pair of sites that a flow may join, with the columns whose sum says that it does, or for which fraction."""

    route: Route
    columns: list[int]


@dataclass(slots=True)
class Serving:
    """One way to serve a workload, or a part of it, under one graph.

    Attributes:
        copy: 0 for the first assignment of a workload, 1 for the next.
        used: one when it is. `part`: the fraction of requests; the same column unless the workload is split.
        ways: by flow, which pair of sites it joins. `carried`: the same by fraction.
    """

    workload: Workload
    graph: Graph
    copy: int
    used: int
    part: int
    spots: dict[str, list[Spot]] = field(default_factory=dict)
    ways: dict[Pair, list[Way]] = field(default_factory=dict)
    carried: dict[Pair, list[Way]] = field(default_factory=dict)

    @property
    def is_split(self) -> bool:
        """Return whether it may serve less than the whole workload."""
        return self.used != self.part

    def at(self, site: str) -> Iterator[tuple[str, list[int]]]:
        """Yield each stage that may be at a site, and the columns that say so."""
        for stage, spots in self.spots.items():
            here = [spot.chosen for spot in spots if spot.option.site == site]
            if here:
                yield stage, here

    def touched(self, loss: Loss) -> Iterator[list[int]]:
        """Yield columns of which at most one is one, and then the loss takes away a stage or a flow."""
        if len(loss.lost) == 1:
            yield from (columns for _, columns in self.at(loss.lost[0]))
        for ways in self.ways.values():
            found = (way for way in ways if loss.cuts(way.route))
            inner = [way for way in found if not any(loss.takes(way.route.sites[end]) for end in (0, -1))]
            if inner:
                yield [column for way in inner for column in way.columns]

    def taken(self, values: Sequence[float]) -> dict[str, Spot]:
        """Return the spot of each stage that the values of the columns say."""
        return {stage: max(spots, key=lambda spot: values[spot.chosen]) for stage, spots in self.spots.items()}


def serve(
    programme: Programme, workload: Workload, graph: Graph, places: Mapping[str, Sequence[Option]], copy: int | None
) -> Serving:
    """Add the columns of one serving, and the rows that hold it together; `copy` is None when it is never split."""
    used = programme.column()
    part = used if copy is None else programme.column(whole=False)
    serving = Serving(workload, graph, copy or 0, used, part)
    if copy is not None:
        programme.row([(part, 1.0), (used, -1.0)], upper=0.0)
        programme.row([(part, float(THOUSANDTHS)), (used, -1.0)], lower=0.0)
    for stage in graph.stages:
        spots = serving.spots[stage.name] = [_spot(programme, option, serving) for option in places[stage.name]]
        programme.row([*((spot.chosen, 1.0) for spot in spots), (used, -1.0)], 0.0, 0.0)
        if copy is not None:
            programme.row([*((spot.part, 1.0) for spot in spots), (part, -1.0)], 0.0, 0.0)
    for edge in graph.edges:
        key = (edge.source, edge.target)
        serving.ways[key] = _ways(programme, serving, edge, by_part=False)
        serving.carried[key] = serving.ways[key] if copy is None else _ways(programme, serving, edge, by_part=True)
    _within_latency(programme, serving)
    return serving


def _spot(programme: Programme, option: Option, serving: Serving) -> Spot:
    chosen = programme.column()
    if not serving.is_split:
        return Spot(option, chosen, chosen)
    part = programme.column(whole=False)
    programme.row([(part, 1.0), (chosen, -1.0)], upper=0.0)
    return Spot(option, chosen, part)


def _ways(programme: Programme, serving: Serving, edge: Edge, *, by_part: bool) -> list[Way]:
    """Return every pair of sites that a flow may join; flow columns only where both ends have a choice."""
    workload = serving.workload
    sources, targets = _ends(serving, edge.source, by_part=by_part), _ends(serving, edge.target, by_part=by_part)
    joined = {(a, b): route for a in sources for b in targets if (route := workload.route(edge, a, b)) is not None}
    if len(sources) == 1:
        return [Way(route, targets[b]) for (_, b), route in joined.items()]
    if len(targets) == 1:
        return [Way(route, sources[a]) for (a, _), route in joined.items()]
    flows = {pair: programme.column(whole=False) for pair in joined}
    for a, columns in sources.items():
        leaving = [(flow, 1.0) for pair, flow in flows.items() if pair[0] == a]
        programme.row([*leaving, *((column, -1.0) for column in columns)], 0.0, 0.0)
    for b, columns in targets.items():
        arriving = [(flow, 1.0) for pair, flow in flows.items() if pair[1] == b]
        programme.row([*arriving, *((column, -1.0) for column in columns)], 0.0, 0.0)
    return [Way(route, [flows[pair]]) for pair, route in joined.items()]


def _ends(serving: Serving, end: str, *, by_part: bool) -> dict[str, list[int]]:
    if end in (INPUT, ANSWER):
        return {serving.workload.origin.name: [serving.part if by_part else serving.used]}
    found: dict[str, list[int]] = {}
    for spot in serving.spots[end]:
        found.setdefault(spot.option.site, []).append(spot.part if by_part else spot.chosen)
    return found


def _within_latency(programme: Programme, serving: Serving) -> None:
    """Bound the time at which each answer arrives; times are fractions of the objective."""
    workload, graph = serving.workload, serving.graph
    limit = workload.limit_us
    if limit is None:
        return
    waiting = [stage.name for stage in graph.stages if stage.name in graph.waiting]
    times = {INPUT: None} | {name: programme.column(whole=False) for name in waiting}
    for edge in (edge for edge in graph.edges if edge.counts):
        terms = [
            (column, float(flow_us(edge.bytes, way.route) / max(1, limit)))
            for way in serving.ways[edge.source, edge.target]
            for column in way.columns
        ]
        if (begun := times[edge.source]) is not None:
            terms.append((begun, 1.0))
        if edge.target == ANSWER:
            programme.row([*terms, (serving.used, -1.0)], upper=0.0)
            continue
        spent = ((spot, workload.stage_time(spot.option)) for spot in serving.spots[edge.target])
        terms += [(spot.chosen, float(time / max(1, limit))) for spot, time in spent]
        if (done := times[edge.target]) is not None:
            programme.row([*terms, (done, -1.0)], upper=0.0)


def keep_apart(programme: Programme, serving: Serving, sites: Mapping[str, Site]) -> None:
    """Add the rows that keep two stages of one serving out of the same domain."""
    for apart in binding(serving.workload.pipeline, serving.graph):
        together: dict[str | None, list[int]] = {}
        for name in apart.stages:
            for spot in serving.spots[name]:
                together.setdefault(domain_of(sites[spot.option.site], apart.by), []).append(spot.chosen)
        for domain, columns in together.items():
            if domain is None:
                programme.row([(column, 1.0) for column in columns], upper=0.0)
            else:
                programme.row([*((column, 1.0) for column in columns), (serving.used, -1.0)], upper=0.0)


def possible(
    workload: Workload, graph: Graph, options: Mapping[str, Sequence[Option]] | None = None
) -> dict[str, list[Option]] | None:
    """Return the options of each stage that some route joins with an option of every neighbour; None when none is left.

    Options whose own times exceed the latency objective are left out as well, and none is left when the quickest of all
    stages, without a way between them, exceed it together. `options` stand in for the workload's.
    """
    given = workload.options if options is None else options
    left: dict[str, list[Option]] = {}
    for stage in graph.stages:
        left[stage.name] = list(given[stage.name])
        if not left[stage.name]:
            return None  # options are found when they are looked at: the others need not be
    if workload.limit_us is not None and not _in_time(workload, graph, left, workload.limit_us):
        return None
    changed = True
    while changed:
        changed = False
        for edge in graph.edges:
            for name, kept in _joined(workload, edge, left):
                changed = changed or len(kept) < len(left[name])
                left[name] = kept
    return left if all(left.values()) else None


def _in_time(workload: Workload, graph: Graph, left: dict[str, list[Option]], limit: int) -> bool:
    """Leave out the options that are too slow alone; return whether the quickest of all stages are not too slow."""
    begun: dict[str, Fraction] = {}
    after: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.counts:
            after.setdefault(edge.source, []).append(edge.target)
    for name in (stage.name for stage in graph.stages if stage.name in graph.waiting):
        times = [(workload.stage_time(option), option) for option in left[name]]
        left[name] = [option for time, option in times if time <= limit]
        done = begun.get(name, Fraction(0)) + min(time for time, _ in times)
        if done > limit:
            return False
        begun.update((target, max(done, begun.get(target, done))) for target in after.get(name, ()))
    return True


def _joined(workload: Workload, edge: Edge, left: Mapping[str, list[Option]]) -> Iterator[tuple[str, list[Option]]]:
    home = workload.origin.name
    sources = frozenset((home,)) if edge.source == INPUT else frozenset(option.site for option in left[edge.source])
    targets = frozenset((home,)) if edge.target == ANSWER else frozenset(option.site for option in left[edge.target])
    paths = workload.router.paths(workload.labels.flow(edge.source, edge.target), edge.is_async)
    if edge.source != INPUT:
        able = paths.reached(targets, backwards=True)
        yield edge.source, [option for option in left[edge.source] if option.site in able]
    if edge.target != ANSWER:
        able = paths.reached(sources)
        yield edge.target, [option for option in left[edge.target] if option.site in able]
