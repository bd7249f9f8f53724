"""The graph that a workload runs: its stages and flows under one combination of fallbacks.

A fallback takes the place of a stage: its own `after` applies, those that named the stage receive its output, and
stages from which no answer can then be reached are not run.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import prod

from placement.pipeline import PipelineSpec, Stage

INPUT, ANSWER = "input", "answer"
MOST_COMBINATIONS = 256
"""More combinations of fallbacks than this in one pipeline are refused when the fleet is read."""


class CycleError(ValueError):
    """Stages wait for each other; the message names them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One flow of the graph, whatever the sites of its ends.

    Attributes:
        source, target: stage names, or `input` and `answer`.
        bytes: what one request sends.
        share: the fraction of requests that send it.
        is_async: nobody waits for it.
        counts: whether it lies on a path that the latency objective covers.
    """

    source: str
    target: str
    bytes: int
    share: Fraction
    is_async: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Stages in an order in which each follows what it receives from, and every flow between them.

    Attributes:
        replaced: (stage, fallback) pairs; empty for the graph as declared.
        waiting: names of the stages whose time counts towards the latency: somebody waits for an answer behind them.
    """

    replaced: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...]
    waiting: frozenset[str]


@lru_cache(maxsize=4096)
def exact(number: float) -> Fraction:
    """Return the decimal that a manifest wrote, not its nearest binary value."""
    return Fraction(str(number))


def combinations(spec: PipelineSpec) -> int:
    """Return how many combinations of fallbacks a pipeline has, the one without any included."""
    return prod(1 + len(stage.fallback) for stage in spec.stages)


def answering(spec: PipelineSpec) -> frozenset[str]:
    """Return the stages that answer the origin: nobody waits for their output, and they do not say `answer: false`."""
    waited_for = {name for stage in spec.stages if not stage.is_async for name in stage.after}
    return frozenset(stage.name for stage in spec.stages if stage.answer and stage.name not in waited_for)


def graphs(spec: PipelineSpec) -> tuple[Graph, ...]:
    """Return the declared graph, then every distinct one with fallbacks, in the order of declaration.

    Raises CycleError.
    """
    choices = [(None, *stage.fallback) for stage in spec.stages]
    found: dict[tuple[tuple[str, str], ...], Graph] = {}
    for chosen in product(*choices):
        pairs = tuple((s.name, name) for s, name in zip(spec.stages, chosen, strict=True) if name is not None)
        graph = _graph(spec, dict(pairs))
        if graph is not None:
            found.setdefault(pairs, graph)
    return tuple(found.values())


def _graph(spec: PipelineSpec, replaced: Mapping[str, str]) -> Graph | None:
    """Return the graph of one combination; None when a replacement would not run or nothing answers."""
    fallbacks = {stage.name: stage for stage in spec.fallbacks}
    stages = {}
    for stage in spec.stages:
        taken = fallbacks[replaced[stage.name]] if stage.name in replaced else stage
        stages[taken.name] = taken
    after = {s.name: tuple(dict.fromkeys(replaced.get(n, n) for n in s.after)) for s in stages.values()}
    answers = frozenset(replaced.get(name, name) for name in answering(spec))
    answers -= {s.name for s in stages.values() if not s.answer}
    order = in_order(after)
    if replaced:
        run = _reaching(answers, after)
        if not answers or not run.issuperset(replaced.values()):
            return None
        order = [name for name in order if name in run]
    waiting = _waiting(order, stages, after, answers)
    edges = tuple(_edges(spec.input.size, [stages[name] for name in order], after, answers, waiting))
    return Graph(tuple(replaced.items()), tuple(stages[name] for name in order), edges, waiting)


def in_order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each follows all it names, earliest declared first. Raises CycleError."""
    place = {name: index for index, name in enumerate(after)}
    missing = {name: {n for n in names if n in place} for name, names in after.items()}
    followers: dict[str, list[str]] = {name: [] for name in after}
    for name, names in missing.items():
        for source in names:
            followers[source].append(name)
    ready = [(place[name], name) for name, names in missing.items() if not names]
    heapq.heapify(ready)
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for follower in followers[name]:
            missing[follower].discard(name)
            if not missing[follower]:
                heapq.heappush(ready, (place[follower], follower))
    if len(order) < len(after):
        raise CycleError(", ".join(name for name in after if missing[name]))
    return order


def _reaching(answers: Iterable[str], after: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the stages from which an answer can be reached."""
    found: set[str] = set()
    open_ends = list(answers)
    while open_ends:
        name = open_ends.pop()
        if name not in found:
            found.add(name)
            open_ends.extend(n for n in after[name] if n != INPUT)
    return found


def _waiting(
    order: list[str], stages: Mapping[str, Stage], after: Mapping[str, Sequence[str]], answers: frozenset[str]
) -> frozenset[str]:
    """Return the stages on a path from input to an answer that passes none that is async, or downstream of one."""
    found: set[str] = set()
    for name in order:
        if not stages[name].is_async and all(n == INPUT or n in found for n in after[name]):
            found.add(name)
    return frozenset(found & _reaching(answers & found, after))


def _edges(
    size: int,
    stages: list[Stage],
    after: Mapping[str, Sequence[str]],
    answers: frozenset[str],
    waiting: frozenset[str],
) -> Iterator[Edge]:
    by_name = {stage.name: stage for stage in stages}
    for stage in stages:
        for name in after[stage.name]:
            share = exact(stage.share) if name == INPUT else min(exact(stage.share), exact(by_name[name].share))
            sent = size if name == INPUT else by_name[name].output
            yield Edge(name, stage.name, sent, share, stage.is_async, stage.name in waiting)
    for stage in stages:
        if stage.name in answers:
            yield Edge(stage.name, ANSWER, stage.output, exact(stage.share), stage.is_async, stage.name in waiting)
