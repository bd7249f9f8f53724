"""What every page of ours shares: one stylesheet in the page itself, and how numbers are written for people."""

from __future__ import annotations

from importlib.resources import files


def stylesheet() -> str:
    """Return the CSS of every page: light, dark and print."""
    return files("hybrid.picture").joinpath("templates", "page.css").read_text(encoding="utf-8")


def size(number: int) -> str:
    """Return a number of bytes for people."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number} B"
