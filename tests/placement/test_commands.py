"""`hybrid plan`, `explain`, `diff`, `whatif`: doors with exit codes, the same as JSON, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pytest

from hybrid.cli import app
from hybrid.cli.console import exit_code_of

CLINICS = Path(str(files("sites") / "examples" / "clinics"))
DAYS = ("--from", "2026-12-01", "--until", "2027-02-28")


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def hybrid(*words: str | Path) -> Ended:
    """Walk through the door in this process, as `main` does."""
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            app([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception as error:
            code = exit_code_of(error)
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the example fleet and its plan beside it."""
    folder = tmp_path_factory.mktemp("clinics")
    shutil.copytree(CLINICS, folder / "fleet")
    made = hybrid("plan", folder / "fleet", "-o", folder / "plan.json", *DAYS)
    assert made.returncode == 0, made.stderr
    assert "proven optimal" in made.stdout
    assert "next: hybrid" in made.stderr
    return folder


def test_explain_not_there_gives_every_failing_decision(fleet: Path) -> None:
    asked = ("patient-message@clinic-lyon/draft", "--not", "dc-frankfurt")
    found = hybrid("explain", fleet / "plan.json", *asked, "--output", "json")
    answer = json.loads(found.stdout)
    assert found.returncode == 0
    assert {"data", "activity", "place", "party", "verdict", "rules"} == set(answer["decisions"][0])
    assert all(decision["verdict"] != "permit" for decision in answer["decisions"])


def test_explain_not_there_gives_the_price_where_the_law_has_no_objection(fleet: Path) -> None:
    found = hybrid(
        "explain", fleet / "plan.json", "log-triage@clinic-lyon/sort", "--not", "dc-paris", "--output", "json"
    )
    answer = json.loads(found.stdout)
    assert answer["rules"] == []
    assert answer["costPerHour"]["there"] > answer["costPerHour"]["asPlanned"]


def test_whatif_a_site_is_lost_shows_who_is_served_otherwise(fleet: Path) -> None:
    found = hybrid("whatif", fleet / "plan.json", "--lose", "dc-virginia", "--output", "json")
    answer = json.loads(found.stdout)
    assert found.returncode == 0
    assert answer["moves"]
    assert all("dc-virginia" not in move["after"] for move in answer["moves"])


def test_diff_of_a_plan_with_itself_is_nothing(fleet: Path) -> None:
    found = hybrid("diff", fleet / "plan.json", fleet / "plan.json")
    assert found.stdout == "nothing that runs differs\n"


def test_check_current_accepts_an_unchanged_fleet_and_refuses_a_changed_one(fleet: Path, tmp_path: Path) -> None:
    current = ("--current", fleet / "plan.json", "--check-current", *DAYS)
    assert hybrid("plan", fleet / "fleet", *current).returncode == 0
    shutil.copytree(fleet / "fleet", tmp_path / "fleet")
    lyon = tmp_path / "fleet" / "sites" / "clinic-lyon.yaml"
    lyon.write_text(lyon.read_text().replace("role: clinic", "role: depot"))
    changed = hybrid("plan", tmp_path / "fleet", *current)
    assert changed.returncode == 1
    assert "patient-message@clinic-lyon: placed -> absent" in changed.stdout


def test_a_stale_plan_is_refused_with_the_input_that_changed(fleet: Path, tmp_path: Path) -> None:
    shutil.copytree(fleet / "fleet", tmp_path / "fleet")
    with (tmp_path / "fleet" / "policy.yaml").open("a") as file:
        file.write("\n# one more line\n")
    found = hybrid("explain", fleet / "plan.json", "log-triage@clinic-lyon", "--fleet", tmp_path / "fleet")
    assert found.returncode == 2
    assert "policy.yaml: changed" in found.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("explain", "PLAN", "nobody@nowhere"), "no workload 'nobody@nowhere'"),
        (("explain", "PLAN", "log-triage@clinic-lyon/sorting"), "has no stage 'sorting'"),
        (("explain", "PLAN", "log-triage@clinic-lyon/sort", "--not", "moon"), "no site 'moon'"),
        (("whatif", "PLAN", "--price", "dc-paris=cheap"), "'cheap' is no factor"),
        (("whatif", "PLAN"), "nothing is supposed"),
        (("plan", "FLEET", "--check-current"), "give --current PLAN"),
        (("plan", "FLEET", "--from", "2026-12-02", "--until", "2026-12-01"), "lies before"),
        (("diff", "PLAN", "FLEET/policy.yaml"), "this is no plan"),
    ],
)
def test_wrong_words_end_with_two_and_say_what_to_do(fleet: Path, words: tuple[str, ...], message: str) -> None:
    places = {"PLAN": str(fleet / "plan.json"), "FLEET": str(fleet / "fleet")}
    given = [word.replace("FLEET", places["FLEET"]) if "FLEET" in word else places.get(word, word) for word in words]
    found = hybrid(*given)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_another_process_writes_the_same_bytes(fleet: Path, tmp_path: Path) -> None:
    for seed in ("0", "1", "2"):
        words = [sys.executable, "-m", "hybrid", "plan", str(fleet / "fleet"), "-o", str(tmp_path / seed), *DAYS]
        subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60)
        assert (tmp_path / seed).read_bytes() == (fleet / "plan.json").read_bytes()
