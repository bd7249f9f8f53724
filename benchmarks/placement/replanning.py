"""The busiest region of a fleet loses its nodes: what has to move, what is moved, how long that takes, what it costs.

    python benchmarks/placement/replanning.py [SITES …]      (default 200 1000)

Forced are the stages that ran there. Seconds are CPU of the replanning search alone, its kernels compiled. Beside it
stands a fresh plan of the same loss, with the work that a plan of that size gets: what it costs and how many stages of
those placed before and after it would move. Unplaced is in units of priority.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from placement.large import efforts
from placement.problem import read_problem
from placement.rulings import Rulings
from placement.search.compilation import compile_layout
from placement.search.engine import Found, search
from placement.search.layout import NOWHERE, PRIORITY, Layout, Placing
from tools.fleets import write_fleet

DAY = dt.date(2026, 12, 1)
SIZES = ("200", "1000")
ROW = "{:>6} {:>8} {:>9} {:>10} {:>8} {:>8} {:>9} {:>8} {:>11}"


def layout_of(count: int) -> Layout:
    """Return the arrays of a generated fleet."""
    with tempfile.TemporaryDirectory() as folder:
        write_fleet(Path(folder) / "fleet", count, 0)
        problem = read_problem(Path(folder) / "fleet", DAY)
    return compile_layout(problem, Rulings(problem)).layout


def busiest(layout: Layout, placing: Placing) -> int:
    """Return the site where most stages of other sites run."""
    away = placing.site != np.repeat(layout.works.origin, np.diff(layout.works.first_slot))
    return int(np.bincount(placing.site[(placing.pool != NOWHERE) & away]).argmax())


def without_nodes_of(layout: Layout, site: int) -> Layout:
    """Return the fleet in which the nodes of a site hold nothing; its wires stay."""
    groups = layout.groups
    return layout._replace(groups=groups._replace(memory=np.where(groups.site == site, 0, groups.memory)))


def moves(before: Placing, after: Placing) -> int:
    """Return how many stages run both before and after, elsewhere."""
    both = (before.site != NOWHERE) & (after.site != NOWHERE)
    return int((both & ((before.site != after.site) | (before.pool != after.pool))).sum())


def measure(count: int) -> str:
    """Return the row of one size."""
    layout = layout_of(count)
    work = efforts(layout).search
    before = search(layout, work=work).placing
    site = busiest(layout, before)
    forced = int(((before.site == site) & (before.pool != NOWHERE)).sum())
    lost = without_nodes_of(layout, site)
    search(lost, work=0, held=before)
    begun = time.process_time()
    after = search(lost, work=work, held=before)
    seconds = time.process_time() - begun
    fresh = search(lost, work=work)
    return ROW.format(
        count, forced, after.moves, moves(before, fresh.placing), f"{after.moves / max(1, forced):.3f}",
        f"{seconds:.2f}", f"{after.cost / fresh.cost:.4f}", _out(after), _out(fresh),
    )  # fmt: skip


def _out(found: Found) -> str:
    return f"{found.unplaced_weight / PRIORITY:g}"


def main() -> None:
    """Print the table."""
    print(ROW.format("sites", "forced", "moves", "of fresh", "ratio", "CPU s", "cost/fre", "unplaced", "fresh unpl"))
    for size in sys.argv[1:] or SIZES:
        print(measure(int(size)), flush=True)


if __name__ == "__main__":
    main()
