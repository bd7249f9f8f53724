"""How far the exact engine reaches: what is larger is searched, and nobody asks the solver about it."""

from __future__ import annotations

from placement.problem import Problem

MOST_CONNECTED = 30
"""Sites that are not disconnected, beyond which a plan is searched for instead of proved."""


def is_small(problem: Problem) -> bool:
    """Return whether the exact engine plans a fleet: disconnected sites do not count, each is solved alone."""
    modes = (site.spec.connectivity.mode for site in problem.sites.values())
    return sum(mode != "disconnected" for mode in modes) <= MOST_CONNECTED
