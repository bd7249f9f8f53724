"""Draws an evaluation as one self-contained HTML file: what each variant costs beside what it keeps of fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

BAR_WIDTH, ROW, NAME_WIDTH, NUMBER_WIDTH = 300, 26, 70, 90


@dataclass(frozen=True)
class Chart:
    """One row of bars: a title, what it means, and how to read and print each variant's number."""

    title: str
    note: str
    value: Callable[[dict[str, Any]], float]
    shown: Callable[[float], str]
    floor: float = 0.0


COSTS = (
    Chart("Size on disk", "MB; less is better", lambda v: v["bytes"] / 1e6, "{:.1f} MB".format),
    Chart("Time per text", "CPU ms, tokenisation included", lambda v: v["cost"]["service_ms"], "{:.1f} ms".format),
    Chart("Peak memory", "MiB of the process", lambda v: v["cost"]["peak_bytes"] / (1 << 20), "{:.0f} MiB".format),
    Chart("Cold start", "CPU seconds to the first output", lambda v: v["cost"]["cold_cpu_s"], "{:.2f} s".format),
)
QUALITIES = {
    "embed": (
        Chart("Cosine, mean", "from 0.95 to 1", lambda v: v["quality"]["cosine"], "{:.4f}".format, 0.95),
        Chart("Cosine, least", "from 0.95 to 1", lambda v: v["quality"]["cosineMin"], "{:.4f}".format, 0.95),
        Chart("Top-10 overlap", "from 0.8 to 1", lambda v: v["quality"]["top10"], "{:.3f}".format, 0.8),
        Chart("Hard pairs agreed", "from 0.8 to 1", lambda v: v["quality"]["hardPairs"], "{:.3f}".format, 0.8),
    ),
    "classify": (
        Chart("Accuracy", "test split, from 0.5 to 1", lambda v: v["quality"]["accuracy"], "{:.3f}".format, 0.5),
        Chart("Lowest recall", "of any label, from 0 to 1", lambda v: v["quality"]["recallLowest"], "{:.3f}".format),
        Chart("Labels as fp32", "from 0.9 to 1", lambda v: v["quality"]["agreement"], "{:.3f}".format, 0.9),
    ),
    "generate": (
        Chart("Greedy tokens as fp32", "from 0 to 1", lambda v: v["quality"]["greedyTokens"], "{:.3f}".format),
        Chart("Same answers", "from 0 to 1", lambda v: v["quality"]["sameAnswers"], "{:.3f}".format),
    ),
}
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2530;background:#fff}
h1{font-size:1.4rem;margin-bottom:0}p.of{margin-top:.2rem;color:#48535f}main{display:grid;gap:1rem 2rem;
grid-template-columns:repeat(auto-fit,minmax(27rem,1fr))}figure{margin:0}figcaption b{margin-right:.5em}
figcaption span{color:#48535f}svg text{font:13px system-ui,sans-serif;fill:#1c2530}
@media print{main{grid-template-columns:1fr 1fr}}
"""


def picture(evaluation: dict[str, Any]) -> str:
    """Return the HTML of an evaluation as `evaluate` kept it."""
    variants: Sequence[dict[str, Any]] = evaluation["variants"]
    charts = "".join(_chart(chart, variants, "#2f6690") for chart in COSTS)
    charts += "".join(_chart(chart, variants, "#3a7d44") for chart in QUALITIES[evaluation["task"]])
    of = f"{evaluation['count']} texts of {evaluation['texts']}, on {evaluation['cpu']} ({evaluation['hardware']})"
    title = f"{evaluation['model']}: variants against fp32"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="of">{escape(of)}</p><main>{charts}</main></body></html>\n'
    )


def _chart(chart: Chart, variants: Sequence[dict[str, Any]], colour: str) -> str:
    values = [chart.value(variant) for variant in variants]
    most = max(values) if not chart.floor else 1.0
    bars = "".join(
        _bar(at, variant["variant"], value, chart, most, colour)
        for at, (variant, value) in enumerate(zip(variants, values, strict=True))
    )
    width, height = NAME_WIDTH + BAR_WIDTH + NUMBER_WIDTH, ROW * len(variants)
    said = "; ".join(f"{v['variant']} {chart.shown(value)}" for v, value in zip(variants, values, strict=True))
    return (
        f"<figure><figcaption><b>{escape(chart.title)}</b><span>{escape(chart.note)}</span></figcaption>"
        f'<svg role="img" aria-label="{escape(chart.title)}: {escape(said)}" width="100%" '
        f'viewBox="0 0 {width} {height}">'
        f"{bars}</svg></figure>"
    )


def _bar(at: int, name: str, value: float, chart: Chart, most: float, colour: str) -> str:
    share = max(0.0, min(1.0, (value - chart.floor) / (most - chart.floor))) if most > chart.floor else 0.0
    length, top = round(share * BAR_WIDTH, 1), at * ROW
    return (
        f'<text x="0" y="{top + 17}">{escape(name)}</text>'
        f'<rect x="{NAME_WIDTH}" y="{top + 4}" width="{length}" height="{ROW - 8}" fill="{colour}"/>'
        f'<text x="{NAME_WIDTH + length + 8}" y="{top + 17}">{escape(chart.shown(value))}</text>'
    )
