"""A bundle that everybody signed and that the law does not let stand here is refused at the door."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import GateError
from hybrid.carry.door import residency_at
from hybrid.gateway.compilation import compile_table
from tests.support.bundles import ABox, BundleForge
from tests.support.gateway import ORIGIN, honest

DENY = {"verdict": "deny", "rules": ["acme:no-transfer"]}


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    fleet, plan = honest()
    return compile_table(plan, fleet, ORIGIN)


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


@pytest.fixture
def clinic(forge: BundleForge) -> ABox:
    seed, card = forge.seed(ORIGIN)
    return ABox(forge.folder / "clinic", forge.clock).enrol(seed, card)


def turned_away(forge: BundleForge, box: ABox, table: dict[str, Any]) -> str:
    """Build a bundle with `table`, signed by everybody, and return why the door refuses it."""
    stick, before = forge.build(forge.cargo(site=ORIGIN, table=table)), box.snapshot()
    with pytest.raises(GateError) as caught:
        box.install(stick, residency=residency_at(box.standing().time.now))
    assert caught.value.code == "GATE"
    assert box.snapshot() == before
    return str(caught.value)


def test_an_honest_table_passes(forge: BundleForge, clinic: ABox, table: dict[str, Any]) -> None:
    stick = forge.build(forge.cargo(site=ORIGIN, table=table))
    clinic.install(stick, residency=residency_at(clinic.standing().time.now))


def test_a_plan_that_ended(forge: BundleForge, clinic: ABox, table: dict[str, Any]) -> None:
    yesterday = (forge.clock.now - timedelta(days=1)).date().isoformat()
    assert f"ended on {yesterday}" in turned_away(forge, clinic, {**table, "until": yesterday})


def test_a_table_of_another_site(forge: BundleForge, clinic: ABox, table: dict[str, Any]) -> None:
    assert "the table is for dc-paris" in turned_away(forge, clinic, {**table, "site": "dc-paris"})


@pytest.mark.parametrize("what", ["stage", "flow"])
def test_a_stage_or_flow_here_without_a_permit(
    forge: BundleForge, clinic: ABox, table: dict[str, Any], what: str
) -> None:
    """Whoever compiled the table wrote a denied stage, or a denied flow, into it as if it were permitted."""
    bent = copy.deepcopy(table)
    bent["decisions"].append(DENY)
    number = len(bent["decisions"]) - 1
    first = [assignment for load in bent["workloads"].values() for assignment in load["assignments"]]
    if what == "stage":
        entries = [target for one in first for stage in one["stages"].values() for target in stage["targets"]]
        found = next(target for target in entries if target["site"] == ORIGIN and target["role"] != "queue")
    else:
        found = next(flow for one in first for flow in one["flows"] if flow["toSite"] == ORIGIN)
    found["decisions"] = [number] * len(found["decisions"])
    assert "acme:no-transfer" in turned_away(forge, clinic, bent)
