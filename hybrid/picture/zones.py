"""Sites in their zones with the flows between them: one inline SVG.

Sites that serve themselves stand on the left, sites that serve others on the right, zones one below the other. Lines
are in the colour of their data class; colour is never alone: each carries its class's letter, and a table beside the
picture says the same in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 1120, 280, 82, 16, 96
LEFT, RIGHT = MARGIN, WIDTH - MARGIN - BOX_WIDTH
TITLE = 40
COLOURS = 6

CROWDED = 60
"""Lines beyond which they are drawn faintly, and clearly only while somebody points at one of their ends."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its name, the zone it stands in, up to three lines below the name, and a state (a CSS class)."""

    name: str
    zone: str
    left: bool
    title: str
    rows: tuple[str, ...]
    state: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Flows of one data class between two nodes.

    Attributes:
        badge: what stands on the line behind the letter of its class.
        spare: thin, nothing runs there now. seen: dotted beside, somebody saw it. breach: red.
    """

    data: str
    ends: tuple[str, str]
    badge: str = ""
    forward: bool = True
    backward: bool = False
    spare: bool = False
    seen: bool = False
    breach: bool = False


@dataclass(frozen=True, slots=True)
class _Box:
    x: int
    y: int
    left: bool
    number: int


def data_class(data: Iterable[str]) -> str:
    """Return the class that a flow is coloured by: a person's before a system's, then by name."""
    return min(data, key=_rank, default="unknown")


def draw(nodes: Sequence[Node], lines: Sequence[Line], title: str, description: str) -> str:
    """Return the SVG; lines whose ends are not among the nodes are left out."""
    boxes, bands, height = _lay_out(nodes)
    letters = letters_of(lines)
    shown = [line for line in lines if set(line.ends) <= set(boxes)]
    is_crowded = len(shown) > CROWDED
    kind = "picture crowded" if is_crowded else "picture"
    return "\n".join(
        [
            f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="pic-title pic-desc">',
            f'<title id="pic-title">{escape(title)}</title>',
            f'<desc id="pic-desc">{escape(description)}</desc>',
            *([_lit(boxes.values())] if is_crowded else []),
            _MARKERS,
            *bands,
            *_curves(shown, boxes, letters),
            *(_site(node, boxes[node.name], can_be_pointed_at=is_crowded) for node in nodes),
            "</svg>",
        ]
    )


def _lit(boxes: Iterable[_Box]) -> str:
    """Return the style that shows the lines of a box clearly while somebody points at it."""
    rules = ",".join(f".crowded:has(.b{n}:is(:hover,:focus)) .e{n}" for n in (box.number for box in boxes))
    return f"<style>{rules}{{opacity:1;--badge:inline}}</style>"


def legend(lines: Iterable[Line], extra: Iterable[tuple[str, str]]) -> str:
    """Return the list below the picture: each class with its letter and colour, then (CSS class, words) as given."""
    entries = [
        f'<li><span class="swatch c{colour}" aria-hidden="true"></span><b>{letter}</b> {escape(data)}</li>'
        for data, (letter, colour) in letters_of(lines).items()
    ]
    entries += [
        f'<li><span class="swatch {kind}" aria-hidden="true"></span>{escape(words)}</li>' for kind, words in extra
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'


def letters_of(lines: Iterable[Line]) -> dict[str, tuple[str, int]]:
    """Return a letter and a colour number for each class."""
    classes = sorted({line.data for line in lines}, key=_rank)
    return {data: (chr(65 + at % 26), at % COLOURS) for at, data in enumerate(classes)}


def _rank(data: str) -> tuple[bool, str]:
    return not data.startswith("user"), data


def _lay_out(nodes: Iterable[Node]) -> tuple[dict[str, _Box], list[str], int]:
    """Return where every node stands, the zones' bands as SVG, and the picture's height."""
    zones: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        zones[node.zone].append(node)
    boxes: dict[str, _Box] = {}
    bands, y = [], 8
    for name in sorted(zones, key=lambda zone: (-len(zones[zone]), zone)):
        columns = [[node for node in zones[name] if node.left == left] for left in (True, False)]
        rows = max(map(len, columns))
        height = TITLE + rows * (BOX_HEIGHT + GAP)
        bands.append(
            f'<g><rect class="zone" x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="10"/>'
            f'<text class="zone-name" x="24" y="{y + 25}">{escape(name)}</text></g>'
        )
        for left, column in zip((True, False), columns, strict=True):
            start = y + TITLE + (rows - len(column)) * (BOX_HEIGHT + GAP) // 2
            for row, node in enumerate(column):
                boxes[node.name] = _Box(LEFT if left else RIGHT, start + row * (BOX_HEIGHT + GAP), left, len(boxes))
        y += height + 12
    return boxes, bands, y


def _curves(lines: Sequence[Line], boxes: Mapping[str, _Box], letters: Mapping[str, tuple[str, int]]) -> Iterator[str]:
    """Yield each line as a curve; the ends on one side of a box share it evenly."""
    ports: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, line in enumerate(lines):
        for end, other in (line.ends, line.ends[::-1]):
            ports[end].append((boxes[other].y, number))
    places = {end: {number: at + 1 for at, (_, number) in enumerate(sorted(found))} for end, found in ports.items()}
    for number, line in enumerate(lines):
        begin, finish = (boxes[end] for end in line.ends)
        heights = [boxes[e].y + BOX_HEIGHT * places[e][number] // (len(places[e]) + 1) for e in line.ends]
        at = 0.52 if line.breach else 0.22 + 0.09 * (number % 3)
        yield _curve(line, begin, finish, heights, letters[line.data], at)


def _curve(line: Line, begin: _Box, finish: _Box, heights: list[int], letter: tuple[str, int], at: float) -> str:
    points = _points(begin, finish, heights)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    path = f"M{x0},{y0} C{x1},{y1} {x2},{y2} {x3},{y3}"
    kind = "breach" if line.breach else f"c{letter[1]}"
    heads = ' marker-end="url(#head)"' * line.forward + ' marker-start="url(#head)"' * line.backward
    drawn = f'<path class="flow {kind}{" spare" * line.spare}" d="{path}"{heads}/>'
    if line.seen:
        drawn += f'<path class="seen{" seen-breach" * line.breach}" d="{path}" transform="translate(0 5)"/>'
    at = at if begin.left else 1 - at
    x, y = (
        round((1 - at) ** 3 * a + 3 * at * (1 - at) ** 2 * b + 3 * at * at * (1 - at) * c + at**3 * d)
        for a, b, c, d in zip(*points, strict=True)
    )
    text = f"{letter[0]} {line.badge}".strip()
    wide = 14 + 8 * len(text)
    return (
        f'<g class="line e{begin.number} e{finish.number}"><title>{escape(_told(line))}</title>{drawn}'
        f'<rect class="badge {kind}" x="{x - wide // 2}" y="{y - 10}" width="{wide}" height="20" rx="10"/>'
        f'<text class="badge-text" x="{x}" y="{y + 4}">{escape(text)}</text></g>'
    )


def _told(line: Line) -> str:
    """Return what a line says to whoever points at it."""
    a, b = line.ends
    way = f"{a} and {b}" if line.forward == line.backward else f"{a} to {b}" if line.forward else f"{b} to {a}"
    return f"{line.data}, {way}" + f": {line.badge}" * bool(line.badge)


def _points(begin: _Box, finish: _Box, heights: list[int]) -> list[tuple[int, int]]:
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


def _site(node: Node, box: _Box, *, can_be_pointed_at: bool) -> str:
    lines = (("site-name", node.title), *(("site-line", row) for row in node.rows[:3]))
    text = "".join(
        f'<text class="{kind}" x="{box.x + 12}" y="{box.y + 20 + 18 * row}">{escape(short(line, 34))}</text>'
        for row, (kind, line) in enumerate(lines)
    )
    kind = f"site {node.state}".rstrip()
    rect = f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
    begin = f'<g class="box b{box.number}" tabindex="0">' if can_be_pointed_at else "<g>"
    return f"{begin}{rect}{text}</g>"


def short(text: str, most: int) -> str:
    """Return a text of at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


_MARKERS = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" '
    'orient="auto-start-reverse"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
)
