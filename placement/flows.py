"""Every flow of a graph with the routes open to it, worked out once for all workloads that have them in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from placement.graph import ANSWER, INPUT, Edge, Graph
from placement.instance import Workload
from placement.latency import MICROSECONDS
from placement.routes import Route, Ways
from placement.solution import Choice
from sites.data import Label


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """One flow of a graph, whatever the sites of its ends.

    Attributes:
        ways: the routes that are open to it.
        work: bits of one request, times microseconds per second: over bit/s it is the time on the wire.
    """

    edge: Edge
    label: Label
    ways: Ways
    work: int

    def taken_us(self, a: str, b: str) -> float | None:
        """Return what it takes from one site to another, as `placement.latency.flow_us` does exactly; None for never.

        No permitted route then joins the two.
        """
        if a == b:
            return 0.0
        way = self.ways.paths.way(a, b)
        if way is None:
            return None
        return way.rtt_us / 2 + (self.work / way.bandwidth if way.bandwidth else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """The flows of one graph: all in its order, and by the stage (or end of the graph) that they reach or leave."""

    flows: tuple[Flow, ...]
    into: Mapping[str, tuple[Flow, ...]]
    out: Mapping[str, tuple[Flow, ...]]

    def routed(self, sites: Mapping[str, str]) -> Iterator[tuple[Flow, Route]]:
        """Yield every flow with its route between the sites of its ends. Raises LookupError where there is none."""
        for flow in self.flows:
            a, b = sites[flow.edge.source], sites[flow.edge.target]
            route = flow.ways.route(a, b)
            if route is None:
                raise LookupError(f"no permitted route from {a} to {b} for {flow.edge.source} to {flow.edge.target}")
            yield flow, route


@dataclass(slots=True)
class Charts:
    """The charts of an instance."""

    # Labels, router and graph are kept, so that their identities stay those of living ones.
    _known: dict[tuple[int, int, int], tuple[Chart, object]] = field(default_factory=dict)

    def of(self, workload: Workload, graph: Graph) -> Chart:
        """Return the chart of one of a workload's graphs."""
        key = (id(workload.labels), id(workload.router), id(graph))
        if key not in self._known:
            self._known[key] = _chart(workload, graph), (workload.labels, workload.router, graph)
        return self._known[key][0]

    def routed(self, workload: Workload, part: Choice) -> Iterator[tuple[Flow, Route]]:
        """Yield every flow of one assignment with its route. Raises LookupError where no route joins its ends."""
        return self.of(workload, part.graph).routed(sites_of(workload, part))


def sites_of(workload: Workload, part: Choice) -> dict[str, str]:
    """Return the site of every stage of an assignment, and of both ends of its graph."""
    home = workload.origin.name
    return {INPUT: home, ANSWER: home, **{name: option.site for name, option in part.options.items()}}


def _chart(workload: Workload, graph: Graph) -> Chart:
    into: dict[str, list[Flow]] = {}
    out: dict[str, list[Flow]] = {}
    flows = tuple(_flow(workload, edge) for edge in graph.edges)
    for flow in flows:
        into.setdefault(flow.edge.target, []).append(flow)
        out.setdefault(flow.edge.source, []).append(flow)
    return Chart(flows, {name: tuple(some) for name, some in into.items()}, {n: tuple(some) for n, some in out.items()})


def _flow(workload: Workload, edge: Edge) -> Flow:
    label = workload.labels.flow(edge.source, edge.target)
    return Flow(edge, label, workload.router.ways(label, edge.is_async), edge.bytes * 8 * MICROSECONDS)
