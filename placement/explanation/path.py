"""What a workload's latency is made of: every stage and every way between, in milliseconds, along the slowest path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from placement.graph import ANSWER, INPUT, Edge
from placement.instance import Workload
from placement.latency import flow_us, milliseconds, transfer_us
from placement.routes import Route
from placement.solution import Choice, routed

BAR = 24
"""Columns of a bar that is the whole latency."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of a path: a stage at a site, or a flow between two.

    Attributes:
        name: the stage, or `from -> to`.
        where: the site, or the route.
        what: the pool of a stage; of a flow what its time is made of; empty where there is nothing to say.
        us: microseconds that it takes.
        ends_us: microseconds after the input when it is over.
    """

    name: str
    where: str
    what: str
    us: Fraction
    ends_us: Fraction


@dataclass(frozen=True, slots=True)
class Path:
    """The slowest path from input to answer; empty where nobody waits for an answer.

    Attributes:
        beside: stages that run at the same time and are not what the answer waits for.
    """

    legs: tuple[Leg, ...]
    beside: tuple[Leg, ...]

    @property
    def us(self) -> Fraction:
        """Return the latency in microseconds."""
        return self.legs[-1].ends_us if self.legs else Fraction(0)

    def lines(self) -> Iterator[str]:
        """Yield the path as people read it: milliseconds, a bar where in time each part lies, and what it is."""
        width = max((len(leg.name) for leg in (*self.legs, *self.beside)), default=0)
        for leg in self.legs:
            yield self._line(leg, width)
        for leg in self.beside:
            yield f"{self._line(leg, width)} (meanwhile)"

    def _line(self, leg: Leg, width: int) -> str:
        total = float(self.us) or 1.0
        begin = int((float(leg.ends_us) - float(leg.us)) / total * BAR)
        end = max(round(float(leg.ends_us) / total * BAR), begin + (1 if leg.us else 0))
        bar = (" " * begin + "=" * (end - begin)).ljust(BAR)[:BAR]
        what = f"  {leg.what}" if leg.what else ""
        return f"{float(leg.us) / 1000:9.1f} ms |{bar}| {leg.name:<{width}}  {leg.where}{what}"

    def to_json(self) -> list[dict[str, Any]]:
        """Return the path as programs read it."""
        return [
            {"part": leg.name, "where": leg.where, "ms": milliseconds(leg.us), "until": milliseconds(leg.ends_us)}
            for leg in self.legs
        ]


def path_of(workload: Workload, part: Choice) -> Path:
    """Return the slowest path of one assignment."""
    routes = {(edge.source, edge.target): (edge, route) for edge, route in routed(workload, part)}
    done: dict[str, Fraction] = {INPUT: Fraction(0)}
    last: dict[str, Edge] = {}
    for stage in part.graph.stages:
        if stage.name in part.graph.waiting:
            arriving = [edge for edge, _ in routes.values() if edge.target == stage.name and edge.counts]
            begun = Fraction(0)
            for edge in arriving:
                at = _arrives(edge, routes[edge.source, edge.target][1], done)
                if edge.target not in last or at > begun:
                    last[stage.name], begun = edge, at
            done[stage.name] = begun + workload.stage_time(part.options[stage.name])
    answers = [edge for edge, _ in routes.values() if edge.target == ANSWER and edge.counts]
    if not answers:
        return Path((), ())
    slowest = max(answers, key=lambda edge: _arrives(edge, routes[edge.source, edge.target][1], done))
    legs, on = _back(workload, part, slowest, routes, done, last)
    beside = [_stage(workload, part, name, done[name]) for name in done if name != INPUT and name not in on]
    return Path(tuple(legs), tuple(beside))


def _arrives(edge: Edge, route: Route, done: dict[str, Fraction]) -> Fraction:
    return done[edge.source] + flow_us(edge.bytes, route)


def _back(
    workload: Workload,
    part: Choice,
    edge: Edge,
    routes: dict[tuple[str, str], tuple[Edge, Route]],
    done: dict[str, Fraction],
    last: dict[str, Edge],
) -> tuple[list[Leg], set[str]]:
    """Follow a path from its answer back to the input; return its legs in order, and its stages."""
    legs: list[Leg] = []
    on: set[str] = set()
    while True:
        route = routes[edge.source, edge.target][1]
        legs.append(_flow(edge, route, _arrives(edge, route, done)))
        if edge.source == INPUT or edge.source not in last:
            break
        on.add(edge.source)
        legs.append(_stage(workload, part, edge.source, done[edge.source]))
        edge = last[edge.source]
    return legs[::-1], on


def _flow(edge: Edge, route: Route, ends: Fraction) -> Leg:
    name = f"{edge.source} -> {edge.target}"
    if not route.hops:
        return Leg(name, "stays", "", Fraction(0), ends)
    hops = " ".join(("", *(f"-> {there}" for _, there in pairwise(route.sites))))
    transfer = transfer_us(edge.bytes, route)
    what = f"(round trip {route.rtt_us / 1000:g} ms / 2, {edge.bytes} B in {float(transfer) / 1000:.2f} ms)"
    return Leg(name, f"{route.sites[0]}{hops}", what, flow_us(edge.bytes, route), ends)


def _stage(workload: Workload, part: Choice, name: str, ends: Fraction) -> Leg:
    option = part.options[name]
    pool = option.pool
    what = "" if pool is None else f"{pool.key.model}/{pool.key.variant} on {pool.key.hardware}"
    return Leg(name, option.site, what, workload.stage_time(option), ends)
