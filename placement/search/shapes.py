"""Graphs, flows, and the limits on domains of pipelines, as arrays: what does not depend on where anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor

import numpy as np

from placement.domains import domain_of, most_at
from placement.graph import ANSWER, INPUT, Edge, Graph, graphs
from placement.pipeline import Domain, Pipeline
from placement.problem import Problem
from placement.search.layout import LOAD, NOWHERE, Shapes, Spreads
from placement.search.rows import array, firsts
from sites.site import Site

DOMAINS: tuple[Domain, ...] = ("site", "country", "operator")
"""The rows of `Spreads.domain`."""

Flow = tuple[str, str]
"""The names of a flow's two ends: stages, `input` or `answer`."""


def slots_of(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the names of a pipeline's stages and then of its fallbacks."""
    return tuple(stage.name for stage in (*pipeline.spec.stages, *pipeline.spec.fallbacks))


def flows_of(shapes: Sequence[Graph]) -> dict[Flow, Edge]:
    """Return every flow of any of a pipeline's graphs once; who waits for it does not depend on the graph."""
    return {(edge.source, edge.target): edge for graph in reversed(shapes) for edge in reversed(graph.edges)}


def shapes_of(pipelines: Sequence[Pipeline], by_pipeline: Sequence[Sequence[Graph]]) -> Shapes:
    """Return the graphs of all pipelines as arrays."""
    stages: list[tuple[int, int]] = []
    edges: list[tuple[int, int, int, int, float, int]] = []
    first_stage, first_edge = [0], [0]
    for pipeline, shapes in zip(pipelines, by_pipeline, strict=True):
        slots, flows = slots_of(pipeline), list(flows_of(shapes))
        for graph in shapes:
            stages += [(slots.index(stage.name), stage.name in graph.waiting) for stage in graph.stages]
            edges += [_edge(graph, edge, flows) for edge in graph.edges]
            first_stage.append(len(stages))
            first_edge.append(len(edges))
    column = list(zip(*edges, strict=True))
    return Shapes(
        first=firsts([len(shapes) for shapes in by_pipeline], np.int32),
        first_stage=array(first_stage, np.int32),
        first_edge=array(first_edge, np.int32),
        stage_slot=array([slot for slot, _ in stages], np.int32),
        stage_waits=array([waits for _, waits in stages], np.int8),
        edge_source=array(column[0] if edges else [], np.int32),
        edge_target=array(column[1] if edges else [], np.int32),
        edge_flow=array(column[2] if edges else [], np.int32),
        edge_bytes=array(column[3] if edges else [], np.int64),
        edge_share=array(column[4] if edges else [], np.float64),
        edge_counts=array(column[5] if edges else [], np.int8),
    )


def _edge(graph: Graph, edge: Edge, flows: list[Flow]) -> tuple[int, int, int, int, float, int]:
    place = {stage.name: index for index, stage in enumerate(graph.stages)}
    source = NOWHERE if edge.source == INPUT else place[edge.source]
    target = NOWHERE if edge.target == ANSWER else place[edge.target]
    return source, target, flows.index((edge.source, edge.target)), edge.bytes, float(edge.share), int(edge.counts)


def spreads_of(problem: Problem, pipelines: Sequence[Pipeline], sites: Sequence[Site]) -> Spreads:
    """Return the limits on domains; a site without a known one is NOWHERE, and no option lies there."""
    spread: list[tuple[int, int, int, int]] = []
    apart: list[tuple[int, int, int, int]] = []
    for index, pipeline in enumerate(pipelines):
        slots = slots_of(pipeline)
        for limit in pipeline.spec.spread:
            most = floor(most_at(pipeline, limit, problem.sites) * LOAD)
            spread.append((index, slots.index(limit.stage), DOMAINS.index(limit.by), most))
        for rule in pipeline.spec.apart:
            one, other = (slots.index(name) for name in rule.stages)
            apart.append((index, one, other, DOMAINS.index(rule.by)))
    return Spreads(
        pipeline=array([row[0] for row in spread], np.int32),
        slot=array([row[1] for row in spread], np.int32),
        by=array([row[2] for row in spread], np.int32),
        most=array([row[3] for row in spread], np.int64),
        apart_pipeline=array([row[0] for row in apart], np.int32),
        apart_slot=array([row[1] for row in apart], np.int32),
        apart_other=array([row[2] for row in apart], np.int32),
        apart_by=array([row[3] for row in apart], np.int32),
        domain=np.array([_domain_ids(sites, by) for by in DOMAINS], dtype=np.int32).reshape(len(DOMAINS), len(sites)),
    )


def _domain_ids(sites: Sequence[Site], by: Domain) -> list[int]:
    named = [domain_of(site, by) for site in sites]
    ids: Mapping[str | None, int] = {name: i for i, name in enumerate(sorted({n for n in named if n is not None}))}
    return [ids.get(name, NOWHERE) for name in named]


def graphs_of(pipelines: Sequence[Pipeline]) -> list[tuple[Graph, ...]]:
    """Return the graphs of each pipeline."""
    return [graphs(pipeline.spec) for pipeline in pipelines]
