"""Latency of an assignment: its slowest path from input to answer, by class as far as possible, then by its routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from placement.check.audit import exact
from placement.check.graph import INPUT, Flow, Graph
from placement.check.routes import Measure
from placement.check.snapshot import Snapshot
from placement.pipeline import Pipeline

N = TypeVar("N", float, Fraction)

HERE = -1
"""Instead of the number of a route: the flow stays at its site."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage, or the answer at the end.

    Attributes:
        own: microseconds of service and modelled waiting.
        arrivals: for each flow that is waited for: the step that sends (-1: the input), the number of the route, bits.
    """

    own: Fraction
    arrivals: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """The steps of a graph, senders first and the answer last."""

    steps: tuple[Step, ...]

    def slowest(self, measures: Sequence[Measure], ratio: Callable[[int, int], N]) -> N:
        """Return the microseconds of the slowest path over routes of these measures.

        Args:
            ratio: how to divide: `over` for a float, `Fraction` for the exact number.
        """
        done: list[N] = []
        zero = ratio(0, 1)
        for step in self.steps:
            latest = zero
            for sender, route, bits in step.arrivals:
                start = done[sender] if sender >= 0 else zero
                if route != HERE:
                    measure = measures[route]
                    start = start + ratio(measure.rtt, 2)
                    if measure.bandwidth:
                        start = start + ratio(bits * 10**6, measure.bandwidth)
                latest = max(latest, start)
            done.append(latest + ratio(step.own.numerator, step.own.denominator))
        return done[-1]


def over(a: int, b: int) -> float:
    """Return a quotient as a float."""
    return a / b


def timing_of(
    graph: Graph, own: Mapping[str, Fraction], routes: Mapping[Flow, int], sizes: Mapping[Flow, int]
) -> Timing:
    """Return the timing of a graph.

    Args:
        own: microseconds of each stage.
        routes: the number of each flow's route, or `HERE`.
        sizes: bytes of each flow.
    """
    number = {INPUT: -1, **{name: index for index, name in enumerate(graph.order)}}
    return Timing(
        tuple(
            Step(
                Fraction(0) if name in graph.idle else own.get(name, Fraction(0)),
                tuple((number[flow[0]], routes[flow], sizes[flow] * 8) for flow in graph.waited_for[name]),
            )
            for name in graph.order
        )
    )


def stage_time(
    snapshot: Snapshot, pipeline: Pipeline, site: str, model: str | None, variant: str | None, hardware: str | None
) -> Fraction | None:
    """Return service and modelled waiting of a stage in microseconds; zero for a built-in one, None when unknown."""
    if model is None or variant is None or hardware is None:
        return Fraction(0)
    speed = snapshot.speed(site, hardware, model, variant)
    return None if speed is None else speed.service * _stretched(exact(pipeline.spec.utilisation))


@lru_cache(maxsize=4096)
def _stretched(load: Fraction) -> Fraction:
    """Return how many times its service a stage lasts, waiting included."""
    return 1 + load / (2 * (1 - load))
