"""`hybrid trust` as custodians type it, each with a mistake or two: the message says whose it is and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ENV = {**os.environ, "HYBRID_PASSPHRASE": "correct horse battery", "NO_COLOR": "1"}


@pytest.fixture
def trust(tmp_path: Path) -> Any:
    def run(*arguments: object, code: int = 0, **env: str) -> Any:
        """Run `hybrid trust …` in `tmp_path` and return its JSON; where it fails, what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "hybrid", "trust", *map(str, arguments), "--output", "json"],
            env={**ENV, "PYTHONPATH": str(Path(__file__).parents[2]), **env}, cwd=tmp_path, text=True,
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code > 1 else json.loads(done.stdout)

    return run


@pytest.mark.slow
def test_a_headquarters_from_its_first_root_to_another_profile(trust: Any, tmp_path: Path) -> None:
    people = {"ada": "release", "ben": "release", "dora": "compliance"}
    ids = {}
    for name, duty in people.items():
        ids[name] = trust("add-key", f"keys/{name}", "--custodian", name, "--duty", duty)["keys"]
    assert "keys already" in trust("add-key", "keys/ada", "--custodian", "ada", code=2)
    assert "greater than or equal to 2" in trust("init", "hq", "--custodian", "keys", "--release", 1, code=2)
    assert "fewer than 3" in trust("init", "hq", "--custodian", "keys", "--release", 3, code=2)
    assert not (tmp_path / "hq").exists()
    made = trust("init", "hq", "--custodian", "keys")
    assert made["waiting"] == {"ada": ["root"], "ben": ["root"]}
    assert {one["custodian"]: one["keys"] for one in made["custodians"]} == ids  # what is compared by telephone

    asked = trust("sign", "hq", "--request", "r.json")
    read = trust("sign", "r.json", "--dry-run")
    assert read["digest"] == asked["digest"]
    assert "custodian ada (release) is new" in read["roles"][0]["changes"]
    assert "NOT-ASKED" in trust("sign", "r.json", "--keys", "keys/dora", "-o", "dora.json", "--yes", code=2)
    wrong = trust("sign", "r.json", "--keys", "keys/ada", "-o", "ada.json", "--yes", code=2, HYBRID_PASSPHRASE="wrong")
    assert "PASSPHRASE" in wrong
    assert not (tmp_path / "ada.json").exists()
    trust("sign", "r.json", "--keys", "keys/ada", "-o", "ada.json", "--yes")
    assert trust("sign", "hq", "--add", "ada.json")["waiting"] == {"ben": ["root"]}
    assert trust("sign", "hq", "--request", "r.json")["digest"] == asked["digest"]  # what others signed changes nothing
    trust("sign", "r.json", "--keys", "keys/ben", "-o", "ben.json", "--yes")
    done = trust("sign", "hq", "--add", "ben.json")
    assert [role["state"] for role in done["roles"]] == ["published"]
    assert "needed no more" in trust("sign", "hq", "--add", "ben.json", code=2)

    trust("add-key", "keys87/ada", "--custodian", "ada", "--profile", "cnsa2")
    assert "another profile" in trust("rotate", "hq", "--custodian", "keys87/ada", code=2)
    assert "another profile" in trust("rotate", "hq", "--custodian", "keys87/ada", "--profile", "cnsa2", code=2)
    for name in ("ben", "dora"):
        trust("add-key", f"keys87/{name}", "--custodian", name, "--duty", people[name], "--profile", "cnsa2")
    half = trust("rotate", "hq", "--custodian", "keys87", "--profile", "cnsa2", "--keys", "keys87")
    assert half["profile"] == "cnsa2"
    assert "0 of 2" in " ".join(half["roles"][0]["lacks"])
    assert "WAITING" in trust("revoke", "hq", "ben", code=2)
    assert trust("abandon", "hq")["profile"] == "standard"
    again = trust("rotate", "hq", "--custodian", "keys87", "--profile", "cnsa2", "--keys", "keys87")
    assert again["roles"][0]["version"] == 2
    assert trust("sign", "hq", "--keys", "keys")["roles"][0]["state"] == "published"


@pytest.mark.slow
def test_what_runs_out_is_told_and_renewed(trust: Any) -> None:
    """`--check` is for a timer: exit 1 while something runs out, 0 again once its successor is published."""
    for name, duty in {"ada": "release", "ben": "release", "dora": "compliance"}.items():
        trust("add-key", f"keys/{name}", "--custodian", name, "--duty", duty)
    trust("init", "hq", "--custodian", "keys", "--keys", "keys")
    assert trust("status", "hq", "--check")["warnings"] == []
    assert trust("status", "hq", "--check", "--warn-days", 2000, code=1)["warnings"] == ["root runs out in 1824 days"]
    assert "nothing runs out" in trust("renew", "hq", code=2)
    assert trust("renew", "hq", "--within", 2000, "--keys", "keys")["roles"][0]["version"] == 2
