"""Our canonical JSON is `rfc8785`'s, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from placement.canonical import Canonical, number, whole
from placement.engine import plan
from placement.errors import PlacementError
from placement.plan import Plan, WorkloadPlan
from placement.plan_reading import LARGE, parse_plan
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(JSON)
def test_any_value_is_written_as_the_standard_says(value: Any) -> None:
    assert Canonical().text(value).encode() == rfc8785.dumps(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_written_as_the_standard_says(value: float) -> None:
    assert number(value).encode() == rfc8785.dumps(float(f"{value:.9g}"))


@pytest.mark.parametrize("value", [0.0, -0.0, 1e15, 1e16, 1e20, 1e21, 1e-4, 9.9e-5, 1e-6, 1e-7, 5e-324, -1.5, 100.0])
def test_where_the_forms_of_numbers_change(value: float) -> None:
    assert number(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_json_number_is_refused(value: float) -> None:
    with pytest.raises(rfc8785.FloatDomainError):
        number(value)
    with pytest.raises(rfc8785.IntegerDomainError):
        whole(2**53)


@cache
def made() -> Plan:
    """Return a plan with flows, fallbacks, a degraded and an unplaced workload."""
    quote = {"name": "quote", "task": "quote", "after": ["input"], "output": "1KiB"}
    draft = a_stage("draft", models=["big"], after=["input", "triage"], fallback=["quote"])
    mail = a_pipeline("mail", a_stage(), draft, fallbacks=[quote])
    scan = a_pipeline("scan", a_stage(models=["big"]))
    heavy = a_model("big", state="candidate")
    clinics = [a_clinic(name, links=["dc"]) for name in ("ana", "bo")]
    return plan(a_problem(*clinics, a_region(), a_model(), heavy, mail, scan))


def test_a_plan_is_written_as_its_json_form_is() -> None:
    written = made().to_bytes()
    assert made().workloads
    assert made().unplaced
    assert written == rfc8785.dumps(made().to_json()) + b"\n"
    assert parse_plan(written).to_bytes() == written


WORKLOADS = st.builds(
    WorkloadPlan,
    **dict.fromkeys(("id", "pipeline", "origin", "tenant"), TEXT),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    cost_per_hour=st.floats(allow_nan=False, allow_infinity=False),
    status=st.sampled_from(["placed", "degraded"]),
    kind=st.sampled_from([None, "impossible", "crowded"]),
    causes=st.lists(st.lists(TEXT).map(tuple)).map(tuple),
    assignments=st.just(()),
    fallbacks=st.just(()),
    latency_ms=st.just(made().workloads[0].latency_ms),
)


@given(st.lists(WORKLOADS, max_size=3), st.dictionaries(TEXT, TEXT))
def test_any_plan_is_written_as_its_json_form_is(workloads: list[WorkloadPlan], inputs: dict[str, str]) -> None:
    drawn = replace(made(), workloads=tuple(workloads), inputs=inputs)
    assert drawn.to_bytes() == rfc8785.dumps(drawn.to_json()) + b"\n"
    assert json.loads(drawn.to_bytes(), parse_int=float) == drawn.to_json()


def test_a_workload_is_found_by_its_id_whatever_the_order() -> None:
    for shown in (made(), replace(made(), workloads=made().workloads[::-1])):
        assert [shown.workload(w.id) for w in made().workloads] == list(made().workloads)
        assert shown.workload("nobody@nowhere") is None


def a_large_plan() -> Plan:
    """Return a plan of more bytes than are read in one piece."""
    workload = made().workloads[0]
    long = tuple(replace(workload, id=f"mail@{index:05}", tenant="t" * 1000) for index in range(3000))
    return replace(made(), workloads=long)


def test_a_large_plan_is_read_in_parts_to_the_same_plan() -> None:
    large = a_large_plan()
    written = large.to_bytes()
    assert len(written) > LARGE
    assert parse_plan(written) == large
    labels = {id(stage.label) for w in parse_plan(written).workloads for stage in w.assignments[0].stages}
    assert len(labels) == len({str(stage.label) for stage in large.workloads[0].assignments[0].stages})


def test_what_is_wrong_deep_in_a_large_plan_is_named() -> None:
    written = a_large_plan().to_bytes()
    at = written.rfind(b'"status":"')
    with pytest.raises(PlacementError, match=r"workloads\.2999\.status"):
        parse_plan(written[:at] + b'"status":"gone' + written[at + 10 :])
    with pytest.raises(PlacementError):
        parse_plan(written[:-3])
