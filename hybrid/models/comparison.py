"""Lays an evaluation out as one table: a row per measure, a column per variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Row = tuple[str, ...]


def columns(evaluation: dict[str, Any]) -> Row:
    """Return the headings: nothing, then the names of the variants."""
    return ("", *(variant["variant"] for variant in evaluation["variants"]))


def rows(evaluation: dict[str, Any]) -> list[Row]:
    """Return the rows, numbers formatted: quality first, then what it costs."""
    variants: Sequence[dict[str, Any]] = evaluation["variants"]
    return [*_quality(evaluation, variants), *_cost(variants)]


def _row(name: str, variants: Sequence[dict[str, Any]], number: Callable[[dict[str, Any]], str]) -> Row:
    return (name, *map(number, variants))


def _quality(evaluation: dict[str, Any], variants: Sequence[dict[str, Any]]) -> Iterator[Row]:
    recalls = evaluation["labels"]
    for name in variants[0]["quality"]:
        yield _row(name, variants, lambda v, name=name: f"{v['quality'][name]:.4f}")  # type: ignore[misc]
    for label in recalls[variants[0]["variant"]]:
        yield _row(f"recall {label}", variants, lambda v, label=label: f"{recalls[v['variant']][label]:.3f}")  # type: ignore[misc]
    if "batch" in variants[0]["cost"]:
        yield _row("batch, least cosine", variants, lambda v: f"{v['cost']['batch']:.4f}")


def _cost(variants: Sequence[dict[str, Any]]) -> Iterator[Row]:
    yield _row("size, MB", variants, lambda v: f"{v['bytes'] / 1e6:.1f}")
    yield _row("CPU ms per text", variants, lambda v: f"{v['cost']['service_ms']:.1f}")
    for shape in variants[0]["cost"]["cpu_ms"]:
        yield _row(f"CPU ms, {shape}", variants, lambda v, shape=shape: f"{v['cost']['cpu_ms'][shape]:.1f}")  # type: ignore[misc]
    yield _row("cold start, CPU s", variants, lambda v: f"{v['cost']['cold_cpu_s']:.2f}")
    yield _row("resident, MB", variants, lambda v: f"{v['cost']['resident_bytes'] / 1e6:.0f}")
    yield _row("peak memory, MB", variants, lambda v: f"{v['cost']['peak_bytes'] / 1e6:.0f}")
