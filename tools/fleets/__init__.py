"""Seeded fleets of any size as real manifests: what the planner is measured and tried on. Never shipped.

    python -m tools.fleets DIR --sites 1000 --seed 0

Forty countries in three blocs, a twentieth of the sites regions with accelerators, a tenth disconnected, 15 %
intermittent; forty pipelines, chains and graphs of three to six stages over five levels of data, ten at each site.
"""

from tools.fleets.fleet import write_fleet

__all__ = ["write_fleet"]
