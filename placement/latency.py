"""How long a request takes, as the plan models it: waiting and service of stages, round trips, transfers.

All times are exact microseconds until they are written as milliseconds with three decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from placement.graph import ANSWER, INPUT, Edge, Graph
from placement.routes import Route

MICROSECONDS = 10**6


@lru_cache(maxsize=1 << 14)
def stage_us(service_us: int, utilisation: Fraction) -> Fraction:
    """Return service and waiting at a server with steady service that is busy a fraction `utilisation` of the time.

    The mean wait of M/D/1 (Pollaczek and Khinchine with no variance of service).
    """
    return service_us * (1 + utilisation / (2 * (1 - utilisation)))


def transfer_us(size: int, route: Route) -> Fraction:
    """Return the time on the wire of `size` bytes at the least full bandwidth of a route; none when it stays."""
    return Fraction(size * 8 * MICROSECONDS, route.bandwidth) if route.bandwidth else Fraction(0)


def flow_us(size: int, route: Route) -> Fraction:
    """Return what a flow adds to a path: half a round trip and the transfer; nothing when it stays at a site."""
    return _flow_us(size, route.rtt_us, route.bandwidth)


@lru_cache(maxsize=1 << 16)
def _flow_us(size: int, rtt_us: int, bandwidth: int) -> Fraction:
    return Fraction(rtt_us, 2) + (Fraction(size * 8 * MICROSECONDS, bandwidth) if bandwidth else 0)


def slowest_us(graph: Graph, stage_times: Mapping[str, Fraction], routes: Mapping[tuple[str, str], Route]) -> Fraction:
    """Return the latency of the slowest path from input to answer; zero when nobody waits for an answer.

    Args:
        stage_times: microseconds by stage, zero for what is built in.
        routes: by (source, target) of each edge.
    """
    finished: dict[str, Fraction] = {INPUT: Fraction(0)}
    into: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        if edge.counts:
            into.setdefault(edge.target, []).append(edge)
    for stage in graph.stages:
        if stage.name in graph.waiting:
            arrivals = [_arrival(edge, finished, routes) for edge in into.get(stage.name, ())]
            finished[stage.name] = max(arrivals, default=Fraction(0)) + stage_times[stage.name]
    return max([_arrival(edge, finished, routes) for edge in into.get(ANSWER, ())], default=Fraction(0))


def _arrival(edge: Edge, finished: Mapping[str, Fraction], routes: Mapping[tuple[str, str], Route]) -> Fraction:
    return finished[edge.source] + flow_us(edge.bytes, routes[edge.source, edge.target])


def milliseconds(us: Fraction) -> float:
    """Return microseconds as the plan writes them: milliseconds with three decimals, half to even."""
    return float(round(us / 1000, 3))
