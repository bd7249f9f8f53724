"""Rules of places, splitting and survival: the exact engine against everything tried, and judged plan by plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.check import check as checked
from placement.exact.engine import solve
from placement.instance import instance_of
from placement.problem import Problem
from placement.solution import Choice, Solution
from sites.noun import Noun
from sites.policy import Policy
from tests.placement.test_exact_brute import exact_best
from tests.placement.test_properties import planned
from tests.support.placement import a_clinic, a_law, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.placement_brute import Best, Spot
from tests.support.placement_brute_losses import BruteLosses, Lost, Task
from tests.support.sites import a_box, a_fleet, a_link, a_policy, a_rule

MOST_PLANS = 800
QUOTE = {"name": "quote", "task": "quote", "after": ["input"], "output": "1KiB"}
LIMITS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


def judged(brute: BruteLosses, solution: Solution) -> Best:
    """Return what somebody else finds a solution to be worth; AssertionError where it breaks a rule."""

    def parts(task: Task, choice: Choice, lost: Lost = ()) -> list[Any]:
        return [(part.fraction, brute.way(task, {n: Spot(*o.key[:4]) for n, o in part.options.items()}, lost))
                for part in choice.parts]  # fmt: skip

    tasks = {task.id: task for task in brute.tasks}
    normal = {name: parts(tasks[name], choice) for name, choice in solution.choices.items()}
    failures = {
        failure.loss.lost: {
            name: parts(tasks[name], choice, failure.loss.lost) for name, choice in failure.choices.items()
        }
        for failure in solution.failures
    }
    return brute.judged(normal, failures)


@st.composite
def fleets(draw: st.DrawFn, rules: dict[str, Any]) -> list[Noun]:
    """Draw one or two clinics and two regions that can stand in for each other, with limits near what is needed."""

    def pick(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    speed = [{"hardware": "x86_64", "service": "50ms", "throughput": pick("10/s", "0.6/s", "0.37/s")}]
    slow = [{"hardware": "x86_64", "service": "400ms", "throughput": "1/s"}]
    variants = [a_variant(speed=speed), a_variant("slow", speed=slow, needs={"cpus": 0.5})]
    wires = [
        a_link("dc", bandwidth=pick("20Mbit/s", "30kbit/s")),
        a_link("dd", rtt=pick("5ms", "80ms"), price="1 EUR/GB"),
    ]
    between = pick([], [a_link("dd", rtt="30ms")], [a_link("dd", rtt="1ms")])
    nouns: list[Noun] = [
        a_clinic("ana", links=wires[: pick(1, 2, 2, 2)], hardware=pick([], [], [a_box(cpus=pick(1, 2))])),
        a_region("dc", pick("FR", "DE"), hardware=[a_box(name="rack", cpus=pick(1, 2, 8), count=pick(1, 2))],
                 connectivity={"mode": "connected", "links": between}),
        a_region("dd", pick("FR", "FR", "DE", None), price=pick("0.4 EUR/h", "0.9 EUR/h"),
                 taints=pick([], [], [{"name": "moved", "reason": "being moved in May"}])),
        a_model("small", *variants[: pick(1, 2)]),
    ]  # fmt: skip
    if draw(st.booleans()):
        nouns.append(a_clinic("bo", links=[a_link("dd")], hardware=pick([], [a_box(cpus=1)])))
    if pick(True, False, False, False):
        near = a_rule("near", "require", countries=[pick("DE", "FR")], activities=["failover"])
        nouns.append(a_policy(a_rule(), near, packs=["law"]))
    if not any(isinstance(noun, Policy) for noun in nouns):
        nouns.append(a_policy(packs=["law"]))
    return [*nouns, _pipeline(draw, pick, rules)]


def problems(rules: dict[str, Any]) -> st.SearchStrategy[Problem]:
    """Return a strategy of problems with these fields of their pipeline."""
    return fleets(rules).map(lambda nouns: a_problem(*nouns))


def _pipeline(draw: st.DrawFn, pick: Any, rules: dict[str, Any]) -> Noun:
    pin = pick({}, {}, {"sites": ["dc", "dd"]}, {"sites": {"role": "region"}})
    stages, fallbacks = [a_stage("one", fallback=pick([], ["quote"]), **pin)], [QUOTE]
    spec: dict[str, Any] = {"rate": pick("0.5/s", "1.3/s"), "tolerates": pick(["moved"], ["moved"], []), **rules}
    if draw(st.booleans()):
        stages.append(a_stage("two", after=["one"], output="1KiB"))
        spec["apart"] = pick([], [{"stages": ["one", "two"], "by": pick("site", "country", "operator")}])
    spec["spread"] = pick([], [], [{"stage": "one", "by": pick("site", "country"), "most": pick(0.5, 0.7, 0.333)}])
    limit = pick({}, {"latency": "180ms"})
    return a_pipeline("mail", *stages, fallbacks=fallbacks, input={"size": pick("2KiB", "100KB")}, **spec, **limit)


def check(problem: Problem) -> tuple[Best, Best] | None:
    """Return what the engine and what trying everything reach; None when there is too much to try."""
    brute = BruteLosses(problem)
    if brute.count() > MOST_PLANS:
        return None
    solution = solve(instance_of(problem))
    assert solution is not None
    found = exact_best(problem)
    assert judged(brute, solution) == found
    return found, brute.best()


@settings(max_examples=60, **LIMITS)
@given(problems({}))
def test_places_are_ruled_as_trying_everything_says(problem: Problem) -> None:
    both = check(problem)
    if both is not None:
        found, best = both
        assert found[:2] == best[:2]
        assert abs(found.cost - best.cost) <= best.cost / 10**6


@settings(max_examples=50, **LIMITS)
@given(problems({"survive": 1}))
def test_survival_costs_what_trying_every_failure_says(problem: Problem) -> None:
    both = check(problem)
    if both is not None:
        found, best = both
        assert found[:2] == best[:2]
        assert abs(found.cost - best.cost) <= best.cost / 10**6


@settings(max_examples=12, **LIMITS)
@given(problems({"split": True, "survive": 1}))
def test_what_is_split_and_survives_breaks_no_rule(problem: Problem) -> None:
    solution = solve(instance_of(problem))
    assert solution is not None
    assert judged(BruteLosses(problem), solution) == exact_best(problem)


@settings(max_examples=40, **LIMITS)
@given(problems({"split": True}))
def test_a_split_is_no_dearer_than_the_best_in_two_parts(problem: Problem) -> None:
    """Three parts may be cheaper than two, and two workloads may be split at once; none breaks a rule."""
    both = check(problem)
    if both is not None:
        found, best = both
        assert found[:2] <= best[:2]
        if found[:2] == best[:2]:
            assert found.cost <= best.cost * (1 + 1 / 10**6)


@settings(max_examples=40, **LIMITS)
@given(st.sampled_from([{}, {"survive": 1}, {"split": True}]).flatmap(fleets))
def test_the_independent_checker_finds_nothing_wrong(nouns: list[Noun]) -> None:
    made = planned(a_problem(*nouns)).to_json()
    fleet = a_fleet(*nouns, given=(a_law(),), root=Path("fleet"))
    assert checked(made, fleet).findings == ()
