"""The house stands: names are ours alone, `--help` imports nothing heavy, imports go one way."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PACKAGES = ("sites", "placement", "bundles", "hybrid")
HEAVY = {
    "numpy",
    "pydantic",
    "rich",
    "yaml",
    "tuf",
    "cryptography",
    "highspy",
    "onnxruntime",
    "torch",
    "ray",
    "paramiko",
}


@pytest.mark.parametrize("name", PACKAGES)
def test_each_top_level_name_is_ours_alone(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"sovereign-hybrid"}


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, json, hybrid.cli; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not HEAVY & set(loaded)


def test_every_registered_command_has_a_door_and_a_help_text() -> None:
    from hybrid.cli import COMMANDS

    for name in COMMANDS:
        shown = subprocess.run([sys.executable, "-m", "hybrid", name, "--help"], capture_output=True, text=True)
        assert shown.returncode == 0, (name, shown.stderr)
        assert "Usage:" in shown.stdout


def test_an_unknown_command_is_wrong_input() -> None:
    shown = subprocess.run([sys.executable, "-m", "hybrid", "plann"], capture_output=True, text=True)
    assert shown.returncode == 2
    assert "plann" in shown.stderr


def test_a_folder_where_a_file_is_wanted_is_wrong_input(tmp_path: Path) -> None:
    shown = subprocess.run([sys.executable, "-m", "hybrid", "diff", tmp_path, tmp_path], capture_output=True, text=True)
    assert shown.returncode == 2
    assert str(tmp_path) in shown.stderr
    assert "Traceback" not in shown.stderr
