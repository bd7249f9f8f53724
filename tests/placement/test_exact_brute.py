"""The exact engine against everything tried, on tiny problems that bind in every dimension."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.exact.engine import solve
from placement.instance import instance_of
from placement.problem import Problem
from placement.solution import tally
from sites.noun import Noun
from tests.support.placement import a_clinic, a_knowledge, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.placement_brute import Best, Brute
from tests.support.sites import a_box, a_link, a_policy, a_rule

MOST_PLANS = 6000


def exact_best(problem: Problem) -> Best:
    """Return the goals' values of what the exact engine finds."""
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    missing = [w.priority for name, w in instance.workloads.items() if name not in solution.choices]
    down = [instance.workloads[name].priority for name, c in solution.choices.items() if c.is_degraded]
    return Best(sum(missing), sum(down), tally(instance, solution.choices, solution.failures).per_hour)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw two or three sites, a pipeline of one to three stages, and limits near what they need."""

    def pick(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    link = a_link("dc", bandwidth=pick("20Mbit/s", "30kbit/s"), rtt=pick("10ms", "400ms"), price="2 EUR/GB")
    quick = a_variant(needs={"cpus": pick(1, 5), "memory": pick("1GiB", "20GiB")})
    speed = [{"hardware": "x86_64", "service": "900ms", "throughput": pick("1/s", "0.6/s")}]
    slow = a_variant("slow", needs={"cpus": 0.5, "disk": "300GiB"}, speed=speed, quality={})
    variants = [quick, slow] if draw(st.booleans()) else [quick]
    share = [{"hardware": "l4", "service": "60ms", "throughput": pick("0.8/s", "20/s")}]
    big = a_variant(needs={"cpus": 1, "accelerator": pick("3/8", "1/2", "5/8")}, speed=share)
    devices = {"kind": "l4", "count": pick(1, 2), "memory": "24GiB"}
    rack = a_box(name="rack", count=pick(1, 2), cpus=4, accelerators=devices)
    box = a_box(cpus=pick(2, 8), memory=pick("32GiB", "2GiB"), disk=pick("500GiB", "1GiB"))
    mode = pick("connected", "connected", "intermittent")
    nouns: list[Noun] = [
        a_clinic("ana", links=[link], mode=mode, hardware=[box]),
        a_region("dc", pick("FR", "US"), hardware=[rack]),
        a_model("small", *variants), a_model("encoder", *variants, task="embed"), a_model("big", big),
        a_knowledge(sites=pick({}, {"role": "clinic"})), _pipeline(draw, pick),
    ]  # fmt: skip
    if draw(st.booleans()):
        nouns.append(a_clinic("bo", mode=pick("disconnected", "connected")))
    if draw(st.booleans()):
        near = a_rule("near", "require", countries=["EU"], activities=["process"])
        nouns.append(a_policy(a_rule(), near, packs=["law"]))
    return a_problem(*nouns)


def _pipeline(draw: st.DrawFn, pick: Any) -> Noun:
    stages = [a_stage("one", share=pick(1.0, 0.3), quality=pick({}, {"accuracy": 0.5}))]
    fallbacks = []
    if draw(st.booleans()):
        after, late = pick(["input"], ["one"], ["input", "one"]), {"async": pick(False, False, True)}
        stages.append(a_stage("two", models=["big"], after=after, fallback=["quote"], **late))
        fallbacks.append({"name": "quote", "task": "quote", "after": pick(["input"], ["one"]), "output": "1KiB"})
    if draw(st.booleans()):
        reads = {"task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
        stages.append(a_stage("recall", after=pick(["input"], ["one"]), answer=pick(True, False), **reads))
    limit = pick({}, {"latency": "150ms"}, {"latency": "1s"})
    size = {"size": pick("2KiB", "1MB")}
    rate, used = pick("0.5/s", "7/s"), pick(0.7, 0.5)
    return a_pipeline("mail", *stages, fallbacks=fallbacks, rate=rate, utilisation=used, input=size, **limit)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(problems())
def test_exact_finds_what_trying_everything_finds(problem: Problem) -> None:
    brute = Brute(problem)
    if brute.count() > MOST_PLANS:
        return
    found, best = exact_best(problem), brute.best()
    assert found[:2] == best[:2]
    assert abs(found.cost - best.cost) <= best.cost / 10**6


def test_two_origins_share_a_replica_that_none_would_pay_for_alone() -> None:
    speed = [{"hardware": "x86_64", "service": "50ms", "throughput": "10/s"}]
    own = a_variant("own", needs={"cpus": 4}, speed=speed)
    nouns = [a_model("small", own), a_region(price="2 EUR/h"), a_pipeline()]
    problem = a_problem(a_clinic("ana", links=["dc"]), a_clinic("bo", links=["dc"]), *nouns)
    assert exact_best(problem) == Brute(problem).best()


def test_when_not_all_fit_the_heavier_priority_is_served() -> None:
    tight = a_box(cpus=1)
    light, heavy = a_pipeline("light"), a_pipeline("heavy", a_stage(models=["other"]), priority=2.5)
    problem = a_problem(a_clinic(hardware=[tight]), a_model("small"), a_model("other"), light, heavy)
    assert exact_best(problem) == Brute(problem).best()
    assert exact_best(problem).unplaced == 1
