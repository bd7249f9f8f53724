"""What a plan says of splits, losses and rules of places: the fields that others read, each with one deviation."""

from __future__ import annotations

from typing import Any

from placement.engine import plan
from placement.plan import Plan, WorkloadPlan
from placement.plan_reading import parse_plan
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage
from tests.support.sites import a_box, a_link

SPREAD = [{"stage": "triage", "by": "site", "most": 0.6}]
HALVED = {"split": True, "spread": SPREAD}


def planned(*nouns: Noun, clinic: dict[str, Any] | None = None, **spec: Any) -> Plan:
    """Return the plan of a clinic without machines between two regions that can stand in for each other."""
    between = {"mode": "connected", "links": [a_link("dc")]}
    dear = a_region("dd", price="0.7 EUR/h", connectivity=between)
    ana = a_clinic("ana", links=["dc", "dd"], hardware=[], **(clinic or {}))
    given = [noun for noun in nouns if noun.metadata.name != "mail"]  # type: ignore[attr-defined]
    pipelines = [noun for noun in nouns if noun not in given] or [a_pipeline(**spec)]
    return plan(a_problem(ana, a_region("dc"), dear, a_model(), *given, *pipelines))


def sites(workload: WorkloadPlan) -> list[tuple[float, str]]:
    return [(part.fraction, part.stages[0].site) for part in workload.assignments]


def test_a_plan_without_survival_has_no_failures() -> None:
    assert planned().failures == ()
    assert "failures" not in planned().to_json()


def test_every_loss_that_touches_a_survivor_is_listed_with_what_happens_then() -> None:
    made = planned(survive=1)
    home = made.workloads[0].assignments[0].stages[0].site
    other = {"dc": "dd", "dd": "dc"}[home]
    assert [failure.lost for failure in made.failures] == [f"link:ana--{home}", f"site:{home}"]
    by_wire, by_site = (failure.workloads[0].assignments[0] for failure in made.failures)
    assert by_wire.stages[0].site == home, "who only loses a route stays"
    assert [flow.route for flow in by_wire.flows] == [("ana", other, home), (home, other, "ana")]
    assert by_site.stages[0].site == other
    assert all(flow.role == "primary" and flow.rate == 0.5 for flow in by_site.flows)


def test_what_stands_by_is_reserved_paid_and_first_in_the_order() -> None:
    made = planned(survive=1)
    home = made.workloads[0].assignments[0].stages[0].site
    spare = next(pool for pool in made.pools if pool.site != home)
    assert (spare.replicas, spare.load, spare.utilisation) == (1, 0.0, 0.0)
    assert made.workloads[0].cost_per_hour == made.cost.per_hour
    assert made.workloads[0].fallbacks[0].order[0].site == spare.site


def test_a_plan_with_failures_is_read_back_as_it_was_written() -> None:
    made = planned(survive=1)
    assert parse_plan(made.to_bytes()).to_bytes() == made.to_bytes()


def test_who_has_nowhere_to_go_is_not_placed_without_protection() -> None:
    lonely = a_problem(a_clinic(hardware=[], links=["dc"]), a_region(), a_model(), a_pipeline(survive=1))
    made = plan(lonely)
    assert [workload.id for workload in made.unplaced] == ["mail@clinic"]
    assert ("survive",) in made.unplaced[0].causes


def test_the_loss_of_the_origin_ends_its_workload_and_asks_for_nothing() -> None:
    made = plan(a_problem(a_clinic(), a_model(), a_pipeline(survive=1)))
    assert [workload.status for workload in made.workloads] == ["placed"]
    assert made.failures == ()


def test_a_split_workload_has_fractions_that_add_up_and_an_order_for_each() -> None:
    made = planned(**HALVED)
    (workload,) = made.workloads
    assert sum(fraction for fraction, _ in sites(workload)) == 1
    assert {site for _, site in sites(workload)} == {"dc", "dd"}
    assert all(fraction <= 0.6 for fraction, _ in sites(workload))
    for part in workload.assignments:
        assert {flow.rate for flow in part.flows if flow.role == "primary"} == {0.5 * part.fraction}
    assert [(order.stage, order.assignment) for order in workload.fallbacks] == [("triage", 0), ("triage", 1)]
    assert {pool.site: pool.load for pool in made.pools} == {site: 0.5 * part for part, site in sites(workload)}


def test_without_split_a_spread_that_one_origin_cannot_keep_leaves_it_unplaced() -> None:
    made = planned(spread=SPREAD)
    assert made.unplaced[0].causes == (("spread:triage",),)


def test_two_stages_are_kept_apart_where_they_would_share_a_site() -> None:
    stages = [a_stage(), a_stage("sum", after=["triage"])]
    together = planned(a_pipeline("mail", *stages)).workloads[0].assignments[0]
    rule = [{"stages": ["triage", "sum"], "by": "site"}]
    apart = planned(a_pipeline("mail", *stages, apart=rule)).workloads[0].assignments[0]
    assert len({stage.site for stage in together.stages}) == 1
    assert len({stage.site for stage in apart.stages}) == 2


def test_a_fallback_that_would_share_a_site_is_kept_apart_as_well() -> None:
    quote = {"name": "quote", "task": "quote", "after": ["sum"], "output": "1KiB", "sites": ["dc"]}
    stages = [a_stage("sum", sites=["dc"]), a_stage("draft", after=["sum"], models=["none"], fallback=["quote"])]
    rule = [{"stages": ["sum", "quote"], "by": "site"}]
    none = a_model("none", state="candidate", approval=None)
    free = planned(none, a_pipeline("mail", *stages, fallbacks=[quote]))
    ruled = planned(none, a_pipeline("mail", *stages, fallbacks=[quote], apart=rule))
    assert [workload.status for workload in free.workloads] == ["degraded"]
    assert [workload.id for workload in ruled.unplaced] == ["mail@ana"]


def test_a_taint_keeps_everything_off_that_does_not_tolerate_it() -> None:
    taint = [{"name": "moved", "reason": "being moved in May"}]
    box = [a_box(price="0 EUR/h")]
    nouns = [a_clinic(hardware=box, links=["dc"], taints=taint), a_region(), a_model()]
    kept_off = plan(a_problem(*nouns, a_pipeline()))
    tolerated = plan(a_problem(*nouns, a_pipeline(tolerates=["moved"])))
    assert sites(kept_off.workloads[0]) == [(1.0, "dc")]
    assert sites(tolerated.workloads[0]) == [(1.0, "clinic")]


def test_a_pin_holds_a_stage_where_it_costs_more() -> None:
    assert sites(planned(a_pipeline("mail", a_stage(sites=["dd"]))).workloads[0]) == [(1.0, "dd")]
    assert sites(planned(a_pipeline("mail", a_stage(sites={"role": "region"}))).workloads[0]) == [(1.0, "dc")]


def test_a_current_plan_that_is_split_is_no_move() -> None:
    made = planned(**HALVED)
    between = {"mode": "connected", "links": [a_link("dc")]}
    dear = a_region("dd", price="0.7 EUR/h", connectivity=between)
    ana = a_clinic("ana", links=["dc", "dd"], hardware=[])
    again = plan(a_problem(ana, a_region("dc"), dear, a_model(), a_pipeline(**HALVED)), current=made)
    assert sorted(sites(again.workloads[0])) == sorted(sites(made.workloads[0]))
