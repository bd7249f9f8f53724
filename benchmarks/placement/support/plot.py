"""Cost and time against size as one SVG: ratios to our cost on the left, CPU seconds on the right, sizes by powers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, GAP = 460, 300, 60, 40, 80
COLOURS = ("#1f6fb2", "#9c2a78", "#8a5a00", "#1a7f6b")


def plot(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the SVG of what `fleets` measured."""
    names = [row["name"] for row in found[0]["rows"]]
    cost = {
        n: [(one["sites"], 1 / row["ratio"]) for one in found for row in one["rows"] if row["name"] == n] for n in names
    }
    time = {
        n: [(one["sites"], row["seconds"]) for one in found for row in one["rows"] if row["name"] == n] for n in names
    }
    cost["bound"] = [(one["sites"], one["rows"][0]["bound"] / one["rows"][0]["cost"]) for one in found]
    legend = "".join(
        f'<text x="{LEFT + 190 * at}" y="{HEIGHT + TOP + 70}" fill="{COLOURS[at % 4]}">{escape(name)}</text>'
        for at, name in enumerate([*names])
    )
    whole = 2 * (WIDTH + GAP) + LEFT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {HEIGHT + TOP + 90}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{_panel('cost over the same set, ours = 1 (dashed: the bound)', cost, LEFT, is_log=False)}"
        f"{_panel('CPU seconds', time, LEFT + WIDTH + GAP, is_log=True)}{legend}</svg>"
    )


def _panel(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], x0: float, *, is_log: bool) -> str:
    def scaled(value: float) -> float:
        return log10(max(value, 1e-3)) if is_log else value

    points = [point for line in lines.values() for point in line]
    xs, ys = [log10(x) for x, _ in points], [scaled(y) for _, y in points]
    low_x, high_x, low_y, high_y = min(xs), max(max(xs), min(xs) + 1e-9), min(ys), max(max(ys), min(ys) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log10(x) - low_x) / (high_x - low_x)
        up = (scaled(y) - low_y) / (high_y - low_y)
        return x0 + across * WIDTH, TOP + HEIGHT - up * HEIGHT

    drawn = [
        f'<text x="{x0}" y="{TOP - 14}">{escape(title)}</text>',
        f'<rect x="{x0}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        *(
            f'<text x="{place(x, points[0][1])[0]:.0f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{x:g}</text>'
            for x in sorted({x for x, _ in points})
        ),
    ]
    for y in (min(y for _, y in points), max(y for _, y in points)):
        drawn.append(f'<text x="{x0 - 6}" y="{place(points[0][0], y)[1]:.0f}" text-anchor="end">{y:.3g}</text>')
    for at, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        dash = ' stroke-dasharray="5 4"' if name == "bound" else ""
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[at % 4]}" stroke-width="2"{dash}/>')
    return "".join(drawn)
