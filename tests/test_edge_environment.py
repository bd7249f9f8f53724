"""A site's environment is the edge lock and our wheel, installed with --no-deps: all of `hybrid site` runs in it."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundles.admission import admit
from hybrid.evidence.audit import verify_log
from tests.support.boxes import a_cargo, ask, running
from tests.support.bundles import BundleForge, FakeClock
from tests.support.gateway import ORIGIN

ROOT = Path(__file__).parent.parent
WHEELHOUSE = ROOT / "build" / "wheelhouse"
NEVER = ("highspy", "numba", "paramiko", "ray", "torch", "transformers", "huggingface_hub")

Hybrid = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an environment made offline from the wheelhouse; nothing of the workshop is in it."""
    if not (WHEELHOUSE / "ready").exists():
        pytest.fail("no wheelhouse: run `make build/wheelhouse/ready`")
    place = tmp_path_factory.mktemp("edge")
    dist = place / "dist"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist], cwd=ROOT, check=True)
    env = place / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
    into = ["--python", env / "bin" / "python", "--find-links", WHEELHOUSE]
    subprocess.run([*uv, *into, "--require-hashes", "-r", ROOT / "locks" / "edge.txt"], check=True)
    subprocess.run([*uv, *into, *dist.glob("*.whl")], check=True)
    return env


@pytest.fixture
def hybrid(edge: Path, tmp_path: Path) -> Hybrid:
    """Return a call of the edge environment's own `hybrid`, isolated from the workshop's path and settings."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": os.defpath, "HOME": str(tmp_path), "NO_COLOR": "1"}
        command = [str(edge / "bin" / "python"), "-I", "-m", "hybrid", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    return call


@pytest.mark.parametrize("module", NEVER)
def test_a_site_never_has_the_workshops_libraries(edge: Path, module: str) -> None:
    found = subprocess.run([edge / "bin" / "python", "-I", "-c", f"import {module}"], capture_output=True, text=True)
    assert "ModuleNotFoundError" in found.stderr


@pytest.mark.parametrize(
    "command", ["enrol", "install", "clean", "service", "status", "rollback", "serve", "credential"]
)
def test_every_site_command_explains_itself_at_the_edge(hybrid: Hybrid, command: str) -> None:
    shown = hybrid("site", command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in shown.stdout


@pytest.mark.parametrize("command", ["install", "status", "rollback"])
def test_a_box_that_is_not_enrolled_is_told_so(hybrid: Hybrid, tmp_path: Path, command: str) -> None:
    arguments = [tmp_path / "stick"] if command == "install" else []
    refused = hybrid("site", command, *arguments, "--root", tmp_path / "box")
    assert refused.returncode in (2, 3), refused.stderr
    assert "enrol" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "box").exists()


def test_the_gateway_and_its_engines_import_at_the_edge(edge: Path) -> None:
    code = (
        "import hybrid.gateway.service, hybrid.gateway.engines, hybrid.evidence.log, hybrid.knowledge, bundles.release"
    )
    done = subprocess.run([edge / "bin" / "python", "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_of_the_workshop_names_the_extra_to_install(hybrid: Hybrid, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    assert hybrid("init", fleet).returncode == 0
    refused = hybrid("plan", fleet)
    assert refused.returncode == 4
    assert "highspy" in refused.stderr


@pytest.mark.slow
def test_a_box_lives_its_whole_life_in_the_edge_environment(edge: Path, hybrid: Hybrid, tmp_path: Path) -> None:
    """Enrolled, installed, asked, updated and rolled back, with nothing but the edge lock and our wheel."""
    forge = BundleForge(tmp_path, FakeClock(dt.datetime.now(dt.UTC).replace(microsecond=0)), demo=True)
    seed, card = forge.seed(ORIGIN)
    root = tmp_path / "box"

    def site(command: str, *arguments: object) -> Any:
        done = hybrid("site", command, *arguments, "--root", root, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    enrolled = site("enrol", seed, "--card", card, "--demo")
    request = admit(forge.repository, Path(enrolled["request"]), [enrolled["fingerprint"]])
    first, second = (forge.build(a_cargo(forge, request.keys, files)) for files in ({}, a_newer_document(tmp_path)))
    assert site("install", first)["release"] == 1
    key = site("credential", "desk", "--pipeline", "patient-message")["key"]
    command = (edge / "bin" / "python", "-I", "-m", "hybrid", "site", "serve", "--root", root, "--port", 0)
    with running(*command) as (process, address):
        answer = ask(address, key)
        process.terminate()
        assert process.wait(20) == 0
    assert site("install", second)["before"] == 1
    back = site("rollback")
    status = site("status")

    assert "When the chest hurts, rest and call." in answer["choices"][0]["message"]["content"]
    assert (back["before"], back["release"], status["release"], status["releases"]) == (2, 1, 1, [1, 2])
    assert (verify_log(root / "evidence").holds, verify_log(root / "evidence").unsigned) == (True, 0)


def a_newer_document(folder: Path) -> dict[str, Path]:
    """Write a document anew, and return it as a release's file."""
    (folder / "newer.md").write_text("# Chest pain\n\nCall at once.\n", encoding="utf-8")
    return {"knowledge/protocols/pain.md": folder / "newer.md"}
