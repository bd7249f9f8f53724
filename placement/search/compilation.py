"""Turns a problem into the arrays of `placement.search.layout`."""

from __future__ import annotations

from placement.search.compiled import Compiled
from placement.search.reference import layout_of

__all__ = ["Compiled", "layout_of"]
