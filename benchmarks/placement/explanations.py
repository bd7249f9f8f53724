"""Milliseconds that an explanation takes once the fleet is read, and CPU seconds of the whole command; two tables.

Usage: python benchmarks/placement/explanations.py [FLEET]    (the clinics when none is named)
"""

from __future__ import annotations

import datetime as dt
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from placement.engine import plan
from placement.explanation.path import path_of
from placement.explanation.repairs import explanation
from placement.explanation.standing import Standing
from placement.explanation.why import views, why_not
from placement.plan import Plan
from placement.problem import read_problem

SINCE, UNTIL = dt.date(2026, 12, 1), dt.date(2027, 2, 28)
MOST = 40
"""Workloads that are asked about."""


def main() -> None:
    """Print both tables."""
    named = sys.argv[1:]
    fleet = Path(named[0]) if named else Path(str(files("sites") / "examples" / "clinics"))
    problem = read_problem(fleet, SINCE, UNTIL)
    made = plan(problem)
    _explanations(Standing(problem, made), made)
    _commands(fleet, made)


def _explanations(standing: Standing, made: Plan) -> None:
    times: dict[str, list[float]] = {}

    def timed(what: str, act: Callable[[], object]) -> None:
        begun = time.process_time()
        act()
        times.setdefault(what, []).append(1000 * (time.process_time() - begun))

    for workload in made.workloads[:MOST]:
        name, stage = workload.id, workload.assignments[0].stages[-1].stage
        court = standing.court(name)
        views(court, name)
        timed("all sites of a workload, with reasons", partial(views, court, name))
        timed("the path of a latency", partial(path_of, court.instance.workloads[name], court.choices[name]))
        for site in list(standing.problem.sites)[:MOST]:
            timed("why not at a site", partial(why_not, court, name, stage, site))
        if workload.status == "degraded":
            timed("causes, numbers and repairs", partial(explanation, court, name))
    print(f"{'an explanation':<40}{'asked':>7}{'median ms':>11}{'p95 ms':>9}{'most ms':>9}")
    for what, found in times.items():
        ordered = sorted(found)
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        print(f"{what:<40}{len(found):>7}{statistics.median(found):>11.2f}{p95:>9.2f}{ordered[-1]:>9.2f}")


def _commands(fleet: Path, made: Plan) -> None:
    first = made.workloads[-1]
    stage = first.assignments[0].stages[-1].stage
    where = f"{first.id}/{stage}"
    print(f"\n{'the command, from cold':<40}{'CPU s':>7}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        path.write_bytes(made.to_bytes())
        for words in ([], [first.id], [where], [where, "--not", made.pools[-1].site]):
            before = getrusage(RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "hybrid", "explain", str(path), *words, "--fleet", str(fleet)]
            subprocess.run(command, check=True, capture_output=True)
            after = getrusage(RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{'explain PLAN ' + ' '.join(words):<40.40}{spent:>7.2f}")


if __name__ == "__main__":
    main()
