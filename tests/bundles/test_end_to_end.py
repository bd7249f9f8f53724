"""A bundle built by headquarters is verified, installed, replaced and rolled back at a box."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bundles.errors import GateError
from bundles.install import roll_back
from bundles.layout import Box
from bundles.release import current_number, open_release
from tests.support.bundles import BundleForge


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def test_a_bundle_is_installed_and_opened(forge: BundleForge) -> None:
    box = forge.box()
    outcome = box.install(forge.build())
    release = open_release(box.root)
    assert outcome.before is None
    assert release.number == 1
    assert release.files["models/minilm/w8/tokenizer.json"].read_text() == '{"version": "1.0"}'
    assert release.site_plan["table"] == {"stages": ["triage", "quote"]}
    assert set(release.files) == set(forge.cargo().files)


def test_the_runtime_starts_from_its_launcher(forge: BundleForge) -> None:
    """The launcher runs the wheels beside it and nothing else on the path, and leaves nothing behind."""
    forge.code = {"hybrid/__init__.py": "", "hybrid/cli.py": "def main(): print('hello', __file__)"}
    box = forge.box()
    box.install(forge.build())
    launcher = open_release(box.root).launcher
    assert launcher is not None
    done = subprocess.run([sys.executable, "-I", "-B", launcher], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"hello {launcher.parent}")
    assert not list(launcher.parent.rglob("__pycache__"))


def test_a_second_release_replaces_the_first_and_rolls_back(forge: BundleForge) -> None:
    box = forge.box()
    box.install(forge.build())
    forge.clock.pass_(days=30)
    second = box.install(forge.build(forge.cargo(table={"stages": ["quote"]})))
    assert (second.before, current_number(Box(box.root))) == (1, 2)
    assert second.record.written < 20_000, "unchanged blobs and runtime cost nothing"
    assert roll_back(box.standing()).number == 1
    assert open_release(box.root).site_plan["table"] == {"stages": ["triage", "quote"]}


def test_rollback_stops_at_the_security_floor(forge: BundleForge) -> None:
    """A release below the floor that a later plan set never serves again."""
    box = forge.box()
    box.install(forge.build())
    forge.clock.pass_(days=1)
    box.install(forge.build(forge.cargo(security_version=2, min_security_version=2)))
    before = box.snapshot()
    with pytest.raises(GateError, match="FLOOR"):
        roll_back(box.standing())
    assert box.snapshot() == before


def test_the_same_input_gives_the_same_digest(forge: BundleForge) -> None:
    _, first = forge.try_build()
    forge.clock.pass_(days=2)
    _, second = forge.try_build()
    assert (first.digest, first.number) == (second.digest, second.number)


def test_the_same_bundle_may_be_installed_twice(forge: BundleForge) -> None:
    box, bundle = forge.box(), forge.build()
    box.install(bundle)
    again = box.install(bundle)
    assert again.record.written == 0
    assert open_release(box.root).number == 1
