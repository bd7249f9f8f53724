"""The commands: several custodians, a box, a bundle, each through its own door, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Published, blobs, copy_of, flip

ENV = {**os.environ, "HYBRID_PASSPHRASE": "correct horse battery", "NO_COLOR": "1"}


def hybrid(*arguments: object, code: int = 0) -> Any:
    """Run a command with JSON output and return what it printed; on failure, its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "hybrid", *map(str, arguments), "--output", "json"], env=ENV, text=True,
        capture_output=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


@pytest.fixture(scope="module")
def headquarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with custodians' keys, a demo trust repository and a seed with its card."""
    place = tmp_path_factory.mktemp("headquarters")
    for name, duty in (("ada", "release"), ("ben", "release"), ("dora", "compliance")):
        hybrid("trust", "add-key", place / "keys" / name, "--custodian", name, "--duty", duty, "--demo")
    made = hybrid("trust", "init", place / "trust", "--custodian", place / "keys", "--demo")
    assert made["roles"][0]["lacks"]
    hybrid("trust", "sign", place / "trust", "--request", place / "request.json")
    for name in ("ada", "ben"):
        signed = place / f"signatures-{name}.json"
        hybrid("trust", "sign", place / "request.json", "--keys", place / "keys" / name, "-o", signed, "--yes")
        hybrid("trust", "sign", place / "trust", "--add", signed)
    assert hybrid("trust", "status", place / "trust")["roles"][0]["state"] == "published"
    card = hybrid(
        "trust", "card", place / "trust", "--site", "clinic-jura", "--jurisdiction", "FR-39", "-o", place / "seed"
    )
    (place / "card.txt").write_text(f"the card\n{card['card']}\n")
    return place


@pytest.mark.slow
def test_a_box_is_enrolled_by_its_card(headquarters: Path, tmp_path: Path) -> None:
    """A production box refuses the demo seed; a demo box takes it once; status says who it is."""
    card, root = headquarters / "card.txt", tmp_path / "box"
    assert "ENVIRONMENT" in hybrid("site", "enrol", headquarters / "seed", "--card", card, "--root", root, code=3)
    wrong = ("site", "enrol", headquarters / "seed", "--card", "0" * 64, "--root", root, "--demo", "--dry-run")
    assert "CARD" in hybrid(*wrong, code=3)  # a rehearsal compares the card like the act
    rehearsal = hybrid("site", "enrol", headquarters / "seed", "--card", card, "--root", root, "--demo", "--dry-run")
    assert rehearsal["done"] is False
    assert not root.exists()
    enrolled = hybrid("site", "enrol", headquarters / "seed", "--card", card, "--root", root, "--demo")
    assert len(enrolled["fingerprint"]) == 64
    assert "ENROLLED" in hybrid(
        "site", "enrol", headquarters / "seed", "--card", card, "--root", root, "--demo", code=1
    )
    status = hybrid("site", "status", "--root", root)
    assert (status["site"], status["release"], status["environment"]) == ("clinic-jura", None, "demo")


def test_a_wrong_card(headquarters: Path, tmp_path: Path) -> None:
    said = hybrid("site", "enrol", headquarters / "seed", "--card", "0" * 64, "--root", tmp_path, "--demo", code=3)
    assert "[CARD]" in said
    assert "safe now" in said


@pytest.mark.slow
def test_a_bundle_is_inspected_verified_and_refused(published: Published, tmp_path: Path) -> None:
    """Inspect believes nothing, verify climbs the ladder, and one flipped bit ends with code 3."""
    trust = published.forge.folder / "trust"
    seen = hybrid("bundle", "inspect", published.bundle)
    assert seen["verified"] is False
    found = hybrid("bundle", "verify", published.bundle, "--root-json", trust / "metadata" / "1.root.json")
    assert found["site"] == "clinic-jura"
    bent = copy_of(published.bundle, tmp_path / "bent")
    flip(max(blobs(bent), key=lambda path: path.stat().st_size))
    assert "[BLOB]" in hybrid("bundle", "verify", bent, "--trust", trust, code=3)
    shutil.rmtree(bent)
    assert "no such file" in hybrid("bundle", "verify", bent, "--trust", trust, code=2)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["site", "status", "--root", "{}/none"], 3, "not enrolled"),
        (["site", "install", "{}", "--root", "{}/none"], 3, "not enrolled"),
        (["trust", "status", "{}/none"], 2, "no trust repository"),
        (["trust", "add-key", "{}/k", "--custodian", "Ada Lovelace"], 2, "no custodian name"),
        (["trust", "add-key", "{}/k", "--custodian", "ada", "--duty", "king"], 2, "no such duty"),
        (["bundle", "verify", "{}"], 2, "whom to believe"),
    ],
)
def test_wrong_input_is_said_and_changes_nothing(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    assert says in hybrid(*(a.format(tmp_path) for a in arguments), code=code)
    assert not list(tmp_path.iterdir())
