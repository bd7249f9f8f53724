"""`hybrid check` says what was checked, what was not, and that a plan is unsigned; 1 is a finding, 2 wrong input."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from placement.problem import KINDS
from sites.fleet import read_fleet
from tests.support.check import Shape
from tests.support.check_clinics import clinics, laws, the_plan


def write(folder: Path, documents: Mapping[str, Shape], packs: Mapping[str, Shape]) -> None:
    """Write manifests as JSON, which is YAML."""
    named = {name: {"kind": "Pack", **pack} for name, pack in packs.items()}
    for file, shape in {**documents, **{f"packs/{name}.yaml": pack for name, pack in named.items()}}.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"apiVersion": "hybrid/v1", **shape}, indent=1), encoding="utf-8")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    folder = tmp_path / "fleet"
    packs = {name: pack for name, pack in laws().items() if name != "org-default"}
    write(folder, clinics(), packs)
    return folder


@pytest.fixture
def plan(tmp_path: Path, fleet: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(the_plan(read_fleet(fleet, KINDS))), encoding="utf-8")
    return path


def hybrid_check(plan: Path, fleet: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hybrid", "check", str(plan), str(fleet), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_valid_plan_exits_0_and_says_how_far_the_check_reaches(plan: Path, fleet: Path) -> None:
    done = hybrid_check(plan, fleet)
    assert done.returncode == 0, done.stderr
    assert "unsigned" in done.stdout
    assert "not checked (not a pass)" in done.stdout
    assert "no findings" in done.stderr
    assert "the planner's word, not verified: that no plan costs less" in done.stdout


def test_a_finding_exits_1_and_json_says_the_same(plan: Path, fleet: Path) -> None:
    broken = json.loads(plan.read_text(encoding="utf-8"))
    broken["workloads"].pop()
    plan.write_text(json.dumps(broken), encoding="utf-8")
    done = hybrid_check(plan, fleet, "--output", "json")
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert said["signature"] == "unsigned"
    assert not said["passed"]
    assert {"invariant/1", "plan/pools"} <= {finding["code"] for finding in said["findings"]}
    assert "18" in said["notChecked"]
    assert any("bound" in word for word in said["notVerified"])


def test_a_key_that_stands_twice_is_no_json(plan: Path, fleet: Path) -> None:
    plan.write_text('{"kind":"Plan",' + plan.read_text(encoding="utf-8")[1:], encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 2
    assert "'kind' stands twice in one object" in done.stderr


def test_a_flow_without_a_role_is_malformed(plan: Path, fleet: Path) -> None:
    broken = json.loads(plan.read_text(encoding="utf-8"))
    del broken["workloads"][0]["assignments"][0]["flows"][0]["role"]
    plan.write_text(json.dumps(broken), encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 2
    assert "role: Field required" in done.stderr


def test_a_manifest_changed_since_exits_2_and_is_named(plan: Path, fleet: Path) -> None:
    policy = fleet / "policy.yaml"
    policy.write_text(policy.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 2
    assert "policy.yaml changed" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"payload": "!", "signatures": []}', '"' * 9])
def test_what_is_no_plan_exits_2(plan: Path, fleet: Path, text: str) -> None:
    plan.write_text(text, encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 2
    assert "do:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_envelope_is_opened_and_its_signers_named_but_not_believed(plan: Path, fleet: Path) -> None:
    payload = base64.b64encode(plan.read_bytes()).decode()
    envelope = {"payloadType": "x", "payload": payload, "signatures": [{"keyid": "k1", "sig": "AA=="}]}
    plan.write_text(json.dumps(envelope), encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 0, done.stderr
    assert "signatures by k1, not verified here" in done.stdout


def test_an_envelope_whose_payload_stands_twice_is_refused(plan: Path, fleet: Path) -> None:
    payload = base64.b64encode(plan.read_bytes()).decode()
    plan.write_text(f'{{"payload": "e30=", "payload": "{payload}", "signatures": []}}', encoding="utf-8")
    done = hybrid_check(plan, fleet)
    assert done.returncode == 2
    assert "'payload' stands twice in one object" in done.stderr
