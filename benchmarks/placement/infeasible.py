"""Seconds of CPU until a plan says why not: a feasible fleet, and the same fleet made infeasible in several ways.

Usage: python benchmarks/placement/infeasible.py [SITES …]    (10 20 30 when none is given)

Fleets are generated; pipelines that lack anything are left out, so that everybody is served as declared. `no causes` is
the proof alone, `with causes` says of everybody why, with numbers and repairs; the ratio is to the feasible fleet,
`told` is of how many every cause was found.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from placement.engine import plan
from placement.explanation import alterations
from placement.explanation.supposition import with_rate, without_site
from placement.plan import Plan
from placement.problem import Problem, read_problem
from tools.fleets import write_fleet

SINCE, UNTIL = dt.date(2026, 12, 1), dt.date(2027, 2, 28)
BUSY = 8
"""By how much requests grow where there are to be too many."""


def feasible(count: int) -> Problem:
    """Return a generated fleet with the pipelines that are served as declared everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        write_fleet(Path(folder) / "fleet", count, 0)
        problem = read_problem(Path(folder) / "fleet", SINCE, UNTIL)
    made = plan(problem, is_explained=False)
    lacking = {one.id for one in made.unplaced} | {one.id for one in made.workloads if one.status == "degraded"}
    names = {name.partition("@")[0] for name in lacking}
    return replace(problem, pipelines={k: p for k, p in problem.pipelines.items() if p.name not in names})


def broken(problem: Problem, made: Plan) -> Iterator[tuple[str, Problem]]:
    """Yield the same fleet made infeasible, with the way in a few words."""
    busiest = max(made.pools, key=lambda pool: (pool.load, pool.site)).site
    yield f"{busiest} is lost", without_site(problem, busiest)
    yield "every objective a thousandth", _each(problem, lambda p, name: alterations.latency(name, 1000)(p))
    yield f"{BUSY} times the requests", _each(problem, lambda p, name: with_rate(p, name, Fraction(BUSY)))
    unapproved = {key: _candidate(problem, key) for key in list(problem.models)[::3]}
    yield "a third of the models not approved", replace(problem, models={**problem.models, **unapproved})
    policies = {tenant: _without_permits(problem, tenant) for tenant in problem.policies}
    yield "no permit of the organisation", replace(problem, policies=policies)


def _each(problem: Problem, change: Callable[[Problem, str], Problem]) -> Problem:
    for name in [pipeline.name for pipeline in problem.pipelines.values()]:
        problem = change(problem, name)
    return problem


def _candidate(problem: Problem, name: str) -> object:
    model = problem.models[name]
    return model.model_copy(update={"spec": model.spec.model_copy(update={"state": "candidate"})})


def _without_permits(problem: Problem, tenant: str) -> object:
    policy = problem.policies[tenant]
    rules = tuple(rule for rule in policy.spec.rules if rule.effect != "permit")
    return policy.model_copy(update={"spec": policy.spec.model_copy(update={"rules": rules})})


def timed(problem: Problem, *, is_explained: bool) -> tuple[float, Plan]:
    """Return the CPU seconds of a plan, and the plan."""
    begun = time.process_time()
    made = plan(problem, is_explained=is_explained)
    return time.process_time() - begun, made


def main() -> None:
    """Print the table."""
    head = f"{'sites':>5}  {'the fleet':<36}{'workloads':>9}{'lacking':>8}"
    print(f"{head}{'no causes':>10}{'with':>7}{'ratio':>7}{'told':>7}")
    for count in map(int, sys.argv[1:] or ("10", "20", "30")):
        problem = feasible(count)
        whole, made = timed(problem, is_explained=True)
        print(f"{count:5}  {'feasible':<36}{len(made.workloads):9}{0:8}{whole:10.2f}{whole:7.2f}{1:7.2f}{'':>7}")
        for what, worse in broken(problem, made):
            alone, _ = timed(worse, is_explained=False)
            took, then = timed(worse, is_explained=True)
            lacking = [*then.unplaced, *(one for one in then.workloads if one.status == "degraded")]
            whole_told = sum(one.causes_complete for one in lacking)
            row = f"{count:5}  {what:<36}{len(then.workloads) + len(then.unplaced):9}{len(lacking):8}"
            print(f"{row}{alone:10.2f}{took:7.2f}{took / whole:7.2f}{whole_told:7}", flush=True)


if __name__ == "__main__":
    main()
