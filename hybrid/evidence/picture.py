"""The report's picture: who runs each site and who can compel it, what was planned between them, and what was seen.

Planned flows are solid in the colour of their data class, what was observed is dotted along them, breaches are red.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hybrid.picture import zones
from hybrid.picture.zones import Line, Node, data_class, short

MOST_SITES = 48
KINDS = (
    ("", "solid: planned"),
    ("thin", "thin: fallback"),
    ("dots", "dotted: observed (crossings)"),
    ("breach", "red: breach"),
)


@dataclass(slots=True)
class _Tally:
    """Every flow of one data class between two sites, in both directions."""

    primary: bool = False
    observed: int = 0
    breach: bool = False
    forward: bool = False
    backward: bool = False

    def line(self, ends: tuple[str, str], data: str) -> Line:
        """Return it as it is drawn."""
        badge = "breach" if self.breach else str(self.observed) if self.observed else ""
        spare = not (self.primary or self.breach)
        return Line(data, ends, badge, self.forward, self.backward, spare, bool(self.observed), self.breach)


def draw(report: Mapping[str, Any]) -> str:
    """Return the SVG of a report. Sites beyond the most that can be read are counted, and the table has them all."""
    lines = _lines(report)
    sites, left_out = _readable(report["sites"], {end for line in lines for end in line.ends})
    silent = set(report["gaps"]["silent"])
    breached = {breach["site"] for breach in report["breaches"]}
    nodes = [_node(site, site["name"] in silent, site["name"] in breached) for site in sites]
    breaches = sum(line.breach for line in lines)
    said = f"{len(report['sites'])} sites, {len(lines)} lines of flows between them, {breaches} of them a breach."
    drawn = zones.draw(
        nodes, lines, "Sites, zones and flows", f"{said} The table of flows says the same in words."
    ) + zones.legend(lines, KINDS)
    if left_out:
        drawn += f"<p>{left_out} sites without crossings are not drawn; the coverage table lists them.</p>"
    return drawn


def _lines(report: Mapping[str, Any]) -> list[Line]:
    found: dict[tuple[tuple[str, str], str], _Tally] = {}

    def tally(a: str, b: str, data: list[str]) -> _Tally:
        first, second = sorted((a, b))
        entry = found.setdefault(((first, second), data_class(data)), _Tally())
        entry.forward |= a == first
        entry.backward |= b == first
        return entry

    for flow in report["flows"]:
        entry = tally(flow["from"], flow["to"], flow["data"])
        entry.primary |= flow["role"] == "primary"
        entry.observed += flow["observed"]["sent"] or flow["observed"]["received"]
        entry.breach |= flow["state"] == "breach"
    for breach in report["breaches"]:
        if breach["from"] and breach["to"] and breach["from"] != breach["to"]:
            tally(breach["from"], breach["to"], breach["data"]).breach = True
    return [found[key].line(*key) for key in sorted(found)]


def _readable(sites: list[dict[str, Any]], crossing: set[str]) -> tuple[list[dict[str, Any]], int]:
    if len(sites) <= MOST_SITES:
        return sites, 0
    kept = [site for site in sites if site["name"] in crossing][:MOST_SITES]
    return kept, len(sites) - len(kept)


def _node(site: Mapping[str, Any], silent: bool, breached: bool) -> Node:
    state = "breached" if breached else "silent" if silent else ""
    status = " · breach" if breached else " · silent" if silent else ""
    rows = (
        f"{site['place'] or 'unknown place'} · {site['mode']}",
        f"operator: {short(site['operator'], 26)}",
        f"can compel: {short(', '.join(site['compellableBy']), 24)}",
    )
    return Node(site["name"], site["zone"], site["serves"] == "own", site["name"] + status, rows, state)
