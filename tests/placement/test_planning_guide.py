"""The fragments of docs/planning.md, put into the example fleet as they stand, do what the page says."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path

import pytest
import yaml

from placement.check import check_bytes
from placement.engine import plan
from placement.plan import Plan
from placement.problem import KINDS, read_problem
from sites.fleet import read_fleet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "planning.md").read_text()
FRAGMENTS = [
    (block.splitlines()[0].removeprefix("# "), block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
]

PIN, TAINT, TOLERATES, SURVIVE, APART, SPREAD, SPLIT, IDLE, PRIORITY = range(9)
"""The fragments, in the order of the page."""

COUNTRIES = {"dc-paris": "FR", "dc-frankfurt": "DE", "dc-virginia": "US", "clinic-jura": "FR"}


def with_fragments(directory: Path, *numbers: int) -> Path:
    """Return the example fleet with these fragments of the page under `spec` of the files that they name."""
    fleet = Path(shutil.copytree(ROOT / "sites" / "examples" / "clinics", directory / "fleet"))
    for number in numbers:
        name, block = FRAGMENTS[number]
        manifest = yaml.safe_load((fleet / name).read_text())
        manifest["spec"] |= yaml.safe_load(block)
        (fleet / name).write_text(yaml.safe_dump(manifest, sort_keys=False))
    return fleet


def planned(directory: Path, *numbers: int) -> Plan:
    """Return the plan of the example fleet with these fragments; the independent checker finds nothing in it."""
    fleet = with_fragments(directory, *numbers)
    made = plan(read_problem(fleet, dt.date(2026, 12, 1), dt.date(2027, 2, 28)), is_explained=False)
    assert check_bytes(made.to_bytes(), read_fleet(fleet, KINDS)).findings == ()
    return made


def sites_of(made: Plan, pipeline: str, stage: str) -> set[str]:
    """Return where a stage of a pipeline runs, over all origins and parts."""
    parts = [part for work in made.workloads if work.pipeline == pipeline for part in work.assignments]
    return {placed.site for part in parts for placed in part.stages if placed.stage == stage}


def test_a_pin_narrows(tmp_path: Path) -> None:
    assert sites_of(planned(tmp_path, PIN), "log-triage", "sort") == {"dc-paris", "clinic-jura"}


def test_a_taint_keeps_off_whoever_does_not_tolerate_it(tmp_path: Path) -> None:
    assert "dc-virginia" not in sites_of(planned(tmp_path, TAINT), "log-triage", "sort")
    assert "dc-virginia" in sites_of(planned(tmp_path / "tolerated", TAINT, TOLERATES), "log-triage", "sort")


def test_nobody_survives_the_only_region_that_may_draft(tmp_path: Path) -> None:
    made = planned(tmp_path, SURVIVE)
    assert {work.status for work in made.workloads if work.pipeline == "patient-message"} == {"degraded"}


def test_stages_stay_apart(tmp_path: Path) -> None:
    made = planned(tmp_path, APART)
    assert not sites_of(made, "patient-message", "recall") & sites_of(made, "patient-message", "draft")


def test_no_country_has_more_than_its_part(tmp_path: Path) -> None:
    made = planned(tmp_path, SPREAD)
    rates: dict[str, float] = {}
    for work in (work for work in made.workloads if work.pipeline == "log-triage"):
        for part in work.assignments:
            country = COUNTRIES.get(part.stages[0].site, part.stages[0].site)
            rates[country] = rates.get(country, 0.0) + work.rate * part.fraction
    assert max(rates.values()) <= 0.5 * 14 + 1e-9
    assert len(rates) > 1


def test_a_split_workload_is_served_at_several_places(tmp_path: Path) -> None:
    made = planned(tmp_path, SPLIT)
    parts = [work.assignments for work in made.workloads if work.pipeline == "log-triage"]
    assert max(len(each) for each in parts) > 1
    assert all(sum(part.fraction for part in each) == pytest.approx(1.0) for each in parts)


@pytest.mark.slow
def test_whoever_is_split_and_survives_learns_why_it_is_left_out(tmp_path: Path) -> None:
    """The causes take wires that are not there and bandwidth together: what is proposed is of links that are there."""
    fleet = with_fragments(tmp_path, SPLIT)
    manifest = yaml.safe_load((fleet / "pipelines/log-triage.yaml").read_text())
    manifest["spec"]["survive"] = 1
    (fleet / "pipelines/log-triage.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    made = plan(read_problem(fleet, dt.date(2026, 12, 1), dt.date(2027, 2, 28)))
    lacking = next(each for each in made.unplaced if each.id == "log-triage@clinic-brest")
    assert ("link:bandwidth", "link:disconnected") in lacking.causes
    assert ("capacity",) in lacking.causes


def test_idler_replicas_answer_sooner(tmp_path: Path) -> None:
    usual, idler = planned(tmp_path / "usual"), planned(tmp_path / "idler", IDLE)
    assert _latency(idler) < _latency(usual)


def test_every_fragment_is_planned(tmp_path: Path) -> None:
    assert [name for name, _ in FRAGMENTS][PRIORITY] == "pipelines/log-triage.yaml"
    assert len(FRAGMENTS) == PRIORITY + 1
    assert planned(tmp_path, PRIORITY).workloads


def _latency(made: Plan) -> float:
    return next(work.latency_ms.modelled for work in made.workloads if work.id == "patient-message@clinic-lyon")
