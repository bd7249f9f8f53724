"""Mutants that answer as their originals do, whatever is asked: by module and name, each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[str, dict[str, str]] = {}
