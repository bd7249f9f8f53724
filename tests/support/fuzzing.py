"""How many examples a fuzzed parser is given: a bounded number in CI, as many times more as `make fuzz` asks for."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("HYBRID_FUZZ", "1"))


def fuzzed(examples: int) -> settings:
    """Return settings of a test that throws so many documents at a parser, or at a whole box."""
    return settings(
        max_examples=examples * TIMES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
