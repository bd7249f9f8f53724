"""The report's picture: zones, sites with who runs them and who can compel them, and the flows between; one inline SVG.

Sites that serve themselves stand on the left, sites that serve others on the right, zones one below the other. Planned
flows are solid in the colour of their data class, what was observed is dotted along them, breaches are red. Colour is
never alone: each line carries its class's letter, and the flows table says the same in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 1120, 280, 82, 16, 96
LEFT, RIGHT = MARGIN, WIDTH - MARGIN - BOX_WIDTH
TITLE = 40
MOST_SITES = 48
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Box:
    """Where a site stands; `left` says in which column."""

    x: int
    y: int
    left: bool


@dataclass(slots=True)
class Line:
    """Every flow of one data class between two sites, in both directions."""

    data: str
    ends: tuple[str, str]
    planned: int = 0
    primary: bool = False
    observed: int = 0
    breach: bool = False
    forward: bool = False
    backward: bool = False


def draw(report: Mapping[str, Any]) -> str:
    """Return the SVG of a report. Sites beyond the most that can be read are counted, and the table has them all."""
    lines = _lines(report)
    sites, left_out = _readable(report["sites"], {end for line in lines for end in line.ends})
    boxes, bands, height = _lay_out(sites)
    letters = _letters(line.data for line in lines)
    silent = set(report["gaps"]["silent"])
    breached = {breach["site"] for breach in report["breaches"]}
    drawn = [
        f'<svg class="picture" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="pic-title pic-desc">',
        '<title id="pic-title">Sites, zones and flows</title>',
        f'<desc id="pic-desc">{escape(_described(report, lines))} The table of flows says the same in words.</desc>',
        _MARKERS,
        *bands,
        *_curves([line for line in lines if set(line.ends) <= set(boxes)], boxes, letters),
        *(_site(site, boxes[site["name"]], site["name"] in silent, site["name"] in breached) for site in sites),
        "</svg>",
    ]
    note = (
        f"<p>{left_out} sites without crossings are not drawn; the coverage table lists them.</p>" if left_out else ""
    )
    return "\n".join(drawn) + _legend(letters) + note


def _lines(report: Mapping[str, Any]) -> list[Line]:
    found: dict[tuple[str, str, str], Line] = {}
    for flow in report["flows"]:
        first, second = sorted((flow["from"], flow["to"]))
        data = _class(flow["data"])
        line = found.setdefault((first, second, data), Line(data, (first, second)))
        line.planned += flow["planned"] is not None
        line.primary |= flow["role"] == "primary"
        line.observed += flow["observed"]["sent"] or flow["observed"]["received"]
        line.breach |= flow["state"] == "breach"
        line.forward |= flow["from"] == first
        line.backward |= flow["to"] == first
    for breach in report["breaches"]:
        if breach["from"] and breach["to"] and breach["from"] != breach["to"]:
            first, second = sorted((breach["from"], breach["to"]))
            data = _class(breach["data"])
            line = found.setdefault((first, second, data), Line(data, (first, second)))
            line.breach = True
            line.forward |= breach["from"] == first
            line.backward |= breach["to"] == first
    return [found[key] for key in sorted(found)]


def _class(data: list[str]) -> str:
    """Return the class that a line is coloured by: a person's before a system's, then by name."""
    return min(data, key=_rank, default="unknown")


def _rank(data: str) -> tuple[bool, str]:
    return not data.startswith("user"), data


def _letters(classes: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return a letter and a colour number for each class."""
    return {data: (chr(65 + at % 26), at % COLOURS) for at, data in enumerate(sorted(set(classes), key=_rank))}


def _readable(sites: list[dict[str, Any]], crossing: set[str]) -> tuple[list[dict[str, Any]], int]:
    if len(sites) <= MOST_SITES:
        return sites, 0
    kept = [site for site in sites if site["name"] in crossing][:MOST_SITES]
    return kept, len(sites) - len(kept)


def _lay_out(sites: list[dict[str, Any]]) -> tuple[dict[str, Box], list[str], int]:
    """Return where every site stands, the zones' bands as SVG, and the picture's height."""
    zones: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for site in sites:
        zones[site["zone"]].append(site)
    boxes, bands, y = {}, [], 8
    for name in sorted(zones, key=lambda zone: (-len(zones[zone]), zone)):
        columns = [[s for s in zones[name] if (s["serves"] == "own") == own] for own in (True, False)]
        rows = max(map(len, columns))
        height = TITLE + rows * (BOX_HEIGHT + GAP)
        bands.append(
            f'<g><rect class="zone" x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="10"/>'
            f'<text class="zone-name" x="24" y="{y + 25}">{escape(name)}</text></g>'
        )
        for left, column in zip((True, False), columns, strict=True):
            start = y + TITLE + (rows - len(column)) * (BOX_HEIGHT + GAP) // 2
            for row, site in enumerate(column):
                boxes[site["name"]] = Box(LEFT if left else RIGHT, start + row * (BOX_HEIGHT + GAP), left)
        y += height + 12
    return boxes, bands, y


def _curves(lines: list[Line], boxes: Mapping[str, Box], letters: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    """Yield each line as curves whose ends share a box's side evenly."""
    ports: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, line in enumerate(lines):
        for end, other in (line.ends, line.ends[::-1]):
            ports[end].append((boxes[other].y, number))
    for number, line in enumerate(lines):
        begin, finish = (boxes[end] for end in line.ends)
        heights = []
        for end, other in (line.ends, line.ends[::-1]):
            place = sorted(ports[end]).index((boxes[other].y, number)) + 1
            heights.append(boxes[end].y + BOX_HEIGHT * place // (len(ports[end]) + 1))
        yield _curve(
            line, begin, finish, heights, letters[line.data], 0.52 if line.breach else 0.22 + 0.09 * (number % 3)
        )


def _curve(line: Line, begin: Box, finish: Box, heights: list[int], letter: tuple[str, int], at: float) -> str:
    points = _points(begin, finish, heights)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    path = f"M{x0},{y0} C{x1},{y1} {x2},{y2} {x3},{y3}"
    kind = "breach" if line.breach else f"c{letter[1]}"
    heads = ' marker-end="url(#head)"' * line.forward + ' marker-start="url(#head)"' * line.backward
    spare = " spare" if not (line.primary or line.breach) else ""
    drawn = f'<path class="flow {kind}{spare}" d="{path}"{heads}/>'
    if line.observed:
        drawn += f'<path class="seen{" seen-breach" * line.breach}" d="{path}" transform="translate(0 5)"/>'
    at = at if begin.left else 1 - at
    x, y = (
        round((1 - at) ** 3 * a + 3 * at * (1 - at) ** 2 * b + 3 * at * at * (1 - at) * c + at**3 * d)
        for a, b, c, d in zip(*points, strict=True)
    )
    text = f"{letter[0]} breach" if line.breach else f"{letter[0]} {line.observed}" if line.observed else letter[0]
    wide = 14 + 8 * len(text)
    return (
        f'<g>{drawn}<rect class="badge {kind}" x="{x - wide // 2}" y="{y - 10}" width="{wide}" height="20" rx="10"/>'
        f'<text class="badge-text" x="{x}" y="{y + 4}">{text}</text></g>'
    )


def _points(begin: Box, finish: Box, heights: list[int]) -> list[tuple[int, int]]:
    """Return the four points of a curve: across the middle, or around the outside within one column."""
    starts = [box.x + BOX_WIDTH if box.left else box.x for box in (begin, finish)]
    if begin.left != finish.left:
        pull = 150 if begin.left else -150
        return [
            (starts[0], heights[0]), (starts[0] + pull, heights[0]),
            (starts[1] - pull, heights[1]), (starts[1], heights[1]),
        ]  # fmt: skip
    pull = 96 if begin.left else -96
    return [
        (starts[0], heights[0]), (starts[0] + pull, heights[0]),
        (starts[1] + pull, heights[1]), (starts[1], heights[1]),
    ]  # fmt: skip


def _site(site: Mapping[str, Any], box: Box, silent: bool, breached: bool) -> str:
    state = "breached" if breached else "silent" if silent else ""
    compel = ", ".join(site["compellableBy"])
    status = " · breach" if breached else " · silent" if silent else ""
    rows = (
        ("site-name", site["name"] + status),
        ("site-line", f"{site['place'] or 'unknown place'} · {site['mode']}"),
        ("site-line", f"operator: {_short(site['operator'], 26)}"),
        ("site-line", f"can compel: {_short(compel, 24)}"),
    )
    text = "".join(
        f'<text class="{kind}" x="{box.x + 12}" y="{box.y + 20 + 18 * row}">{escape(line)}</text>'
        for row, (kind, line) in enumerate(rows)
    )
    rect = f'<rect class="site {state}" x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
    return f"<g>{rect}{text}</g>"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _described(report: Mapping[str, Any], lines: list[Line]) -> str:
    breaches = sum(line.breach for line in lines)
    return f"{len(report['sites'])} sites, {len(lines)} lines of flows between them, {breaches} of them a breach."


def _legend(letters: Mapping[str, tuple[str, int]]) -> str:
    classes = "".join(
        f'<li><span class="swatch c{colour}" aria-hidden="true"></span><b>{letter}</b> {escape(data)}</li>'
        for data, (letter, colour) in letters.items()
    )
    return (
        f'<ul class="legend">{classes}<li><span class="swatch" aria-hidden="true"></span>solid: planned</li>'
        '<li><span class="swatch thin" aria-hidden="true"></span>thin: fallback</li>'
        '<li><span class="swatch dots" aria-hidden="true"></span>dotted: observed (crossings)</li>'
        '<li><span class="swatch breach" aria-hidden="true"></span>red: breach</li></ul>'
    )


_MARKERS = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" '
    'orient="auto-start-reverse"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
)
