"""After the switch the new release is started and asked; what does not answer is taken back, and the floor stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bundles.assembly import Cargo
from bundles.errors import GateError
from bundles.layout import Box
from bundles.nouns import PlanKey
from bundles.release import current_number
from bundles.trust.state import machine_id
from hybrid.carry.health import check
from tests.support.boxes import a_cargo, ask, serving
from tests.support.bundles import ABox, BundleForge, FakeClock
from tests.support.gateway import ORIGIN, a_key


@dataclass
class Clinic:
    """A headquarters and its clinic's box, whose keys are in the plan."""

    forge: BundleForge
    box: ABox
    keys: tuple[PlanKey, ...]

    def cargo(self, files: Mapping[str, Path] | None = None, **knobs: Any) -> Cargo:
        return replace(a_cargo(self.forge, self.keys, files), **knobs)

    def install(self, cargo: Cargo) -> Any:
        self.forge.clock.pass_(seconds=1)
        return self.box.install(self.forge.build(cargo), health=check)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    forge = BundleForge(tmp_path, FakeClock.here())
    seed, card = forge.seed(ORIGIN)
    box = ABox(tmp_path / ORIGIN, forge.clock, machine_id()).enrol(seed, card)
    assert box.enrolled is not None
    return Clinic(forge, box, box.enrolled.request.keys)


def test_a_healthy_release_serves_and_the_probe_leaves_nothing(clinic: Clinic) -> None:
    """The old release is at work meanwhile and keeps its log: no request of the probe stands in the evidence."""
    first = clinic.install(clinic.cargo())
    root = clinic.box.root
    key = a_key(root, "desk")
    with serving(root) as (process, address):
        ask(address, key)
        before = {path: path.stat().st_size for path in (root / "evidence").rglob("*") if path.is_file()}
        second = clinic.install(clinic.cargo(security_version=2))
        assert {path: path.stat().st_size for path in before} == before
        assert ask(address, key)["hybrid"]["served"]
        process.terminate()
        assert process.wait(20) == 0
    assert (first.checked, second.checked) == (("it serves",), ("it serves",))
    assert current_number(Box(root)) == 2
    assert [path.name for path in (root / "run").iterdir()] == ["install.lock"]


def test_what_only_a_regions_head_runs_is_not_asked_before_there_is_one(clinic: Clinic) -> None:
    """Weights without a graph: the gateway starts beside them, and the head is applied after the install."""
    cargo = clinic.cargo()
    graphs = {path for path in cargo.files if path.endswith("model.onnx") and not path.startswith("models/finder/")}
    assert graphs
    weights = {
        path.replace("model.onnx", "model.safetensors") if path in graphs else path: file
        for path, file in cargo.files.items()
    }
    assert clinic.install(replace(cargo, files=weights)).checked == ("it serves",)


def test_a_release_without_graph_and_weights_is_refused(clinic: Clinic) -> None:
    cargo = clinic.cargo()
    rest = {path: file for path, file in cargo.files.items() if not path.endswith("model.onnx")}
    with pytest.raises(GateError, match=r"holds no models/.*model\.onnx"):
        clinic.install(replace(cargo, files=rest))


def test_a_release_that_does_not_start_is_rolled_back_and_the_floor_stays(clinic: Clinic, tmp_path: Path) -> None:
    """A graph that no engine opens: release 1 serves again, versions and the security floor stay raised."""
    clinic.install(clinic.cargo(security_version=3))
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    path = next(name for name in clinic.cargo().files if name.endswith("model.onnx"))
    bad = clinic.cargo({path: tmp_path / "broken.onnx"}, security_version=3, min_security_version=3)
    with pytest.raises(GateError, match="does not start") as caught:
        clinic.install(bad)
    state = clinic.box.standing().state
    assert (caught.value.code, caught.value.safe) == ("HEALTH", "release 1 serves again")
    assert current_number(Box(clinic.box.root)) == 1
    assert (state.min_security_version, state.installed.number if state.installed else 0) == (3, 2)


def test_a_release_slower_than_planned_is_rolled_back(clinic: Clinic) -> None:
    """The limit is the pipeline's own and travels in the signed table: here a microsecond."""
    clinic.install(clinic.cargo())
    table = json.loads(json.dumps(clinic.cargo().table))
    for workload in table["workloads"].values():
        workload["latency"] = 1
    with pytest.raises(GateError, match="are planned"):
        clinic.install(clinic.cargo(table=table))
    assert current_number(Box(clinic.box.root)) == 1
