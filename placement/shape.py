"""Whether a pipeline is a graph that can be run: names that are its own, an order without cycles, a rate above zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from placement.graph import ANSWER, INPUT, MOST_COMBINATIONS, CycleError, combinations, graphs
from placement.pipeline import BUILT_IN_TASKS, PipelineSpec, Stage
from sites.document import Path

Where = Path
"""The way to one value of a manifest, such as `("spec", "stages", 0, "after")`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value of a manifest, and what to do."""

    path: Where
    message: str
    hint: str


def repeated(names: Sequence[str]) -> list[int]:
    """Return the places of names that already stand earlier."""
    first: dict[str, int] = {}
    return [index for index, name in enumerate(names) if first.setdefault(name, index) != index]


def shape_faults(spec: PipelineSpec) -> Iterator[Fault]:
    """Yield what makes a pipeline impossible to run, whatever the fleet."""
    yield from _of_rates(spec)
    yield from _of_domains(spec)
    found = [*_of_names(spec)]
    for kind, stages in (("stages", spec.stages), ("fallbacks", spec.fallbacks)):
        for index, stage in enumerate(stages):
            found += _of_stage(stage, ("spec", kind, index), spec)
    yield from found or _of_order(spec)


def _of_rates(spec: PipelineSpec) -> Iterator[Fault]:
    hint = "give what an origin sends, or leave it out of `origins`"
    if spec.rate == 0:
        yield Fault(("spec", "rate"), "a rate of zero", hint)
    for index, own in enumerate(spec.rates):
        if own.rate == 0:
            yield Fault(("spec", "rates", index, "rate"), "a rate of zero", hint)


def _of_domains(spec: PipelineSpec) -> Iterator[Fault]:
    """Yield what is wrong with the rules that keep stages apart or spread them over domains."""
    names = [stage.name for stage in (*spec.stages, *spec.fallbacks)]
    for index, apart in enumerate(spec.apart):
        path: Where = ("spec", "apart", index)
        for place, name in enumerate(apart.stages):
            if name not in names:
                yield _unknown((*path, "stages", place), f"no stage {name!r} to keep apart", name, names)
        if repeated(apart.stages):
            yield Fault((*path, "stages", 1), "named twice", "a stage is never apart from itself; name another")
    for index, spread in enumerate(spec.spread):
        if spread.stage not in names:
            path = ("spec", "spread", index, "stage")
            yield _unknown(path, f"no stage {spread.stage!r} to spread", spread.stage, names)
    pairs = [f"{' '.join(sorted(apart.stages))} {apart.by}" for apart in spec.apart]
    for index in repeated(pairs):
        yield Fault(("spec", "apart", index), "keeps the same two stages apart a second time", "remove one")
    for index in repeated([f"{spread.stage} {spread.by}" for spread in spec.spread]):
        yield Fault(("spec", "spread", index), "spreads the same stage a second time", "keep the lesser `most`")
    for index in repeated(spec.tolerates):
        yield Fault(("spec", "tolerates", index), "named twice", "remove one")


def _of_names(spec: PipelineSpec) -> Iterator[Fault]:
    paths: list[Where] = [("spec", "stages", index, "name") for index in range(len(spec.stages))]
    paths += [("spec", "fallbacks", index, "name") for index in range(len(spec.fallbacks))]
    names = [stage.name for stage in (*spec.stages, *spec.fallbacks)]
    for index in repeated(names):
        yield Fault(paths[index], f"a second stage called {names[index]!r}", "rename one")
    for path, name in zip(paths, names, strict=True):
        if name in (INPUT, ANSWER):
            yield Fault(path, f"no stage may be called {name!r}", "it names an end of the graph")


def _of_stage(stage: Stage, path: Where, spec: PipelineSpec) -> Iterator[Fault]:
    declared = [INPUT, *(other.name for other in spec.stages)]
    fallbacks = [other.name for other in spec.fallbacks]
    for index, name in enumerate(stage.after):
        if name not in declared:
            yield _unknown((*path, "after", index), f"no stage {name!r} to follow", name, declared)
    if not stage.after:
        yield Fault((*path, "after"), "receives nothing", "leave `after` out for the input, or name what it follows")
    for index in repeated(stage.after):
        yield Fault((*path, "after", index), "named twice", "one name is one flow")
    for index, name in enumerate(stage.fallback):
        if name not in fallbacks:
            yield _unknown((*path, "fallback", index), f"no fallback {name!r}", name, fallbacks)
    if stage.fallback and stage.name in fallbacks:
        yield Fault((*path, "fallback"), "a fallback of a fallback", "list both at the stage they stand in for")
    if stage.task == "retrieve" and stage.knowledge is None:
        yield Fault(path, "a stage that retrieves names no `knowledge`", "name the store that it reads")
    if not stage.models and stage.task not in BUILT_IN_TASKS:
        yield Fault(path, f"task {stage.task} names no `models`", f"only {' and '.join(BUILT_IN_TASKS)} are built in")


def _unknown(path: Where, message: str, name: str, among: Sequence[str]) -> Fault:
    close = get_close_matches(name, among, n=1)
    return Fault(path, message, f"did you mean {close[0]!r}?" if close else f"there are {', '.join(among) or 'none'}")


def _of_order(spec: PipelineSpec) -> Iterator[Fault]:
    if combinations(spec) > MOST_COMBINATIONS:
        message = f"more than {MOST_COMBINATIONS} combinations of fallbacks"
        yield Fault(("spec", "fallbacks"), message, "give fewer stages a fallback")
        return
    try:
        graphs(spec)
    except CycleError as cycle:
        yield Fault(("spec", "stages"), f"stages wait for each other in a cycle: {cycle}", "remove a name from `after`")
