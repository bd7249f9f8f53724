"""The pipelines of a generated fleet: chains and graphs of three to six stages, each at a quarter of the sites."""

from __future__ import annotations

import random
from collections.abc import Collection

from tools.fleets.law import LEVELS

ROLES = ("branch", "clinic", "depot", "ship")
AREAS = ("north", "east", "south", "west")
COUNT = 40

SHAPES: dict[str, tuple[str, ...]] = {
    # name of the stage : (model, what it follows); `*` marks a stage that a fallback may replace
    "digest": ("sort:sorter:input", "embed:embedder:input", "write:writer-small:input,sort,embed*"),
    "redact": ("redact:redactor:input", "sort:sorter:redact", "write:writer-large:redact*"),
    "answer": ("sort:sorter:input", "find:embedder:input", "draft:writer-large:input,sort,find*", "check:sorter:draft"),
    "ladder": ("sort:sorter:input", "redact:redactor:sort", "find:embedder:redact", "draft:writer-small:redact,find*"),
    "review": (
        "sort:sorter:input", "redact:redactor:input", "find:embedder:redact", "draft:writer-large:redact,find*",
        "check:sorter:draft",
    ),
    "panel": (
        "sort:sorter:input", "redact:redactor:input", "find:embedder:redact", "first:writer-small:redact,find*",
        "second:writer-large:redact,find*", "judge:sorter:first,second,sort",
    ),
}  # fmt: skip

OUTPUT = {"sorter": "200B", "embedder": "6KiB", "redactor": "4KiB", "writer-small": "1KiB", "writer-large": "2KiB"}
TASKS = {
    "sorter": "classify", "embedder": "embed", "redactor": "transform", "writer-small": "generate",
    "writer-large": "generate",
}  # fmt: skip


def manifest(index: int, draw: random.Random, labels: Collection[tuple[str, str]]) -> str | None:
    """Return one Pipeline manifest; None when no site of the fleet has the label that it asks for."""
    shape = list(SHAPES)[index % len(SHAPES)]
    level = LEVELS[draw.choices(range(5), weights=(3, 3, 3, 4, 1))[0]]
    where = ("role", ROLES[index // 2 % 4]) if index % 2 else ("area", AREAS[index // 2 % 4])
    is_async = draw.random() < 0.4
    latency = "" if is_async or draw.random() < 0.2 else f"\n  latency: {draw.choice((1500, 2000, 3000, 5000))}ms"
    identified = "identified" if level.startswith("user") else "anonymised"
    rate = draw.choice((0.05, 0.1, 0.2, 0.4))
    stages = [_stage(text, index, is_async, draw) for text in SHAPES[shape]]
    if where not in labels:
        return None
    own_rates = f"\n  rates: [{{sites: {{size: large}}, rate: {4 * rate:g}/s}}]" if ("size", "large") in labels else ""
    lines = [
        "apiVersion: hybrid/v1",
        "kind: Pipeline",
        f"metadata: {{name: {shape}-{index:02}}}",
        "spec:",
        f"  origins: {{{where[0]}: {where[1]}}}",
        f"  priority: {draw.choice((1, 1, 2, 5, 10))}",
        f"  rate: {rate}/s{own_rates}{latency}",
        f"  input: {{data: [{level}], identifiability: {identified}, purposes: [essential.service], "
        f"size: {draw.choice((1, 2, 8, 64))}KiB}}",
        "  stages:",
        *stages,
    ]
    if any("fallback" in line for line in stages):
        lines += ["  fallbacks:", "    - {name: quote, task: quote, after: [input], output: 1KiB}"]
    return "\n".join(lines) + "\n"


def _stage(text: str, index: int, is_async: bool, draw: random.Random) -> str:
    name, model, after = text.split(":")
    falls_back = after.endswith("*") and index % 10 < 7
    parts = [
        f"name: {name}", f"task: {TASKS[model]}", f"models: [{model}]",
        f"after: [{after.rstrip('*').replace(',', ', ')}]", f"output: {OUTPUT[model]}",
    ]  # fmt: skip
    if model == "writer-small" and draw.random() < 0.3:
        parts.append("quality: {accuracy: 0.82}")
    if is_async:
        parts.append("async: true")
    # One fallback in a pipeline: two stages that name the same would run it twice.
    if falls_back and name != "first":
        parts.append("fallback: [quote]")
    return f"    - {{{', '.join(parts)}}}"
