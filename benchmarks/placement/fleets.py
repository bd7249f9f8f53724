"""Ours beside greedy and beside DP per pipeline on the same seeded fleets: cost, unplaced, gap, seconds, peak memory.

    python benchmarks/placement/fleets.py [SITES …]      (default 50 100 200 400 1000)

Each size runs in a process of its own, so that its peak memory is its own. Costs of peers are compared over the
workloads that both place undegraded alike: what only one of them serves is taken out of both by its own part of the
cost. `--plot FILE` writes cost and time against size as an SVG.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.placement.support import peers
from benchmarks.placement.support.plot import plot
from placement.bound import bound
from placement.large import efforts
from placement.problem import read_problem
from placement.rulings import Rulings
from placement.search.compilation import compile_layout
from placement.search.engine import search
from placement.search.layout import NOWHERE, Layout, Placing
from placement.search.state import COST, placing_of
from tools.fleets import write_fleet

DAY = dt.date(2026, 12, 1)
SIZES = ("50", "100", "200", "400", "1000")


def measure(count: int, seed: int) -> dict[str, Any]:
    """Return what one size gives: a row for us and one for each peer."""
    with tempfile.TemporaryDirectory() as folder:
        write_fleet(Path(folder) / "fleet", count, seed)
        laps = _Laps()
        problem = read_problem(Path(folder) / "fleet", DAY)
        laps.lap("read")
    compiled = compile_layout(problem, Rulings(problem))
    layout = compiled.layout
    laps.lap("compile")
    effort = efforts(layout)
    found = search(layout, work=effort.search)
    laps.lap("search")
    lower = bound(layout, placing=found.placing, work=effort.bound)
    laps.lap("bound")
    rows = [_row(layout, "ours", found.placing, found.cost, laps.of("search"), found.placing, found.cost)]
    rows[0] |= {"bound": lower.per_hour, "over": lower.over}
    for name, peer in peers.PEERS.items():
        begun = time.process_time()
        state = peer(layout)
        took = time.process_time() - begun
        rows.append(_row(layout, name, placing_of(state), float(state.money[COST]), took, found.placing, found.cost))
    return {
        "sites": count, "workloads": len(layout.works.origin), "instances": int((found.placing.site != NOWHERE).sum()),
        "laps": laps.seconds, "rows": rows, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


class _Laps:
    """CPU seconds between laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name], self._last = now - self._last, now

    def of(self, name: str) -> float:
        return self.seconds[name]


def _row(
    layout: Layout, name: str, placing: Placing, cost: float, took: float, ours: Placing, our_cost: float
) -> dict[str, Any]:
    """Return a peer's row; `ratio` is our cost over its cost for what both serve by the same graph."""
    works, shapes = layout.works, layout.shapes
    degraded = (placing.shape != NOWHERE) & (placing.shape != shapes.first[:-1][works.pipeline])
    both = (placing.shape == ours.shape) & (placing.shape != NOWHERE)
    theirs, mine = _cost_of(layout, placing, both), _cost_of(layout, ours, both)
    return {
        "name": name, "cost": cost, "seconds": took, "unplaced": int((placing.shape == NOWHERE).sum()),
        "degraded": int(degraded.sum()), "both": int(both.sum()), "ratio": mine / theirs if theirs else 1.0,
    }  # fmt: skip


def _cost_of(layout: Layout, placing: Placing, which: np.ndarray) -> float:
    """Return what the replicas cost that these workloads alone would need where they are: the same set, compared."""
    works, pools = layout.works, layout.pools
    slots = np.repeat(which, np.diff(works.first_slot)) & (placing.pool != NOWHERE)
    load = np.zeros(len(pools.site), np.int64)
    np.add.at(load, placing.pool[slots], works.wanted[slots])
    return float((-(-load // pools.throughput) * pools.price).sum())


def main() -> None:
    """Print the table."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if "--one" in sys.argv:
        print(json.dumps(measure(int(words[0]), seed=0)))
        return
    target = Path(sys.argv[sys.argv.index("--plot") + 1]) if "--plot" in sys.argv else None
    words = [word for word in words if target is None or word != str(target)]
    found = []
    columns = f"{'EUR/h':>11} {'ours/it':>8} {'unplaced':>8} {'degraded':>8} {'CPU s':>7}"
    print(f"{'sites':>6} {'stages':>8} {'who':26} {columns}")
    for size in words or SIZES:
        ended = subprocess.run([sys.executable, __file__, "--one", size], capture_output=True, text=True, check=True)
        one = json.loads(ended.stdout.splitlines()[-1])
        found.append(one)
        for row in one["rows"]:
            head = f"{one['sites']:6} {one['instances']:8}" if row is one["rows"][0] else " " * 15
            ratio = f"{row['ratio']:8.3f}" if row["name"] != "ours" else " " * 8
            line = f"{head} {row['name']:26} {row['cost']:11.4f} {ratio} {row['unplaced']:8} {row['degraded']:8}"
            print(f"{line} {row['seconds']:7.2f}")
        ours, laps = one["rows"][0], one["laps"]
        gap = 100 * (ours["cost"] / ours["bound"] - 1) if ours["bound"] else float("nan")
        spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in laps.items())
        print(f"{'':15} gap {gap:.2f} % over {ours['over']}; CPU s: {spent}; peak {one['peak']} MB", flush=True)
    if target is not None:
        target.write_text(plot(found))


if __name__ == "__main__":
    main()
