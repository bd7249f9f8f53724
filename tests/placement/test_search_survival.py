"""A searched plan stands every loss: as the checker weighs it, and never better than the exact engine can do."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from placement.assembly import assemble
from placement.bound.lower import improvable
from placement.check import check
from placement.engine import places, plan
from placement.exact.engine import solve
from placement.exact.reach import is_small
from placement.explanation.causes import Reason
from placement.explanation.repairs import explanation
from placement.explanation.standing import Standing
from placement.instance import Instance, instance_of
from placement.plan import Plan
from placement.plan_reading import parse_plan
from placement.problem import KINDS, Problem, problem_of
from placement.search.compilation import compile_layout
from placement.search.decoding import decode, failures_of
from placement.search.engine import search
from placement.search.standing import stand
from placement.search.surviving import Survival
from placement.solution import Solution, tally
from placement.watch import Watch
from sites.fleet import Fleet, read_fleet
from sites.question import Window
from tests.support.placement import a_clinic, a_law, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.search_audit import weights
from tests.support.search_draw import Draw
from tests.support.sites import a_box, a_fleet, a_link, a_rule
from tools.fleets import write_fleet

WINDOW = Window(dt.date(2026, 12, 1), dt.date(2027, 2, 28))
WORK = 200_000
Shape = dict[str, Any]


def surviving(problem: Problem) -> Problem:
    """Return a problem in which every pipeline survives."""
    pipelines = {
        name: pipeline.model_copy(update={"spec": pipeline.spec.model_copy(update={"survive": 1})})
        for name, pipeline in problem.pipelines.items()
    }
    return replace(problem, pipelines=pipelines)


def searched(instance: Instance) -> Solution:
    """Return what a short search finds, faced with every loss; who is barred is called impossible."""
    compiled = compile_layout(instance.problem, instance.rulings)
    survival = Survival(compiled, instance, improvable)
    found = search(survival.narrowed(), work=WORK)
    stood = stand(survival, found.placing, found.packing, None, lambda: False)
    choices, packing = decode(compiled, instance, stood.placing, stood.packing)
    failures = failures_of(compiled, instance, stood.covers)
    total = tally(instance, choices, failures)
    packing = {key: places[: total.pools[key].replicas] for key, places in packing.items()}
    barred = frozenset(compiled.workloads[work] for work in survival.barred)
    return Solution(choices, packing, Fraction(0), False, stood.work, failures, "set", barred)


def written(instance: Instance, solution: Solution) -> Plan:
    lacking = {n for n in instance.workloads if n not in solution.choices or solution.choices[n].is_degraded}
    return assemble(instance, solution, {name: Reason("crowded", ()) for name in lacking}, "search")


def fleet_of(problem: Problem) -> Fleet:
    """Return the fleet that poses a problem."""
    nouns = (problem.sites, problem.pipelines, problem.models, problem.stores, problem.policies)
    return a_fleet(*(noun for each in nouns for noun in each.values()), given=tuple(problem.packs.values()))


def findings(document: Shape, fleet: Fleet) -> list[str]:
    return [f"{f.code} {f.workload} {f.subject}: {f.expected} / {f.found}" for f in check(document, fleet).findings]


@pytest.mark.parametrize("seed", range(30))
def test_a_drawn_problem_holds_after_every_loss_and_is_never_better_than_the_optimum(seed: int) -> None:
    problem = surviving(Draw(seed).problem())
    instance = instance_of(problem)
    found, best = searched(instance), solve(instance)
    assert best is not None
    assert findings(written(instance, found).to_json(), fleet_of(problem)) == []
    ours, proved = weights(instance, found.choices), weights(instance, best.choices)
    assert ours >= proved
    if best.is_proven and ours == proved:
        cost, least = (tally(instance, one.choices, one.failures).per_hour for one in (found, best))
        assert cost >= least * (1 - Fraction(1, 10**6))
    assert found.impossible is not None
    assert found.impossible.isdisjoint(best.choices)


@cache
def survivors_of_sixty() -> Fleet:
    """Return a generated fleet of sixty sites, too many to prove, in which every pipeline survives."""
    with TemporaryDirectory() as root:
        directory = Path(root) / "fleet"
        write_fleet(directory, 60, 3)
        for path in (directory / "pipelines").glob("*.yaml"):
            path.write_text(path.read_text().replace("\nspec:\n", "\nspec:\n  survive: 1\n"))
        return read_fleet(directory, KINDS)


@cache
def planned() -> bytes:
    problem = problem_of(survivors_of_sixty(), WINDOW)
    assert not is_small(problem)
    return plan(problem).to_bytes()


def test_the_plan_of_a_fleet_holds_as_a_whole_after_every_loss() -> None:
    document = json.loads(planned())
    assert findings(document, survivors_of_sixty()) == []
    assert len(document["failures"]) > 20
    kept = {entry["id"] for failure in document["failures"] for entry in failure["workloads"]}
    assert len(kept) > 40


def test_two_processes_plan_the_same_bytes() -> None:
    program = "from tests.placement.test_search_survival import digest; print(digest())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == digest()


def digest() -> str:
    return hashlib.sha256(planned()).hexdigest()


def reserved(document: Shape) -> Shape:
    """Return a pool with more replicas than it needs while nothing is lost."""
    pools = document["pools"]
    return next(pool for pool in pools if pool["utilisation"] * pool["replicas"] <= 0.7 * (pool["replicas"] - 1))


def has_one_less(pool: Shape) -> None:
    name, node = next(iter(pool["nodes"].items()))
    node["replicas"] -= 1
    node["accelerators"] = node["accelerators"][1:]
    pool["replicas"] -= 1
    if not node["replicas"]:
        del pool["nodes"][name]


def a_failure(document: Shape) -> Shape:
    return next(failure for failure in document["failures"] if len(failure["workloads"]) > 1)


BROKEN: dict[str, tuple[str, Callable[[Shape], Any]]] = {
    "a reserved replica is gone": ("invariant/15", lambda plan: has_one_less(reserved(plan))),
    "it is on no node": ("plan/nodes", lambda plan: reserved(plan).update(nodes={})),
    "a failure is not listed": ("invariant/15", lambda plan: plan["failures"].remove(a_failure(plan))),
    "somebody is left out of one": ("invariant/15", lambda plan: a_failure(plan)["workloads"].pop()),
    "somebody stays where the loss is": ("invariant/15", lambda plan: a_failure(plan)["workloads"][0].update(
        assignments=next(entry for entry in plan["workloads"] if entry["id"] == a_failure(plan)["workloads"][0]["id"])[
            "assignments"])),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_taken_from_what_was_reserved_is_named(name: str) -> None:
    code, breaks = BROKEN[name]
    document = json.loads(planned())
    breaks(document)
    assert code in {finding.code for finding in check(document, survivors_of_sixty()).findings}


def a_coast(*links: str, box: Any = (), law: Any = None, **spec: Any) -> Problem:
    """Return a clinic, without machines unless some are given, that is wired to some of two regions."""
    between = {"mode": "connected", "links": [a_link("dc")]}
    ana = a_clinic("ana", links=list(links), hardware=list(box))
    mail = a_pipeline(**{"survive": 1, **spec})
    return a_problem(ana, a_region("dc"), a_region("dd", connectivity=between), a_model(), mail, law=law)


def test_who_may_lose_its_only_wire_is_impossible() -> None:
    found = searched(instance_of(a_coast("dc")))
    assert (found.choices, found.impossible) == ({}, {"mail@ana"})


def test_who_has_two_is_served_after_either_is_lost() -> None:
    found = searched(instance_of(a_coast("dc", "dd")))
    (home,) = {option.site for option in found.choices["mail@ana"].options.values()}
    assert [str(failure.loss) for failure in found.failures] == [f"link:ana--{home}", f"site:{home}"]
    assert [len(places) for places in found.packing.values()] == [1, 1]


def test_who_has_machines_of_its_own_keeps_off_its_only_wire() -> None:
    dear = [a_box(price="9 EUR/h")]
    free, tied = (searched(instance_of(a_coast("dc", box=dear, survive=survive))) for survive in (0, 1))
    assert {option.site for option in free.choices["mail@ana"].options.values()} == {"dc"}
    assert {option.site for option in tied.choices["mail@ana"].options.values()} == {"ana"}
    assert tied.failures == ()


def test_a_fleet_that_has_not_changed_keeps_its_plan() -> None:
    problem = problem_of(survivors_of_sixty(), WINDOW)
    before = parse_plan(planned())
    after = plan(problem, current=before)
    assert places(after) == places(before)
    assert [entry.id for entry in after.unplaced] == [entry.id for entry in before.unplaced]


def test_who_says_stop_gets_a_plan_that_stands() -> None:
    problem = problem_of(survivors_of_sixty(), WINDOW)
    stopped = plan(problem, watch=Watch(is_stopped=True))
    assert findings(stopped.to_json(), survivors_of_sixty()) == []


def test_where_nobody_may_stand_in_nobody_survives() -> None:
    law = a_law(a_rule("lawful"), a_rule("stays", "prohibit", activities=["failover"]))
    found = searched(instance_of(a_coast("dc", "dd", law=law)))
    assert (found.choices, found.impossible) == ({}, frozenset())


def test_who_needs_a_fallback_to_survive_is_degraded_not_out() -> None:
    quote = {"name": "quote", "task": "quote", "after": ["input"], "output": "1KiB"}
    draft = a_stage("draft", fallback=["quote"])
    problem = a_problem(
        a_clinic("ana", links=["dc"], hardware=[]), a_region("dc"), a_model(),
        a_pipeline("mail", draft, fallbacks=[quote], survive=1),
    )  # fmt: skip
    found, best = searched(instance_of(problem)), solve(instance_of(problem))
    assert best is not None
    assert found.choices.keys() == best.choices.keys() == {"mail@ana"}
    assert found.choices["mail@ana"].is_degraded
    assert best.choices["mail@ana"].is_degraded


def test_of_a_survivor_the_causes_that_can_be_decided_are_told() -> None:
    """The solver would take minutes for each trial in a fleet of this size; the oracle decides those without losses."""
    sites = [a_clinic(f"clinic-{index:02}", links=["dc"]) for index in range(40)]
    big = a_model("big", a_variant(needs={"cpus": 40}))
    problem = a_problem(*sites, a_region(), big, a_pipeline("mail", a_stage(models=["big"]), survive=1))
    made = plan(problem)
    assert {lacking.kind for lacking in made.unplaced} == {"impossible"}
    assert len(made.unplaced) == 40
    name = made.unplaced[0].id
    found = explanation(Standing(problem, made).court(name), name, made.unplaced[0].kind)
    assert found.kind == "impossible"
    assert ("survive",) in found.causes
    assert not found.is_complete
