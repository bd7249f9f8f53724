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
from hybrid.cli.plan import places
from hybrid.errors import InputError
from placement.engine import plan
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region

CLINICS = Path(str(files("sites") / "examples" / "clinics"))
DAYS = ("--from", "2026-12-01", "--until", "2027-02-28")


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str
    failure: Exception | None = None


def hybrid(*words: str | Path) -> Ended:
    """Walk through the door in this process, as `main` does."""
    out, err, code, failure = StringIO(), StringIO(), 0, None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            app([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception as error:
            code, failure = exit_code_of(error), error
    return Ended(code, out.getvalue(), err.getvalue(), failure)


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


def test_explain_of_a_plan_tells_who_lacks_what_with_numbers_and_repairs(fleet: Path) -> None:
    found = hybrid("explain", fleet / "plan.json")
    assert "14 workloads: 12 placed, 2 degraded, 0 unplaced" in found.stdout
    assert "because of hardware:memory: 670 MiB of memory on each node of box at clinic-jura" in found.stdout
    assert "repair: 1 more node of box at clinic-brest (+0.0161 EUR/h)" in found.stdout


def test_explain_of_a_workload_draws_the_path_of_its_latency(fleet: Path) -> None:
    found = hybrid("explain", fleet / "plan.json", "patient-message@clinic-lyon")
    lines = [line for line in found.stdout.splitlines() if " ms |" in line]
    assert [line.rpartition("|")[2].split()[0] for line in lines] == [
        "input", "triage", "triage", "draft", "draft", "recall",
    ]  # fmt: skip
    assert "clinic-lyon -> dc-paris" in lines[2]
    assert lines[-1].endswith("(meanwhile)")


def test_explain_of_a_stage_gives_the_price_of_every_site_where_it_may_be(fleet: Path) -> None:
    found = hybrid("explain", fleet / "plan.json", "log-triage@clinic-lyon/sort", "--output", "json")
    (stage,) = json.loads(found.stdout)["stages"]
    dearer = {site["site"]: site["dearerPerHour"] for site in stage["sites"] if site["standing"] == "possible"}
    assert dearer["dc-frankfurt"] > 0
    assert dearer["dc-paris"] > dearer["dc-frankfurt"]


def test_explain_prices_tells_what_each_rule_costs_and_proposes_nothing(fleet: Path) -> None:
    found = hybrid("explain", fleet / "plan.json", "--prices", "--output", "json")
    rules = {one["rule"]: one for one in json.loads(found.stdout)["rules"]}
    assert rules["residency:clinics/health-stays-european-controlled"]["perMonth"] == pytest.approx(12.58, abs=0.01)
    assert rules["noPack:US for system.operations"]["kind"] == "word"
    assert not any(one["estimate"] for one in rules.values())


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


def test_whatif_says_which_moves_are_forced_and_why_somebody_fares_worse(fleet: Path) -> None:
    lost = hybrid("whatif", fleet / "plan.json", "--lose", "dc-paris")
    assert lost.returncode == 0
    assert "4 moves, 4 of them forced" in lost.stdout
    assert "! patient-message/draft cannot stay at dc-paris: site:gone" in lost.stdout
    assert "because of capacity: 1 more node of box at clinic-bern" in lost.stdout
    assert "a month: 93.23 -> 55.50 EUR (-37.73)" in lost.stdout


def test_whatif_supposes_several_things_at_once(fleet: Path) -> None:
    words = ("--rate", "log-triage=x4", "--price", "dc-virginia=x20", "--nodes", "clinic-brest=+1")
    found = hybrid("whatif", fleet / "plan.json", *words, "--output", "json")
    answer = json.loads(found.stdout)
    assert found.returncode == 0
    assert {one["workload"]: one["after"] for one in answer["statuses"]} == {"patient-message@clinic-brest": "placed"}
    assert answer["costPerMonth"]["after"] > answer["costPerMonth"]["before"]


@pytest.fixture(scope="module")
def stricter(fleet: Path) -> Path:
    """Return the same fleet under a policy that keeps logs in Europe too."""
    shutil.copytree(fleet / "fleet", fleet.parent / "stricter")
    policy = fleet.parent / "stricter" / "policy.yaml"
    rule = (
        "{id: logs-too, effect: require, data: system.operations, activities: all, countries: [EU, EEA, CH], source: x}"
    )
    policy.write_text(policy.read_text().replace("  rules:\n", f"  rules:\n    - {rule}\n", 1))
    return policy.parent


def test_diff_with_another_policy_shows_what_becomes_illegal_what_moves_and_what_it_costs(
    fleet: Path, stricter: Path
) -> None:
    found = hybrid("diff", fleet / "plan.json", stricter)
    assert found.returncode == 0
    assert "! log-triage/sort cannot stay at dc-virginia: residency:clinics/logs-too" in found.stdout
    assert "6 moves, 6 of them forced" in found.stdout
    assert "a month: 93.23 -> 105.49 EUR (+12.26)" in found.stdout
    assert "next: hybrid plan" in found.stderr


def test_diff_with_another_policy_refuses_in_ci_what_becomes_illegal(fleet: Path, stricter: Path) -> None:
    found = hybrid("diff", fleet / "plan.json", stricter, "--legality", "--check", "--output", "json")
    assert found.returncode == 1
    assert {one["rules"][0] for one in json.loads(found.stdout)["illegal"]} == {"residency:clinics/logs-too"}
    same = hybrid("diff", fleet / "plan.json", fleet / "fleet", "--check")
    assert same.returncode == 0
    assert "nothing that runs would differ" in same.stdout


def test_diff_of_two_fleets_plans_the_first(fleet: Path, stricter: Path) -> None:
    found = hybrid("diff", fleet / "fleet", stricter, *DAYS, "--output", "json")
    answer = json.loads(found.stdout)
    assert len(answer["moves"]) == 6
    assert answer["worse"] == []


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


def test_rebalance_moves_what_is_not_forced_only_when_that_saves_enough(fleet: Path, tmp_path: Path) -> None:
    shutil.copytree(fleet / "fleet", tmp_path / "fleet")
    virginia = tmp_path / "fleet" / "sites" / "dc-virginia.yaml"
    virginia.write_text(virginia.read_text().replace("price: 0.24 EUR/h", "price: 2.40 EUR/h"))
    costs = {}
    for percent in (None, "0", "25", "27"):  # all moves save 26 % of the cost
        asked = () if percent is None else ("--rebalance", percent)
        to = tmp_path / "then.json"
        assert hybrid("plan", tmp_path / "fleet", "--current", fleet / "plan.json", *asked, "-o", to, *DAYS).stderr
        costs[percent] = json.loads(to.read_bytes())["cost"]["perHour"]
        moves = hybrid("diff", fleet / "plan.json", to).stdout.count("/sort: dc-virginia")
        assert moves == (6 if percent in ("0", "25") else 0)
    assert costs["27"] == costs[None] > costs["25"] == costs["0"]


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
        (("whatif", "PLAN", "--lose", "dc-paris", "--lose", "dc-paris"), "--lose dc-paris is given twice"),
        (
            ("whatif", "PLAN", "--lose-link", "clinic-lyon--dc-paris", "--lose-link", "dc-paris--clinic-lyon"),
            "--lose-link dc-paris--clinic-lyon is given twice",
        ),
        (("plan", "FLEET", "--check-current"), "give --current PLAN"),
        (("plan", "FLEET", "--from", "2026-12-02", "--until", "2026-12-01"), "lies before"),
        (("diff", "PLAN", "FLEET/policy.yaml"), "this is no plan"),
        (("diff", "FLEET", "PLAN"), "is no fleet"),
        (("diff", "PLAN", "PLAN", "--check"), "say nothing of the law"),
        (("explain", "PLAN", "log-triage@clinic-lyon", "--prices"), "about the whole plan"),
        (("whatif", "PLAN", "--instrument", "scc"), "no instrument of type 'scc'"),
        (("whatif", "PLAN", "--nodes", "dc-paris=many"), "no number of nodes"),
    ],
)
def test_wrong_words_end_with_two_and_say_what_to_do(fleet: Path, words: tuple[str, ...], message: str) -> None:
    places = {"PLAN": str(fleet / "plan.json"), "FLEET": str(fleet / "fleet")}
    given = [word.replace("FLEET", places["FLEET"]) if "FLEET" in word else places.get(word, word) for word in words]
    found = hybrid(*given)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_plan_replaces_files_and_nothing_else(fleet: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = hybrid("plan", fleet / "fleet", "-o", tmp_path / "pipe", *DAYS)
    assert isinstance(ended.failure, InputError)
    assert "no regular file" in str(ended.failure)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link.json").symlink_to("target.json")
    assert hybrid("plan", fleet / "fleet", "-o", tmp_path / "link.json", *DAYS).returncode == 0
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").read_bytes() == (fleet / "plan.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "pipe", "target.json"]


def test_every_part_of_a_split_workload_is_listed() -> None:
    spread = [{"stage": "triage", "by": "site", "most": 0.5}]
    nouns = [a_clinic(links=["dc", "dc-b"], hardware=[]), a_region(), a_region("dc-b"), a_model()]
    made = plan(a_problem(*nouns, a_pipeline(split=True, spread=spread)))
    assert places(made.workloads[0]) == "50 %: triage dc, 50 %: triage dc-b"


def test_another_process_writes_the_same_bytes(fleet: Path, tmp_path: Path) -> None:
    for seed in ("0", "1", "2"):
        words = [sys.executable, "-m", "hybrid", "plan", str(fleet / "fleet"), "-o", str(tmp_path / seed), *DAYS]
        subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60)
        assert (tmp_path / seed).read_bytes() == (fleet / "plan.json").read_bytes()
