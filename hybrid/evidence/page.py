"""The residency report as one HTML file that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hybrid.evidence import picture
from hybrid.picture.page import size, stylesheet

COLLAPSE_AFTER = 40
"""Tables of more rows than this are folded."""


def render(report: Mapping[str, Any]) -> str:
    """Return the page of a report."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("hybrid.evidence"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        size=size, span=span, count=lambda number: f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    )
    return environment.get_template("report.html.j2").render(
        report, r=report, picture=Markup(picture.draw(report)), style=Markup(stylesheet()), collapse=COLLAPSE_AFTER
    )


def to_json(report: Mapping[str, Any]) -> str:
    """Return the same report as JSON text."""
    return json.dumps(report, ensure_ascii=False, indent=1) + "\n"


def span(ids: list[str]) -> str:
    """Return the first and last of a site's records as `site#first–last`."""
    return ids[0] if len(ids) == 1 else f"{ids[0]}–{ids[-1].rpartition('#')[2]}"
