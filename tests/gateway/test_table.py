"""The decision table: what the compiler writes, what the loaded table answers, and that nothing else is permitted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import EvidenceError, InputError
from hybrid.gateway.compilation import compile_table
from hybrid.gateway.decision import preview
from hybrid.gateway.table import Decision, Table, joined
from tests.support.gateway import DRAFTED, ORIGIN, OTHER, OVERSEAS, REGION, a_health_group, a_plan, honest
from tests.support.sites import a_rule


def table(site: str = ORIGIN) -> Table:
    fleet, plan = honest()
    return Table.of(compile_table(plan, fleet, site))


def floats(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for child in children for found in floats(child)]


def test_a_table_has_no_floats_and_the_same_inputs_give_the_same_bytes() -> None:
    fleet, plan = honest()

    first, second = (json.dumps(compile_table(plan, fleet, ORIGIN)) for _ in range(2))

    assert first == second
    assert floats(json.loads(first)) == []


def test_a_site_gets_what_it_takes_part_in_and_nothing_else() -> None:
    assert DRAFTED in table(REGION).workloads
    assert set(table(OVERSEAS).workloads) == {f"log-triage@{ORIGIN}", "log-triage@clinic-nimes"}
    assert not any(name.endswith("@clinic-nimes") for name in table(ORIGIN).workloads)


def test_the_targets_stand_in_the_plans_order() -> None:
    draft = table().workloads[DRAFTED].assignments[0].stages["draft"]

    assert [(t.role, t.stage, t.site) for t in draft.targets] == [
        ("primary", "draft", REGION),
        ("fallback", "draft", OTHER),
        ("fallback", "quote", ORIGIN),
    ]


def test_every_flow_of_the_table_is_one_of_the_plan() -> None:
    """A crossing that the plan does not have is a breach in every report; so the table adds none."""
    _, plan = honest()
    planned = {
        (load["id"], flow["fromStage"], flow["toStage"], flow["from"], flow["to"])
        for load in plan["workloads"]
        for assignment in load["assignments"]
        for flow in assignment["flows"]
    }

    for name, workload in table().workloads.items():
        assert {(name, *flow.key) for assignment in workload.assignments for flow in assignment.flows} <= planned


def test_a_plan_from_other_manifests_is_refused_by_name() -> None:
    fleet, plan = honest()
    stale = plan | {"inputs": plan["inputs"] | {"small.yaml": "sha256:other"}}

    with pytest.raises(InputError, match=r"stale: small\.yaml"):
        compile_table(stale, fleet, ORIGIN)


def test_a_plan_that_the_policy_no_longer_permits_gives_no_table() -> None:
    """The plan was made when the law was looser: the evaluator is asked again, and its answer counts."""
    _, plan = honest()
    stricter = a_health_group(a_rule(), a_rule("no-drafts", "prohibit", data=["user.health_and_medical"]))

    with pytest.raises(InputError, match="does not permit"):
        compile_table(plan, stricter, ORIGIN)


def test_a_site_that_is_not_in_the_fleet_has_no_table() -> None:
    fleet, plan = honest()

    with pytest.raises(InputError, match="no site 'atlantis'"):
        compile_table(plan, fleet, "atlantis")


def test_an_unplaced_workload_keeps_its_causes() -> None:
    fleet = a_health_group(a_rule(), a_rule("stay", "prohibit", data=["system.operations"], countries=["US"]))
    read = Table.of(compile_table(a_plan(fleet), fleet, ORIGIN))

    workload = read.workloads[f"log-triage@{ORIGIN}"]

    assert (workload.status, workload.assignments) == ("unplaced", ())
    assert any(cause.startswith("residency:") for cause in workload.causes)


def test_an_unknown_version_or_key_is_refused_with_its_place() -> None:
    fleet, plan = honest()
    written = compile_table(plan, fleet, ORIGIN)

    for bent, where in (({"version": 2}, "version"), ({"exceptions": []}, "exceptions")):
        with pytest.raises(EvidenceError, match=where):
            Table.of(written | bent)


@given(st.frozensets(st.integers(min_value=-3, max_value=9), min_size=1))
def test_adding_an_atom_never_turns_a_refusal_into_a_permit(label: frozenset[int]) -> None:
    read = table_once()
    workload = read.workloads[DRAFTED]
    base = preview(read, DRAFTED, workload, workload.assignments[0], frozenset())
    more = preview(read, DRAFTED, workload, workload.assignments[0], label)

    assert base.decision.permitted
    assert more.decision.permitted == (label <= permitted_atoms(read))


def permitted_atoms(read: Table) -> frozenset[int]:
    workload = read.workloads[DRAFTED]
    return frozenset(
        atom
        for atom in workload.known
        if preview(read, DRAFTED, workload, workload.assignments[0], frozenset({atom})).decision.permitted
    )


_ONCE: list[Table] = []


def table_once() -> Table:
    if not _ONCE:
        _ONCE.append(table())
    return _ONCE[0]


def test_the_worst_verdict_counts_and_cites_only_its_own_rules() -> None:
    permit, unknown, deny = (
        Decision(verdict=verdict, rules=(verdict,)) for verdict in ("permit", "undetermined", "deny")
    )

    assert joined([permit, deny, unknown]) == deny
    assert joined([permit, unknown]) == unknown
    assert joined([permit, permit]) == permit
    assert not joined([]).permitted
