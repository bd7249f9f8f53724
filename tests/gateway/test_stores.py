"""What a site does with its installed release by itself: index its documents, issue keys, say whose log is whose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundles.release import Release, open_release
from hybrid.cli.report import read_pins
from hybrid.errors import InputError
from hybrid.evidence.audit import verify_log
from hybrid.evidence.log import EvidenceLog
from hybrid.evidence.sources import read_sources
from hybrid.gateway.compilation import compile_table
from hybrid.gateway.credentials import FILE, Credentials
from hybrid.gateway.identity import read_identity
from hybrid.gateway.service import index_stores
from hybrid.gateway.table import Table
from hybrid.knowledge import build_index, documents_of, read_index
from tests.support.boxes import an_installed_box
from tests.support.gateway import ORIGIN, Clock, a_plan
from tests.support.placement import a_clinic, a_knowledge, a_law, a_model, a_pipeline, a_stage
from tests.support.sites import a_fleet, a_policy

OPERATIONS = {"data": "system.operations", "law": ["FR"]}


def hybrid(*arguments: object, code: int = 0) -> Any:
    """Run a command with JSON output and return what it printed; on failure, its errors."""
    argv = [sys.executable, "-m", "hybrid", *map(str, arguments), "--output", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return headquarters' folder; the box of the clinic lies in it under its name."""
    base = tmp_path_factory.mktemp("stores")
    an_installed_box(base)
    return base


@pytest.fixture
def release(base: Path) -> Release:
    """Return the clinic's release, whose documents nobody has indexed."""
    (base / ORIGIN / "knowledge" / "protocols.index").unlink(missing_ok=True)
    return open_release(base / ORIGIN)


def indexed(release: Release) -> Any:
    """Return the head of the store's index."""
    return read_index(release.root / "knowledge" / "protocols.index").head


def test_a_missing_index_is_made_by_the_plans_embedder_under_the_stores_own_label(release: Release) -> None:
    assert index_stores(release, Table.of(release.site_plan["table"])) == ("protocols",)

    head = indexed(release)
    assert (head.model, head.variant, sorted(head.documents)) == ("finder", "w8", ["pain.md", "visits.md"])
    assert [atom.items() >= OPERATIONS.items() for atom in head.label] == [True]


def test_an_index_that_is_as_the_plan_says_is_not_made_again(release: Release) -> None:
    table = Table.of(release.site_plan["table"])
    index_stores(release, table)
    path = release.root / "knowledge" / "protocols.index"
    before = path.stat()

    assert index_stores(release, table) == ()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_index_of_other_documents_is_made_again(release: Release, tmp_path: Path) -> None:
    table = Table.of(release.site_plan["table"])
    index_stores(release, table)
    before = indexed(release).documents
    (tmp_path / "pain.md").write_text("# Chest pain\n\nCall at once.\n", encoding="utf-8")
    newer = replace(release, files={**release.files, "knowledge/protocols/pain.md": tmp_path / "pain.md"})

    assert index_stores(newer, table) == ("protocols",)
    after = indexed(release).documents
    assert after["pain.md"] != before["pain.md"]
    assert after["visits.md"] == before["visits.md"]


def test_an_index_under_another_label_is_made_again(release: Release) -> None:
    """An unlabelled index would refuse everything; one labelled too loosely would permit what it may not."""
    public, folder = {"data": "system", "law": ["US"]}, release.root / "knowledge"
    found = documents_of(release, "protocols")
    build_index(release, "protocols", found, knowledge=folder, model="finder", variant="w8", label=[public])

    assert index_stores(release, Table.of(release.site_plan["table"])) == ("protocols",)
    assert public not in indexed(release).label


def test_a_site_adds_documents_of_its_own_and_need_not_say_what_the_plan_says(release: Release, tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("# Own\n\nrest when it hurts\n", encoding="utf-8")

    told = hybrid("knowledge", "add", "protocols", "--from", tmp_path, "--root", release.root)

    assert (told["embedder"], told["documents"]) == ("finder/w8", 1)
    table = Table.of(release.site_plan["table"])
    assert list(indexed(release).label) == table.label_json(table.file.stores["protocols"].label)


def test_a_knowledge_that_the_plan_does_not_read_needs_an_embedder(release: Release, tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("# Own\n\nrest\n", encoding="utf-8")
    said = hybrid("knowledge", "add", "recipes", "--from", tmp_path, "--root", release.root, code=2)
    assert "--model" in said
    assert not (release.root / "knowledge" / "recipes.index").exists()


def test_two_embedders_for_one_store_at_one_site_are_refused_when_the_table_is_made() -> None:
    recalls = [
        a_pipeline(name, a_stage("recall", task="retrieve", models=[model], knowledge="protocols", output="6KiB"))
        for name, model in (("ask", "finder"), ("look", "seeker"))
    ]
    models = [a_model(name, task="embed") for name in ("finder", "seeker")]
    nouns = [a_clinic(), *models, a_knowledge(), *recalls, a_policy(packs=["law"])]
    fleet = a_fleet(*nouns, given=(a_law(),))

    with pytest.raises(InputError, match="protocols at clinic with two embedders: finder/w8 and seeker/w8"):
        compile_table(a_plan(fleet), fleet, "clinic")


def test_a_key_is_printed_once_and_asks_for_what_it_was_issued_for(release: Release) -> None:
    made = hybrid("site", "credential", "desk", "--pipeline", "patient-message", "--tenant", "north",
                  "--floor", "user.health_and_medical", "--root", release.root)  # fmt: skip

    path = release.root / FILE
    known = Credentials.read(path, site=ORIGIN).who(f"Bearer {made['key']}")
    assert (known.id, known.origin, known.pipelines) == ("desk", ORIGIN, ("patient-message",))
    assert (known.tenant, known.floor) == ("north", ("user.health_and_medical",))
    assert made["key"].rpartition("_")[2] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    again = hybrid("site", "credential", "desk", "--pipeline", "relay", "--root", release.root, code=2)
    assert "already" in again


def test_a_verified_bundles_site_plan_pins_the_log_of_its_box(base: Path, tmp_path: Path) -> None:
    (bundle,), written = base.glob("bundle-*"), tmp_path / "site-plan.json"
    evidence, key = tmp_path / "evidence", read_identity(base / ORIGIN / "identity").log
    with EvidenceLog.open(evidence, origin=ORIGIN, key=key, now=Clock()) as log:
        log.append({"kind": "start", "site": ORIGIN}, durable=True)

    hybrid("bundle", "verify", bundle, "--root-json", base / "trust/metadata/1.root.json", "--site-plan", written)

    pins = read_pins([str(written)])
    assert verify_log(evidence, pins[ORIGIN]).pinned
    assert [source.pinned for source in read_sources([evidence], pins)] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_service_with_a_user_of_its_own_reads_what_root_issued_and_the_floor_of_time(tmp_path: Path) -> None:
    """A key that root issues belongs to who owns the folder; the anti-rollback state is nobody's secret."""
    root = an_installed_box(tmp_path)
    (root / "gateway").mkdir(exist_ok=True)
    os.chown(root / "gateway", 64184, 64184)
    hybrid("site", "credential", "front-desk", "--pipeline", "relay", "--root", root)
    assert (root / FILE).stat().st_uid == 64184
    assert (root / FILE).stat().st_mode & 0o077 == 0
    for name in ("state-a.json", "state-b.json"):
        assert (root / "trust" / name).stat().st_mode & 0o444 == 0o444
