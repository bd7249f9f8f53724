"""The example fleet: it is valid, says what its README says, and its verdicts are those reviewed by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from hybrid.cli.schema import schema_of
from placement.knowledge import Knowledge
from placement.problem import KINDS, read_problem
from sites.document import read
from sites.fleet import read_fleet, shipped_packs
from sites.policy import Pack
from tests.support.verdict_table import CLINICS, GOLDEN, SINCE, UNTIL, table


@pytest.fixture
def clinics(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CLINICS, tmp_path / "fleet"))


def change(fleet: Path, file: str, old: str, new: str) -> None:
    path = fleet / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_verdicts_are_those_that_were_reviewed() -> None:
    assert table(read_problem(CLINICS, SINCE, UNTIL)) == GOLDEN.read_text(encoding="utf-8"), (
        "review the difference by hand, then: python -m tests.support.verdict_table"
    )


def test_one_fact_for_the_worse_refuses_paris_with_its_reason(clinics: Path) -> None:
    text = (clinics / "sites/dc-paris.yaml").read_text(encoding="utf-8")
    (good,) = (line for line in text.splitlines() if line.startswith("    operator:"))
    (worse,) = (line for line in text.splitlines() if line.startswith("    # operator:"))
    change(clinics, "sites/dc-paris.yaml", good + "\n", worse.replace("# ", "") + "\n")
    before, after = GOLDEN.read_text(encoding="utf-8"), table(read_problem(clinics, SINCE, UNTIL))
    refused = "DENY    dc-frankfurt dc-paris\n            by clinics/health-stays-european-controlled"
    assert refused in after
    assert refused not in before
    logs = "log-triage @ clinic-bern"
    assert (
        after[after.index(logs) : after.index("patient-message")]
        == before[before.index(logs) : before.index("patient-message")]
    )


def test_certificate_that_ends_within_the_window_refuses_what_is_kept(clinics: Path) -> None:
    change(clinics, "sites/clinic-lyon.yaml", "until: 2028-05-31", "until: 2027-01-31")
    assert "DENY    clinic-lyon\n            by clinics/health-kept-where-certified" in table(
        read_problem(clinics, SINCE, UNTIL)
    )


def test_word_that_lapses_makes_operations_data_abroad_undetermined(clinics: Path) -> None:
    change(clinics, "policy.yaml", "until: 2027-12-31", "until: 2027-01-31")
    assert "unknown dc-virginia\n            by no-pack/US" in table(read_problem(clinics, SINCE, UNTIL))


def test_knowledge_names_the_digest_of_its_documents() -> None:
    (store,) = read_fleet(CLINICS, KINDS).of(Knowledge)
    documents = sorted((CLINICS / str(store.spec.source.path)).glob("*.md"))
    listing = "".join(f"{hashlib.sha256(d.read_bytes()).hexdigest()}  {d.name}\n" for d in documents)
    assert store.spec.source.digest == "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def test_every_manifest_satisfies_the_schema_that_editors_get() -> None:
    kinds = {**KINDS, "Pack": Pack}
    packs = [Path(__file__).parents[2] / "sites/packs" / f"{name}.yaml" for name in shipped_packs()]
    for path in [*sorted(CLINICS.rglob("*.yaml")), *packs]:
        for document in read(path.read_text(encoding="utf-8")):
            schema = json.loads(json.dumps(schema_of(document.value["kind"], kinds[document.value["kind"]])))
            jsonschema.Draft202012Validator(schema).validate(document.value)


def test_story_of_the_readme_is_what_the_planner_finds() -> None:
    from placement.engine import plan

    made = plan(read_problem(CLINICS, SINCE, UNTIL)).to_json()
    where = {
        (work["id"], stage["stage"]): stage["site"]
        for work in made["workloads"]
        for part in work["assignments"]
        for stage in part["stages"]
    }
    degraded = {work["id"] for work in made["workloads"] if work["status"] == "degraded"}
    assert not made["unplaced"]
    assert degraded == {"patient-message@clinic-jura", "patient-message@clinic-brest"}
    for clinic in ("bern", "dresden", "freiburg", "lyon", "zuerich"):
        origin = f"clinic-{clinic}"
        assert where[f"log-triage@{origin}", "sort"] == "dc-virginia"
        assert where[f"patient-message@{origin}", "triage"] == origin
        assert where[f"patient-message@{origin}", "draft"] == "dc-paris"
    assert where["log-triage@clinic-brest", "sort"] == "dc-virginia"
    assert where["log-triage@clinic-jura", "sort"] == "clinic-jura"
    assert where["patient-message@clinic-jura", "quote"] == "clinic-jura"


def test_no_shipped_pack_has_been_reviewed_and_each_rule_says_where_it_is_from() -> None:
    for pack in shipped_packs().values():
        assert pack.spec.reviewed_by is None
        for rule in pack.spec.rules:
            assert "https://" in rule.source, (pack.name, rule.id)
            assert rule.checked is not None, (pack.name, rule.id)
            assert rule.confidence is not None, (pack.name, rule.id)
    assert not [rule for rule in shipped_packs()["org-default"].spec.rules if rule.effect == "permit"]
