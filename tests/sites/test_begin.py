"""`hybrid init`, `validate` and `schema` as somebody types them: output, exit code, and what stays on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.cli.init import copy_example


def hybrid(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hybrid", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_init_then_validate(tmp_path: Path) -> None:
    made = hybrid("init", tmp_path / "mine")
    assert made.returncode == 0
    assert "next: hybrid validate" in made.stderr
    valid = hybrid("validate", tmp_path / "mine", "--output", "json")
    said = json.loads(valid.stdout)
    assert valid.returncode == 0
    assert said["valid"]
    assert said["manifests"]["Site"] == 10


def test_init_fills_an_empty_directory_in_which_one_stands(tmp_path: Path) -> None:
    assert hybrid("init", ".", cwd=tmp_path).returncode == 0
    assert sorted(os.listdir(tmp_path))[0] == "README.md"


def test_init_refuses_a_directory_with_anything_in_it_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("keep")
    refused = hybrid("init", tmp_path / "mine")
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "note"]


@pytest.mark.parametrize("exists", [False, True])
def test_interrupted_init_leaves_nothing_behind(tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "mine"
    if exists:
        target.mkdir()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # The last step of the copy is the one that is interrupted.
    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        copy_example(target)
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])


def test_validate_prints_every_error_and_exits_2(tmp_path: Path) -> None:
    hybrid("init", tmp_path / "mine")
    site = tmp_path / "mine" / "sites" / "clinic-lyon.yaml"
    text = site.read_text(encoding="utf-8")
    site.write_text(text.replace("location: FR-69", "location: FR-00"), encoding="utf-8")
    (tmp_path / "mine" / "extra.yaml").write_text("a: *b\n", encoding="utf-8")
    wrong = hybrid("validate", tmp_path / "mine")
    assert wrong.returncode == 2
    assert "extra.yaml:1:4: aliases are not read" in wrong.stdout
    assert "sites/clinic-lyon.yaml:8:13: spec.location: 'FR-00'" in wrong.stdout
    assert "2 errors" in wrong.stdout
    site.write_text(text.replace("to: dc-paris", "to: dc-pari"), encoding="utf-8")
    (tmp_path / "mine" / "extra.yaml").unlink()
    lost = hybrid("validate", tmp_path / "mine")
    assert lost.returncode == 2
    assert "no site 'dc-pari'" in lost.stdout


def test_schema_prints_each_kind_and_knows_a_near_miss() -> None:
    shown = hybrid("schema", "site")
    assert json.loads(shown.stdout)["properties"]["kind"] == {"const": "Site"}
    missed = hybrid("schema", "Pipelin")
    assert missed.returncode == 2
    assert "did you mean Pipeline?" in missed.stderr
