"""Causes are minimal, numbers are tight, repairs suffice: each asked again of the exact engine, which found none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.engine import plan
from placement.exact.engine import solve
from placement.explanation.causes import minimal_sets
from placement.explanation.change import AS_IT_IS, Change, without
from placement.explanation.court import Bench, Court, pinned
from placement.explanation.families import LEVERS, UNTOUCHED, levers, of_rate
from placement.explanation.levers import Lever, turn
from placement.explanation.relaxations import RELAXATIONS
from placement.explanation.repairs import explanation, numbered
from placement.instance import instance_of
from placement.plan import UnplacedPlan
from placement.plan_reading import parse_plan
from placement.problem import Problem
from placement.solution import tally
from tests.placement import test_exact_places as places
from tests.placement.test_exact_brute import problems
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.search_draw import Draw
from tests.support.sites import a_box, a_link, a_policy, a_rule

LAWS = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


def court_of(problem: Problem) -> Court:
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    return Court(instance, solution.choices, solution.failures)


def lacking(court: Court) -> list[str]:
    return [n for n in court.instance.workloads if n not in court.choices or court.choices[n].is_degraded]


def would_be_placed(court: Court, name: str, change: Change, *, is_alone: bool) -> bool:
    """Ask the exact engine, the others held where they are."""
    changed = instance_of(change.of(court.instance.problem))
    own = changed.workloads[name]
    own = replace(own, graphs=own.graphs[:1] if name in court.choices else own.graphs)
    own = own if change.rate is None else replace(own, rate=change.rate)
    others = {} if is_alone else {n: pinned(changed.workloads[n], c) for n, c in court.choices.items() if n != name}
    return (
        solve(replace(changed, workloads=dict(sorted({**others, name: own}.items()))), must={name, *others}) is not None
    )


@st.composite
def crowds(draw: st.DrawFn) -> Problem:
    """Draw three pipelines at two clinics that want more than there is."""

    def pick(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    link = a_link("dc", bandwidth=pick("20Mbit/s", "60kbit/s"), rtt=pick("10ms", "400ms"))
    box = a_box(cpus=pick(1, 2, 3), memory=pick("2GiB", "8GiB"), count=pick(1, 2))
    rack = a_box(name="rack", cpus=pick(2, 4), count=1, price="2 EUR/h")
    near = a_rule("near", "require", countries=["FR"], activities=["process"])
    pipelines = [
        a_pipeline(
            name, a_stage("one", models=[name], quality=pick({}, {"accuracy": 0.95})),
            rate=pick("0.5/s", "15/s"), priority=pick(1, 2), latency=pick("90ms", "2s"),
        )
        for name in ("calls", "mail", "scans")
    ]  # fmt: skip
    best = a_variant("best", needs={"cpus": 2, "memory": "3GiB"}, quality={"accuracy": 0.97})
    models = [
        a_model(name, a_variant(), *([best] if draw(st.booleans()) else [])) for name in ("calls", "mail", "scans")
    ]
    policy = a_policy(a_rule(), *([near] if draw(st.booleans()) else []), packs=["law"])
    return a_problem(
        a_clinic("ana", links=[link], hardware=[box]), a_clinic("bo", "DE", links=["dc"], hardware=[]),
        a_region("dc", pick("FR", "US"), hardware=[rack], serves=pick("any", "own")), *models, *pipelines, policy,
    )  # fmt: skip


PLACES = st.sampled_from([{}, {"survive": 1}, {"split": True}]).flatmap(places.problems)
"""Problems with pins, taints, domains to keep apart and to spread over, losses to survive and parts to divide into."""


@LAWS
@given(st.one_of(problems(), crowds(), PLACES))
def test_each_cause_is_enough_and_no_part_of_it_is(problem: Problem) -> None:
    causes_hold(court_of(problem))


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_causes_hold_in_fleets_in_which_every_filter_refuses_something(seed: int) -> None:
    causes_hold(court_of(Draw(seed).problem()))


def causes_hold(court: Court) -> None:
    """Assert that every cause of everybody is enough and minimal, by the exact engine."""
    for name in lacking(court):
        found = explanation(court, name)
        alone = found.kind == "impossible"
        assert would_be_placed(court, name, AS_IT_IS, is_alone=True) != alone
        assert found.is_complete
        for cause in found.causes:
            assert would_be_placed(court, name, without(cause), is_alone=alone), cause
            for gone in cause:
                fewer = without(family for family in cause if family != gone)
                assert not would_be_placed(court, name, fewer, is_alone=alone), (cause, gone)


@LAWS
@given(st.one_of(problems(), crowds()))
def test_each_repair_is_enough_beside_the_others_costs_what_it_says_and_leaves_the_law_alone(problem: Problem) -> None:
    court = court_of(problem)
    for name in lacking(court):
        beside = court.bench(name, is_alone=False)
        found = explanation(court, name)
        changes = {c.text: c for cause in found.causes for c in numbered(beside, cause).changes}
        changes |= {c.text: c for c in turn(beside, AS_IT_IS, [of_rate(beside)])}
        for repair in found.repairs:
            change = changes.get(repair.change)
            if change is None:  # a number that is least alone, and enough beside the others too
                continue
            assert not change.legal
            assert would_be_placed(court, name, change, is_alone=False), repair.change
            assert repair.per_hour == pytest.approx(dearer(court, name, change), abs=1e-6)


def dearer(court: Court, name: str, change: Change) -> float:
    """Return what the plan costs more with a change, by the exact engine with the others held."""
    changed = instance_of(change.of(court.instance.problem))
    own = changed.workloads[name]
    own = replace(own, graphs=own.graphs[:1] if name in court.choices else own.graphs)
    own = own if change.rate is None else replace(own, rate=change.rate)
    held = {n: pinned(changed.workloads[n], c) for n, c in court.choices.items() if n != name}
    after = solve(replace(changed, workloads=dict(sorted({**held, name: own}.items()))), must={name, *held})
    assert after is not None
    with_rate = replace(changed, workloads={**changed.workloads, name: own})
    cost = tally(with_rate, after.choices).per_hour - tally(court.instance, court.choices).per_hour
    return float(cost)


@LAWS
@given(st.one_of(problems(), crowds()))
def test_each_number_is_enough_and_a_step_less_is_not(problem: Problem) -> None:
    court = court_of(problem)
    for name in lacking(court):
        found = explanation(court, name)
        alone = found.kind == "impossible"
        bench = court.bench(name, is_alone=alone)
        for cause in (cause for cause in found.causes if len(cause) == 1):
            for lever in levers(bench, cause[0], AS_IT_IS):
                value = least(bench, lever)
                if value is not None:
                    assert would_be_placed(court, name, lever.to(value), is_alone=alone), cause
                    assert value == lever.now + 1 or not would_be_placed(
                        court, name, lever.to(value - 1), is_alone=alone
                    ), cause


def least(bench: Bench, lever: Lever) -> int | None:
    """Return the value to which a lever is turned; None when even its most is not enough."""
    turned: list[int] = []

    def to(value: int) -> Change:
        turned.append(value)
        return lever.to(value)

    return turned[-1] if turn(bench, AS_IT_IS, [replace(lever, to=to)]) else None


def unplaced(*nouns: Any) -> UnplacedPlan:
    (found,) = plan(a_problem(*nouns)).unplaced
    return found


def test_the_latency_that_just_suffices_is_said() -> None:
    clinic = a_clinic(links=[a_link("dc", rtt="400ms")], hardware=[])
    found = unplaced(clinic, a_region(), a_model(), a_pipeline(latency="90ms"))
    assert (("latency",), ("latency >= 509.3 ms",)) in list(zip(found.causes, found.numbers, strict=True))
    assert [r.change for r in found.repairs] == ["latency >= 509.3 ms"]


def test_the_rate_that_just_suffices_is_a_repair_and_so_are_more_nodes() -> None:
    found = unplaced(a_clinic(hardware=[a_box(cpus=1)]), a_model(), a_pipeline(rate="14/s"))
    assert dict(zip(found.causes, found.numbers, strict=True)) == {
        ("capacity",): ("1 more node of box at clinic",),
        ("hardware:cpus",): ("2 cpus on each node of box at clinic",),
    }
    assert [(r.change, r.cost_per_hour) for r in found.repairs] == [
        ("rate <= 7/s", 0.11), ("1 more node of box at clinic", 0.22), ("2 cpus on each node of box at clinic", 0.22),
    ]  # fmt: skip


def test_the_floor_of_quality_that_just_suffices_is_that_of_the_best_variant() -> None:
    found = unplaced(a_clinic(), a_model(), a_pipeline("mail", a_stage(quality={"accuracy": 0.95})))
    assert found.numbers == (("quality accuracy <= 0.9 at triage",),)


def test_the_bandwidth_that_just_suffices_is_said_with_its_wire() -> None:
    clinic = a_clinic(links=[a_link("dc", bandwidth="10kbit/s")], hardware=[])
    found = unplaced(clinic, a_region(), a_model(), a_pipeline())
    assert found.causes == (("hardware:none",), ("link:bandwidth",))
    assert found.numbers[1:] == (("bandwidth >= 12 kbit/s on clinic--dc",),)


def test_an_accelerator_is_asked_for_like_one_that_the_fleet_has_and_where() -> None:
    gpu = a_box(name="gpu", accelerators={"kind": "l4", "count": 1, "memory": "24GiB"}, price="2 EUR/h")
    speed = [{"hardware": "l4", "service": "9ms", "throughput": "9/s"}]
    big = a_model("small", a_variant(needs={"accelerator": "1/2"}, speed=speed))
    elsewhere = a_region("far", serves="own", hardware=[gpu])
    found = unplaced(a_clinic(), elsewhere, big, a_pipeline())
    assert ("hardware:accelerator",) in found.causes
    words = dict(zip(found.causes, found.numbers, strict=True))["hardware:accelerator",]
    assert words == ("1 node like gpu of far (1 x l4, 24 GiB of accelerator memory each) at clinic",)


def test_nothing_proposes_to_relax_the_law() -> None:
    near = a_policy(a_rule(), a_rule("near", "require", countries=["FR"]), packs=["law"])
    clinic = a_clinic(links=["dc"], hardware=[])
    found = unplaced(clinic, a_region("dc", "US"), a_model(), a_pipeline(), near)
    assert ("residency:org/near",) in found.causes
    words = dict(zip(found.causes, found.numbers, strict=True))
    assert words["residency:org/near",] == ("a rule of law, not a number: see its price",)
    assert not any("near" in repair.change for repair in found.repairs)


def test_pins_and_taints_are_lifted_where_they_stand() -> None:
    taint = [{"name": "moving", "reason": "out in May"}]
    pinned_stage = a_stage(sites=["dc"])
    found = unplaced(a_clinic(links=["dc"]), a_region(taints=taint), a_model(), a_pipeline("mail", pinned_stage))
    words = dict(zip(found.causes, found.numbers, strict=True))
    assert words["pin:triage",] == ("triage not pinned away from clinic",)
    assert words["taint:moving",] == ("dc without its taint moving",)


def test_what_is_not_decided_is_said() -> None:
    found = minimal_sets(list("abcdefgh"), lambda trial: len(trial) >= 3, most=20)
    assert not found.is_complete
    assert minimal_sets(list("abcd"), lambda trial: len(trial) >= 3).is_complete


def test_a_plan_with_numbers_reads_back() -> None:
    made = plan(a_problem(a_clinic(hardware=[a_box(cpus=1)]), a_model(), a_pipeline(rate="14/s")))
    assert parse_plan(made.to_bytes()) == parse_plan(parse_plan(made.to_bytes()).to_bytes())
    assert made.to_json()["unplaced"][0]["numbers"] == [
        ["1 more node of box at clinic"],
        ["2 cpus on each node of box at clinic"],
    ]


def test_every_family_has_a_lever_or_protects_data() -> None:
    kinds = {kind.partition(":")[0] for kind in LEVERS}
    assert kinds | set(UNTOUCHED) == set(RELAXATIONS)
    assert not kinds & set(UNTOUCHED)


def test_the_price_of_a_repair_is_for_everybody_else_where_they_are() -> None:
    court = court_of(a_problem(a_clinic(hardware=[a_box(cpus=1)]), a_model(), a_pipeline(rate="14/s")))
    bench = court.bench("mail@clinic", is_alone=False)
    change = turn(bench, AS_IT_IS, [of_rate(bench)])[0]
    way = bench.best(change)
    assert way is not None
    assert bench.dearer(change, way) == Fraction(11, 100)
