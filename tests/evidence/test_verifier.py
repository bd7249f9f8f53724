"""The single-file verifier, run as a compliance team would: alone, against bundles, and against lies."""

from __future__ import annotations

import ast
import datetime as dt
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hybrid.cli import audit as audit_command
from hybrid.cli import report as report_command
from hybrid.errors import EvidenceError
from hybrid.evidence import page, verifier
from hybrid.evidence.export import export
from hybrid.evidence.reconciliation import Period
from hybrid.evidence.recovery import read_notes
from hybrid.evidence.report import build
from hybrid.evidence.sources import read_sources
from tests.support.evidence import (
    DIGEST,
    Clock,
    a_crossing,
    a_flow,
    a_log,
    a_plan,
    a_problem,
    honest_records,
    lines_of,
    open_log,
    write_lines,
    write_logs,
)

PERIOD = Period(dt.date(2026, 12, 1), dt.date(2026, 12, 2))
LATER = Clock(dt.datetime(2026, 12, 2, 10, tzinfo=dt.UTC))
BREACH = a_crossing("breach", "dc-ohio", a_flow("recall", "draft", "clinic-lyon", "dc-ohio"), verdict="deny")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder with plan.json, report.json and evidence/*.tar of a day with one breach."""
    records = honest_records()
    plan = json.dumps(a_plan()).encode()
    digest = "sha256:" + sha256(plan).hexdigest()
    for entry in (entry for entries in records.values() for entry in entries if "planDigest" in entry):
        entry["planDigest"] = digest
    records["dc-ohio"].append(BREACH | {"planDigest": digest})
    logs = write_logs(tmp_path / "logs", records, days=2)
    report = build(
        a_plan(), digest, a_problem(), read_sources(logs, {}), PERIOD, dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
    )
    (tmp_path / "plan.json").write_bytes(plan)
    (tmp_path / "report.json").write_text(page.to_json(report))
    (tmp_path / "evidence").mkdir()
    for log in logs:
        export(log, tmp_path / "evidence" / f"{log.name}.tar")
    return tmp_path


def run(case: Path, **pins: str) -> dict[str, Any]:
    return verifier.verify(case / "report.json", [case / "evidence"], pins, case / "plan.json")


def wrong(case: Path, **pins: str) -> list[str]:
    return [f"{check['what']}: {check['wrong']}" for check in run(case, **pins)["checks"] if check["wrong"]]


def change(case: Path, edit: Callable[[dict[str, Any]], object], *, sign: bool = True) -> None:
    """Edit the report as a liar would, the digest made to fit."""
    report = json.loads((case / "report.json").read_text())
    edit(report)
    if sign:
        report["verdict"]["digest"] = verifier.verdict_digest(report)
    (case / "report.json").write_text(json.dumps(report))


def test_it_runs_alone_and_imports_nothing_of_ours(case: Path) -> None:
    source = Path(verifier.__file__)
    tree = ast.parse(source.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {*sys.stdlib_module_names, "cryptography"}
    assert len(source.read_text().splitlines()) < 400
    shutil.copy(source, case / "verifier.py")
    argv = [sys.executable, "-I", "verifier.py", "report.json", "evidence/", "--plan", "plan.json"]
    done = subprocess.run(argv, cwd=case, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the report says 'breach', and all of it holds" in done.stdout


def test_keys_from_the_custodian_are_held_against_the_bundles(case: Path) -> None:
    keys = {site: (case / "logs" / site / "log.vkey").read_text() for site in ("dc-paris", "dc-ohio")}
    assert wrong(case, **keys) == []
    assert "another key than the one given for dc-paris" in wrong(case, **{"dc-paris": keys["dc-ohio"]})[0]


LIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda r: r["breaches"].clear(), "0 breaches: the evidence shows ['dc-ohio#3']"),
    (lambda r: r["verdict"].update(outcome="clean"), "verdict clean: what the report found leads to breach"),
    (lambda r: r["flows"][0]["observed"].update(sent=2), "counts of 4 flows: not as the evidence says: F1"),
    (lambda r: r["flows"][0]["observed"].update(bytes=1), "not as the evidence says: F1"),
    (lambda r: r["flows"][0].update(rules=["eu-gdpr/invented"]), "F1 does not stand so in the plan"),
    (lambda r: r["flows"].append(r["flows"][0] | {"id": "F9", "to": "dc-paris"}), "F9"),
    (lambda r: r["evidence"].pop(3), "left out of the report, or here twice: dc-ohio"),
    (lambda r: r["evidence"][3].update(size=3), "no checkpoint of size 3 with the report's root"),
    (lambda r: r["plan"].update(digest="sha256:" + "0" * 64), "not the plan that the report names"),
    (lambda r: r["flows"][0].update(data=["user.name"]), "F1 does not stand so in the plan"),
    (lambda r: r["coverage"]["rows"].pop(0), "its coverage leaves out clinic-bern"),
]  # fmt: skip


@pytest.mark.parametrize(("lie", "said"), LIES)
def test_a_report_that_lies_is_caught(case: Path, lie: Callable[[dict[str, Any]], object], said: str) -> None:
    change(case, lie)
    assert any(said in line for line in wrong(case)), wrong(case)


def test_a_report_changed_after_it_was_made_is_caught_by_its_digest(case: Path) -> None:
    change(case, lambda r: r["flows"][0].update(parties=["Somebody Else"]), sign=False)
    assert wrong(case) == ["verdict digest: is another"]


QUIET: dict[str, Any] = {"silent": [], "uncovered": {}, "omissions": [], "foreign": {}, "erased": {}}


def made_of(case: Path, records: dict[str, list[dict[str, Any]]], *, days: int = 2) -> None:
    """Write logs, evidence and report of `case` anew, of these records."""
    for folder in ("logs", "evidence"):
        shutil.rmtree(case / folder)
    digest = "sha256:" + sha256((case / "plan.json").read_bytes()).hexdigest()
    for entry in (entry for entries in records.values() for entry in entries if "planDigest" in entry):
        entry["planDigest"] = digest if entry["planDigest"] == DIGEST else entry["planDigest"]
    logs, made = write_logs(case / "logs", records, days=days), dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
    (case / "evidence").mkdir()
    for log in logs:
        export(log, case / "evidence" / f"{log.name}.tar")
    report = build(a_plan(), digest, a_problem(), read_sources(logs, {}), PERIOD, made)
    (case / "report.json").write_text(page.to_json(report))


def pretend_clean(report: dict[str, Any]) -> None:
    report["gaps"] = QUIET
    report["verdict"]["outcome"] = "clean"


OTHER_PLAN = a_crossing("intent", "clinic-lyon", a_flow("recall", "draft", "clinic-lyon", "dc-ohio"))


@pytest.mark.parametrize(
    ("bend", "days", "said"),
    [(lambda records: records.pop("clinic-bern"), 2, "silent ['clinic-bern']"),
     (lambda records: None, 1, "uncovered {'clinic-bern': 1"),
     (lambda records: records["clinic-lyon"].append(OTHER_PLAN | {"planDigest": "sha256:" + "6" * 64}), 2,
      "foreign {'clinic-lyon': 1}"),
     (lambda records: records["clinic-lyon"].pop(0), 2, "omissions"),
     (lambda records: records["dc-ohio"].append({"kind": "start", "site": "clinic-lyon"}), 2, "omissions")],
)  # fmt: skip
def test_a_gap_that_the_report_keeps_quiet_about_is_caught(
    case: Path, bend: Callable[[Any], object], days: int, said: str
) -> None:
    """Whoever writes the report leaves out that a site was silent, that days or records are missing, and says clean."""
    records = honest_records()
    bend(records)
    made_of(case, records, days=days)
    assert wrong(case) == []
    change(case, pretend_clean)
    assert any(line.startswith("gaps: ") and said in line for line in wrong(case)), wrong(case)


def test_a_report_made_on_less_evidence_than_there_was_is_caught(case: Path) -> None:
    """The report rests on an older head of the log, from before the breach that happened before the report was made."""
    made_of(case, honest_records())
    early = json.loads((case / "report.json").read_text())
    assert (early["verdict"]["outcome"], wrong(case)) == ("clean", [])
    with open_log(case / "logs" / "dc-ohio", site="dc-ohio", seed=13, clock=LATER) as log:
        log.append(BREACH, durable=True)
    export(case / "logs" / "dc-ohio", case / "evidence" / "dc-ohio.tar")
    assert wrong(case) == ["0 breaches: the evidence shows ['dc-ohio#3']"]


def test_a_bundle_that_is_missing_or_here_twice_is_named(case: Path) -> None:
    shutil.copy(case / "evidence" / "dc-ohio.tar", case / "evidence" / "again.tar")
    assert any("here twice: dc-ohio" in line for line in wrong(case))
    (case / "evidence" / "again.tar").unlink()
    (case / "evidence" / "dc-ohio.tar").unlink()
    assert "log of dc-ohio: no bundle of this site is at hand" in wrong(case)


def edit_bundle(case: Path, site: str, edit: Callable[[list[dict[str, Any]]], object], name: str = "records") -> None:
    """Unpack a bundle, edit the lines of one file, and make the manifest fit, as somebody with time would."""
    tar, folder = case / "evidence" / f"{site}.tar", case / "evidence" / site
    with tarfile.open(tar) as opened:
        opened.extractall(folder, filter="data")
    tar.unlink()
    path = folder / f"{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edit(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path.name] = "sha256:" + sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("edit", "said"),
    [(lambda rows: rows.pop(1), "record 1 is not in the signed log"),
     (lambda rows: rows.pop(), "record 3 is missing: 4 were signed"),
     (lambda rows: rows.reverse(), "record 0 is not in the signed log"),
     (lambda rows: rows[3].update(record=rows[3]["record"].replace("deny", "okay")), "record 3 is altered"),
     (lambda rows: rows[3].update(record=None), "record 3 is gone and no erasure names it"),
     (lambda rows: rows[3].update(proof=rows[3]["proof"][:-1]), "record 3 is not in the signed log")],
)  # fmt: skip
def test_a_bundle_that_was_rewritten_is_caught(case: Path, edit: Callable[[Any], object], said: str) -> None:
    edit_bundle(case, "dc-ohio", edit)
    assert any(said in line for line in wrong(case)), wrong(case)


def test_a_head_that_does_not_extend_the_one_before_is_caught(tmp_path: Path) -> None:
    """Both checkpoints are truly signed, by a log that showed each of two readers another past."""
    a_log(tmp_path / "one", records=6, every=3)
    a_log(tmp_path / "two", records=6, every=6)
    (tmp_path / "evidence").mkdir()
    export(tmp_path / "one", tmp_path / "evidence" / "clinic-lyon.tar")
    old = read_notes(tmp_path / "two")[-1]
    edit_bundle(tmp_path, "clinic-lyon", lambda rows: rows[2].update(note=old), "checkpoints")
    with pytest.raises(verifier.Refused, match="the checkpoint of size 6 does not extend that of size 3"):
        verifier.open_bundle(tmp_path / "evidence" / "clinic-lyon", {})


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bit_of_a_bundle_goes_unseen(case: Path, data: st.DataObject) -> None:
    folder = case / "evidence" / "dc-ohio"
    if not folder.exists():
        edit_bundle(case, "dc-ohio", lambda rows: None)
        assert wrong(case) == []
    path = folder / data.draw(st.sampled_from(["records.jsonl", "checkpoints.jsonl"]))
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    path.write_bytes(before[:at] + bytes([before[at] ^ 1 << data.draw(st.integers(0, 7))]) + before[at + 1 :])
    found = wrong(case)
    path.write_bytes(before)
    assert found


def test_an_export_is_the_same_bytes_again_and_holds_no_key(tmp_path: Path) -> None:
    log = a_log(tmp_path / "log")
    first = export(log, tmp_path / "a.tar")
    assert export(log, tmp_path / "b.tar").digest == first.digest
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as opened:
        assert opened.getnames() == ["manifest.json", "checkpoints.jsonl", "records.jsonl"]


def test_what_does_not_hold_is_not_exported(tmp_path: Path) -> None:
    log = a_log(tmp_path / "log")
    write_lines(log, lines_of(log)[:-1])
    with pytest.raises(EvidenceError, match="record 9 is missing"):
        export(log, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()


def test_the_commands_export_and_verify(case: Path) -> None:
    out = case / "again.tar"
    done = CliRunner().invoke(audit_command.app, ["export", str(case / "logs" / "dc-paris"), "-o", str(out)])
    assert (done.exit_code, out.read_bytes()) == (0, (case / "evidence" / "dc-paris.tar").read_bytes())
    logs = [str(case / "logs" / site) for site in sorted(honest_records())]
    good = CliRunner().invoke(report_command.app, ["verify", str(case / "report.json"), *logs, "--output", "json"])
    assert (good.exit_code, json.loads(good.stdout)["holds"]) == (0, True)
    change(case, lambda r: r["breaches"].clear())
    bad = CliRunner().invoke(report_command.app, ["verify", str(case / "report.json"), str(case / "evidence")])
    assert bad.exit_code == 3
    assert "dc-ohio#3" in bad.stdout
