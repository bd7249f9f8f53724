"""The graph of a workload as it must run: its stages and flows, with fallbacks in the place of what they replace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from placement.pipeline import Pipeline, PipelineSpec, Stage

INPUT, ANSWER = "input", "answer"

Flow = tuple[str, str]
"""The stages, or ends of the graph, between which something flows."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Stages by name, and the flows between them as (from, to), the graph's two ends included.

    Attributes:
        instead: fallback stages.
        optional: stages that reach no answer even in the whole pipeline: a degraded workload may leave them out.
    """

    stages: Mapping[str, Stage]
    flows: frozenset[tuple[str, str]]
    optional: frozenset[str] = frozenset()
    instead: frozenset[str] = frozenset()

    @cached_property
    def idle(self) -> frozenset[str]:
        """The asynchronous stages and all that only follow from them; no answer waits for these."""
        idle = {name for name, stage in self.stages.items() if stage.is_async}
        grown = True
        while grown:
            more = {flow[1] for flow in self.flows if flow[0] in idle and flow[1] != ANSWER} - idle
            idle |= more
            grown = bool(more)
        return frozenset(idle)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The stages so that senders come first, and the answer at the end."""
        left, order = set(self.stages), [INPUT]
        while left:
            ready = sorted(n for n in left if all(source in order for source, target in self.flows if target == n))
            if not ready:
                break
            order += ready
            left -= set(ready)
        return (*order[1:], ANSWER)

    @cached_property
    def waited_for(self) -> Mapping[str, tuple[Flow, ...]]:
        """The flows into each stage, and into the answer, that somebody waits for."""
        kept = [flow for flow in sorted(self.flows) if not self.idle & set(flow)]
        return {name: tuple(flow for flow in kept if flow[1] == name) for name in self.order}

    def is_async(self, flow: tuple[str, str]) -> bool:
        """Return whether a flow is asynchronous: its receiver is, or for an answer its sender."""
        decides = flow[0] if flow[1] == ANSWER else flow[1]
        return decides in self.stages and self.stages[decides].is_async

    def share(self, flow: tuple[str, str]) -> float:
        """Return the lesser share of a flow's two ends."""
        return min(self.stages[end].share if end in self.stages else 1.0 for end in flow)

    def size(self, flow: tuple[str, str], input_bytes: int) -> int:
        """Return the bytes of one request on a flow."""
        return input_bytes if flow[0] == INPUT else self.stages[flow[0]].output


def declared(spec: PipelineSpec) -> dict[str, Stage]:
    """Return every stage and fallback stage by name."""
    return {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}


def senders(spec: PipelineSpec, target: str) -> frozenset[str]:
    """Return who may send to a stage, or answer, under any combination of fallbacks."""
    stages = declared(spec)
    named = stages[target].after or (INPUT,) if target in stages else tuple(stages) if target == ANSWER else ()
    return frozenset((*named, *(fallback for name in named if name in stages for fallback in stages[name].fallback)))


def graph(pipeline: Pipeline, replaced: Mapping[str, str]) -> Graph:
    """Return the graph in which every key of `replaced` is served by the fallback stage of its value."""
    spec = pipeline.spec
    whole = _flows({stage.name: stage for stage in spec.stages}, spec, {})
    if not replaced:
        return Graph({stage.name: stage for stage in spec.stages}, whole)
    everything = declared(spec)
    names = [replaced.get(stage.name, stage.name) for stage in spec.stages]
    flows = _flows({name: everything[name] for name in names}, spec, replaced)
    answering, before = _reaching(flows, ANSWER), _reaching(whole, ANSWER)
    optional = {
        name for name in names if name not in answering and name not in before and name not in replaced.values()
    }
    kept = [name for name in dict.fromkeys(names) if name in answering or name in optional]
    ends = {INPUT, ANSWER, *kept}
    inside = frozenset(flow for flow in flows if flow[0] in ends and flow[1] in ends)
    instead = frozenset(kept) & {stage.name for stage in spec.fallbacks}
    return Graph({name: everything[name] for name in kept}, inside, frozenset(optional), instead)


def _flows(running: Mapping[str, Stage], spec: PipelineSpec, replaced: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    flows = {
        (replaced.get(source, source), stage.name)
        for stage in running.values()
        for source in (stage.after or (INPUT,))
    }  # fmt: skip
    flows |= {
        (replaced.get(stage.name, stage.name), ANSWER)
        for stage in spec.stages
        if _answers(stage.name, spec.stages) and running[replaced.get(stage.name, stage.name)].answer
    }
    return frozenset(flows)


def _answers(name: str, stages: Iterable[Stage]) -> bool:
    """Return whether nobody but asynchronous stages receives from a stage."""
    return all(stage.is_async for stage in stages if name in stage.after)


def _reaching(flows: Iterable[tuple[str, str]], end: str) -> set[str]:
    """Return every name from which `end` can be reached."""
    sources: dict[str, list[str]] = {}
    for source, target in flows:
        sources.setdefault(target, []).append(source)
    reached, waiting = {end}, [end]
    while waiting:
        for source in sources.get(waiting.pop(), ()):
            if source not in reached:
                reached.add(source)
                waiting.append(source)
    return reached


def replacements(pipeline: Pipeline, listed: Iterable[str]) -> dict[str, str]:
    """Return which fallback serves for which stage, as the stages listed in a plan show it."""
    running = set(listed)
    return {
        stage.name: fallback
        for stage in pipeline.spec.stages
        if stage.name not in running
        for fallback in [next((name for name in stage.fallback if name in running), "")]
        if fallback
    }
