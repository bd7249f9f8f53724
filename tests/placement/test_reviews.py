"""What a changed fleet does to a plan, what a supposition forces, what each rule costs: on fleets worked by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from placement.assembly import assemble
from placement.engine import plan
from placement.errors import PlacementError
from placement.exact.engine import solve
from placement.explanation.path import path_of
from placement.explanation.review import Review, review
from placement.explanation.standing import Standing
from placement.explanation.supposition import (
    with_nodes,
    with_prices,
    with_rate,
    without_instrument,
    without_link,
    without_model,
    without_permit,
    without_site,
    without_waivers,
)
from placement.explanation.why import why_not
from placement.instance import instance_of
from placement.prices import Priced, prices
from placement.problem import Problem
from placement.solution import latency_us
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage
from tests.support.sites import a_box, a_link, a_policy, a_rule

NEAR = a_rule("near", "require", countries=["FR"], activities=["process"])


def a_choice(*rules: dict[str, Any], clinic_price: str = "1 EUR/h", **policy: Any) -> Problem:
    """Return a dear clinic in France with a cheap region overseas, and one stage that may run at either."""
    clinic = a_clinic(links=["dc"], hardware=[a_box(price=clinic_price)])
    home = a_policy(a_rule(), *rules, packs=["law"], **policy)
    return a_problem(clinic, a_region("dc", "US", price="0.64 EUR/h"), a_model(), a_pipeline(), home)


def reviewed(before: Problem, after: Problem) -> Review:
    made = plan(before)
    return review(made, plan(after, current=made), instance_of(after))


def test_a_stricter_policy_shows_what_becomes_illegal_moves_and_gets_dearer() -> None:
    found = reviewed(a_choice(), a_choice(NEAR))
    stages = [one for one in found.illegal if "->" not in one.part]
    assert [(one.workload, one.part, one.at, one.rules) for one in stages] == [
        ("mail@clinic", "triage", "dc", ("residency:org/near",))
    ]
    assert found.difference is not None
    assert [(move.before.split()[0], move.after.split()[0]) for move in found.difference.moves] == [("dc", "clinic")]
    assert found.difference.cost_after > found.difference.cost_before
    assert found.forced >= {"mail@clinic/triage"}
    assert not found.worse
    assert any("cannot stay at dc: residency:org/near" in line for line in found.lines())


def test_a_policy_that_changes_nothing_says_so() -> None:
    found = reviewed(a_choice(NEAR), a_choice(NEAR, a_rule("more")))
    assert not found.illegal
    assert not found.difference


def test_legality_alone_needs_no_second_plan() -> None:
    found = review(plan(a_choice()), None, instance_of(a_choice(NEAR)))
    assert found.illegal
    assert found.difference is None
    assert set(found.to_json()) == {"illegal"}


def test_who_is_unplaced_by_a_policy_fares_worse() -> None:
    before = a_problem(a_clinic(links=["dc"], hardware=[]), a_region("dc", "US"), a_model(), a_pipeline(),
                       a_policy(a_rule(), packs=["law"]))  # fmt: skip
    after = a_problem(a_clinic(links=["dc"], hardware=[]), a_region("dc", "US"), a_model(), a_pipeline(),
                      a_policy(a_rule(), NEAR, packs=["law"]))  # fmt: skip
    assert reviewed(before, after).worse == ("mail@clinic",)


# suppositions


def test_a_lost_site_and_a_lost_link_force_the_same_move() -> None:
    for then in (without_site(a_choice(), "dc"), without_link(a_choice(), "clinic--dc")):
        found = reviewed(a_choice(), then)
        assert found.difference is not None
        assert [move.after.split()[0] for move in found.difference.moves] == ["clinic"]


def test_a_price_moves_nothing_that_need_not_and_is_told() -> None:
    found = reviewed(a_choice(), with_prices(a_choice(), "dc", Fraction(100)))
    assert found.difference is not None
    assert found.difference.moves == ()
    assert [one.workload for one in found.recosted] == ["mail@clinic"]


def test_rates_nodes_models_and_permits_can_be_supposed() -> None:
    problem = a_choice()
    made = plan(problem)
    assert plan(with_rate(problem, "mail", Fraction(40))).pools[0].load == made.pools[0].load * 40
    assert with_nodes(problem, "dc", 2).sites["dc"].spec.hardware[0].count == 3
    assert with_nodes(problem, "dc", -1).sites["dc"].spec.hardware == ()
    for then in (without_model(problem, "small"), without_permit(problem, "org/allow")):
        assert [w.id for w in plan(then).unplaced] == ["mail@clinic"]


def test_an_instrument_that_falls_takes_its_transfers_with_it() -> None:
    ship = {
        "type": "scc",
        "exporter": "clinic",
        "importer": "dc",
        "data": "system",
        "from": "2026-01-01",
        "until": "2027-12-31",
    }
    by_scc = a_policy(
        a_rule("home", countries=["FR"]), a_rule("scc", instrument=["scc"]), packs=["law"], instruments=[ship]
    )
    clinic = a_clinic(links=["dc"], hardware=[])
    problem = a_problem(clinic, a_region("dc", "US"), a_model(), a_pipeline(), by_scc)
    assert [w.id for w in plan(without_instrument(problem, "scc")).unplaced] == ["mail@clinic"]
    with pytest.raises(PlacementError, match="no instrument of type 'bcr'"):
        without_instrument(problem, "bcr")


@pytest.mark.parametrize(
    ("suppose", "name"),
    [(without_site, "moon"), (without_link, "clinic--moon"), (without_model, "huge"), (without_permit, "org/none")],
)
def test_what_is_not_there_cannot_be_supposed_away(suppose: Any, name: str) -> None:
    with pytest.raises(PlacementError, match="no "):
        suppose(a_choice(), name)


def test_waivers_end() -> None:
    waiver = {"rule": "near", "reason": "until March", "by": "Board (example)", "until": "2027-12-31"}
    problem = a_choice(NEAR, waivers=[waiver])
    assert plan(problem).pools[0].site == "dc"
    assert plan(without_waivers(problem)).pools[0].site == "clinic"


# prices of rules


def priced(problem: Problem) -> dict[str, Priced]:
    return {one.rule: one for one in prices(problem)}


def test_a_rule_costs_what_the_best_plan_without_it_saves_in_a_month() -> None:
    here, there = plan(a_choice(NEAR)).cost.per_hour, plan(a_choice()).cost.per_hour
    found = priced(a_choice(NEAR))["residency:org/near"]
    assert found.kind == "organisation"
    assert found.per_month == pytest.approx(730 * (here - there), abs=1e-3)
    assert not found.is_estimate


def test_a_rule_that_keeps_somebody_from_being_served_names_them_and_costs_nothing_for_the_rest() -> None:
    home = a_policy(a_rule(), NEAR, packs=["law"])
    problem = a_problem(a_clinic(links=["dc"], hardware=[]), a_region("dc", "US"), a_model(), a_pipeline(), home)
    found = priced(problem)["residency:org/near"]
    assert found.unplaced == ("mail@clinic",)
    assert found.per_month == 0


def test_a_waiver_saves_what_its_rule_would_cost() -> None:
    waiver = {"rule": "near", "reason": "until March", "by": "Board (example)", "until": "2027-12-31"}
    rule = priced(a_choice(NEAR))["residency:org/near"]
    assert priced(a_choice(NEAR, waivers=[waiver]))["waiver:near"].per_month == pytest.approx(rule.per_month)


def test_pins_taints_and_objectives_have_a_price_too() -> None:
    taint = [{"name": "moving", "reason": "out in May"}]
    dear = a_clinic(links=["dc"], hardware=[a_box(price="9 EUR/h")])
    pinned = a_problem(dear, a_region(), a_model(), a_pipeline("mail", a_stage(sites=["clinic"])))
    tainted = a_problem(dear, a_region(taints=taint), a_model(), a_pipeline())
    hasty = a_problem(
        a_clinic(links=[a_link("dc", rtt="400ms")], hardware=[a_box(price="9 EUR/h")]), a_region(), a_model(),
        a_pipeline(latency="200ms"),
    )  # fmt: skip
    for problem, rule in ((pinned, "pin:triage"), (tainted, "taint:moving"), (hasty, "latency of mail")):
        assert priced(problem)[rule].per_month > 0, rule


def test_a_large_fleet_is_estimated_and_says_so() -> None:
    home = a_policy(a_rule(), NEAR, packs=["law"])
    clinics = [a_clinic(f"c{n}", links=["dc"], hardware=[a_box(price="1 EUR/h")]) for n in range(31)]
    problem = a_problem(*clinics, a_region("dc", "US", price="0.64 EUR/h"), a_model(), a_pipeline(), home)
    instance = instance_of(problem)
    solution = solve(instance)
    assert solution is not None
    made = assemble(instance, solution, {}, "exact")
    found = {one.rule: one for one in prices(problem, made)}["residency:org/near"]
    assert found.is_estimate
    assert found.per_month > 0


# one workload, beside a plan


def test_the_path_adds_up_to_the_latency_and_tells_its_parts() -> None:
    clinic = a_clinic(links=[a_link("dc", rtt="40ms")])
    stages = [a_stage("one", sites=["clinic"]), a_stage("two", after=["one"], sites=["dc"]), a_stage("aside")]
    problem = a_problem(clinic, a_region(), a_model(), a_pipeline("mail", *stages))
    court = Standing(problem, plan(problem)).court("mail@clinic")
    workload, choice = court.instance.workloads["mail@clinic"], court.choices["mail@clinic"]
    path = path_of(workload, choice)
    assert path.us == latency_us(workload, choice)
    assert [leg.name for leg in path.legs] == ["input -> one", "one", "one -> two", "two", "two -> answer"]
    assert sum((leg.us for leg in path.legs), Fraction(0)) == path.us
    assert [leg.name for leg in path.beside] == ["aside"]
    assert len(list(path.lines())) == 6


def test_what_elsewhere_costs_is_the_difference_of_the_best_plans_when_nobody_shares() -> None:
    problem = a_choice()
    answer = why_not(Standing(problem, plan(problem)).court("mail@clinic"), "mail@clinic", "triage", "clinic")
    home = a_choice(NEAR)
    assert answer.cost_there is not None
    assert answer.cost_here is not None
    more = plan(home).cost.per_hour - plan(problem).cost.per_hour
    assert answer.cost_there - answer.cost_here == pytest.approx(more, abs=1e-6)


def test_what_no_rule_refuses_and_yet_cannot_be_there_says_what_it_would_take() -> None:
    clinic = a_clinic(links=[a_link("dc", rtt="400ms")])
    problem = a_problem(clinic, a_region(), a_model(), a_pipeline(latency="200ms"))
    answer = why_not(Standing(problem, plan(problem)).court("mail@clinic"), "mail@clinic", "triage", "dc")
    assert answer.rules == ()
    assert answer.causes == (("latency",),)
    assert "latency >= 509.3 ms" in answer.answer


def test_the_room_read_from_a_plan_is_that_of_its_instance() -> None:
    clinics = [a_clinic(name, links=["dc"], hardware=[]) for name in ("ana", "bo", "cy")]
    problem = a_problem(*clinics, a_region(), a_model(), a_pipeline(rate="3/s"))
    standing = Standing(problem, plan(problem))
    court = standing.court("mail@bo")
    assert court.whole is not None
    whole = court.whole().ledger.without("mail@bo")
    assert court.room is not None
    assert court.room.pools == whole.pools
    assert {hop: load for hop, load in whole.hops.items() if load} == court.room.hops
