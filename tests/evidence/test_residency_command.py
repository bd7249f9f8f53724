"""`hybrid report residency` on the plan of the example fleet, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid.cli.report import app
from placement.errors import PlacementError
from tests.support.evidence import write_logs

FLEET = Path(__file__).parents[2] / "sites" / "examples" / "clinics"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    argv = [sys.executable, "-m", "hybrid", "plan", str(FLEET), "--from", "2026-12-01", "-o", str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    return path


@pytest.fixture
def logs(plan: Path, tmp_path: Path) -> list[Path]:
    """One crossing of every planned flow, logged by both of its ends."""
    digest = "sha256:" + sha256(plan.read_bytes()).hexdigest()
    records: dict[str, list[dict[str, object]]] = {}
    for load in json.loads(plan.read_bytes())["workloads"]:
        for assignment in load["assignments"]:
            for stage in assignment["stages"]:
                records.setdefault(stage["site"], [])
            for flow in assignment["flows"]:
                about = {key: flow[key] for key in ("fromStage", "toStage", "from", "to", "route", "role")}
                said = {"workload": load["id"], "flow": about, "label": flow["label"], "planDigest": digest}
                said |= {"verdict": "permit", "rules": flow["rules"], "bytes": flow["bytes"]}
                for kind, site in (("intent", flow["from"]), ("decision", flow["to"])):
                    records.setdefault(site, []).append(said | {"kind": kind, "site": site})
    for site, entries in records.items():
        entries.append({"kind": "start", "site": site})
    return write_logs(tmp_path / "logs", records)


def report(plan: Path, to: Path, logs: list[Path], *more: str) -> tuple[int, str]:
    evidence = [word for log in logs for word in ("--evidence", str(log))]
    argv = ["residency", str(plan), str(FLEET), *evidence, "-o", str(to), "--until", "2026-12-01", *more]
    done = CliRunner().invoke(app, argv)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_the_example_fleet_has_a_report_that_verifies(plan: Path, logs: list[Path], tmp_path: Path) -> None:
    code, _ = report(plan, tmp_path / "report.html", logs, "--json", str(tmp_path / "report.json"))
    html, read = (tmp_path / "report.html").read_text(), json.loads((tmp_path / "report.json").read_text())
    assert (code, read["verdict"]["outcome"]) == (0, "clean")
    assert "rules not reviewed by counsel" in html
    assert {site["name"] for site in read["sites"]} >= {"clinic-lyon", "clinic-jura", "dc-paris", "dc-virginia"}
    argv = ["verify", str(tmp_path / "report.json"), *map(str, logs), "--plan", str(plan), "--output", "json"]
    done = CliRunner().invoke(app, argv)
    assert (done.exit_code, json.loads(done.stdout)["holds"]) == (0, True)


def test_without_evidence_every_site_is_silent(plan: Path, tmp_path: Path) -> None:
    code, out = report(plan, tmp_path / "report.html", [], "--output", "json")
    read = json.loads(out)
    assert (code, read["verdict"]["outcome"]) == (0, "incomplete")
    assert read["gaps"]["silent"] == [row["site"] for row in read["coverage"]["rows"]]


def test_a_plan_of_another_fleet_is_refused_by_name(plan: Path, tmp_path: Path) -> None:
    stale = tmp_path / "plan.json"
    stated = json.loads(plan.read_bytes())
    name = next(name for name in stated["inputs"] if name.endswith("policy.yaml"))
    stated["inputs"][name] = "sha256:" + "0" * 64
    stale.write_text(json.dumps(stated))
    with pytest.raises(PlacementError, match=r"policy.yaml: changed"):
        report(stale, tmp_path / "report.html", [])
    assert not (tmp_path / "report.html").exists()
