"""How much of a gap is the plan's and how much the bound's own: both beside the proven optimum of small fleets.

    python benchmarks/placement/looseness.py [SITES …]      (default 10 20 30; three seeds each)

The search and the bound are given the work that a large fleet of that size would get; the optimum is the exact
engine's. `above` is the search over the optimum, `below` the bound under it; a gap that `hybrid plan` prints is both.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from placement.bound import bound
from placement.exact.engine import solve
from placement.instance import instance_of
from placement.large import efforts
from placement.problem import Problem, read_problem
from placement.rulings import Rulings
from placement.search.compilation import compile_layout
from placement.search.engine import search
from placement.solution import tally
from tools.fleets import write_fleet

DAY = dt.date(2026, 12, 1)
SEEDS = 3


def measure(problem: Problem) -> tuple[float, float, float, float]:
    """Return (optimum, search, bound) per hour, and the CPU seconds that proving the optimum took."""
    rulings = Rulings(problem)
    instance = instance_of(problem, rulings=rulings)
    begun = time.process_time()
    best = solve(instance)
    took = time.process_time() - begun
    assert best is not None
    layout = compile_layout(problem, rulings).layout
    effort = efforts(layout)
    found = search(layout, work=effort.search)
    lower = bound(layout, placing=found.placing, work=effort.bound)
    return float(tally(instance, best.choices, best.failures).per_hour), found.cost, lower.per_hour, took


def main() -> None:
    """Print the table."""
    print(f"{'sites':>6} {'seed':>4} {'optimum':>9} {'exact s':>8} {'above %':>8} {'below %':>8} {'gap %':>7}")
    for sites in map(int, sys.argv[1:] or ("10", "20", "30")):
        for seed in range(SEEDS):
            with tempfile.TemporaryDirectory() as folder:
                write_fleet(Path(folder) / "fleet", sites, seed)
                problem = read_problem(Path(folder) / "fleet", DAY)
            optimum, found, lower, took = measure(problem)
            above, below, gap = (100 * part for part in (found / optimum - 1, 1 - lower / optimum, found / lower - 1))
            print(f"{sites:6} {seed:4} {optimum:9.4f} {took:8.2f} {above:8.2f} {below:8.2f} {gap:7.2f}", flush=True)


if __name__ == "__main__":
    main()
