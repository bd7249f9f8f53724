"""At the box and at headquarters, by their own commands: time, receipts, expiry and recovery."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bundles.admission import admit
from bundles.enrolment import fingerprint
from bundles.errors import BundleError, GateError
from bundles.layout import Box
from bundles.trust.state import machine_id
from hybrid.cli import app
from hybrid.cli.console import exit_code_of
from hybrid.cli.receipting import receipted
from hybrid.errors import HybridError
from hybrid.evidence.log import EvidenceLog
from hybrid.gateway.identity import read_identity
from tests.support.bundles import PEOPLE, RECOVERY, SITE, ABox, BundleForge, FakeClock
from tests.support.evidence import a_record

TABLE = {"version": 1, "site": SITE, "since": "2026-01-01", "until": "2126-01-01", "atoms": [], "decisions": [],
         "workloads": {}}  # fmt: skip


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    """Return a headquarters of today, with recovery custodians."""
    return BundleForge(tmp_path, FakeClock.here(ago=dt.timedelta(minutes=5)), people={**PEOPLE, **RECOVERY})


@pytest.fixture
def box(forge: BundleForge) -> ABox:
    """Return an admitted box on this very machine."""
    seed, card = forge.seed()
    made = ABox(forge.folder / "box", forge.clock, machine_id()).enrol(seed, card)
    assert made.enrolled is not None
    admit(forge.repository, Box(made.root).request, [fingerprint(made.enrolled.request)])
    return made


def hybrid(*arguments: object, code: int = 0) -> Any:
    """Run a command in this process; return its JSON, or what it said when it was refused."""
    done = CliRunner().invoke(
        app, [*map(str, arguments), "--output", "json"], env={"HYBRID_PASSPHRASE": "correct horse battery"}
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, (BundleError, HybridError, OSError)), done.exception
        assert exit_code_of(done.exception) == code, done.exception
        return str(done.exception)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def log(box: ABox, records: int) -> None:
    key = read_identity(box.root / "identity").log
    with EvidenceLog.open(box.root / "evidence", origin=SITE, key=key, now=lambda: box.clock.now) as found:
        for _ in range(records):
            found.append(a_record(site=SITE), durable=False)


def installed(forge: BundleForge, box: ABox, name: str = "medium", **knobs: Any) -> Path:
    """Install a bundle from a stick by the command; return the stick."""
    stick = forge.folder / "stick"
    stick.mkdir(exist_ok=True)
    medium = forge.build(forge.cargo(table=TABLE, **knobs)).rename(stick / name)
    hybrid("site", "install", medium, "--root", box.root, "--no-golden", "--no-health")
    return stick


def test_an_install_leaves_a_receipt_that_headquarters_verifies(forge: BundleForge, box: ABox) -> None:
    stick, trust = installed(forge, box), forge.folder / "trust"
    log(box, 3)
    kept = hybrid("site", "keep-time", "--root", box.root)
    assert (kept["logSize"], kept["problem"], kept["clockSuspect"]) == (3, None, False)
    made = hybrid("site", "receipt", "--root", box.root, "--to", stick / "receipts")
    assert (made["counter"], made["log"]["size"], made["evidence"]) == (2, 3, "holds")
    seen = hybrid("receipt", "verify", stick / "receipts", "--trust", trust)
    assert (seen["holds"], seen["given"], seen["kept"], seen["bundlesChecked"]) == (True, 2, 2, True)
    (one,) = seen["boxes"]
    assert (one["boxId"], one["counter"], one["serving"]["release"], one["logSize"]) == ("clinic-jura-1", 2, 1, 3)
    status = hybrid("site", "status", "--root", box.root)
    assert (status["receipt"], status["evidence"], status["expiry"], status["expiryPolicy"]) == (2, 3, "valid", "deny")
    assert status["daysLeft"] in (399, 400)

    lone = stick / "receipts" / "clinic-jura-1-00000002.json"
    plan = box.root / "store/sha256" / status["bundleDigest"][7:9]
    assert plan.is_dir()
    lone.write_bytes(lone.read_bytes().replace(b'"size":3', b'"size":9'))
    bent = hybrid("receipt", "verify", lone, "--trust", trust, code=3)
    assert [one["code"] for one in bent["findings"]] == ["SIGNATURE"]
    junk = forge.folder / "junk"
    junk.mkdir()
    (junk / "a.json").write_text('{"kind": "Receipt", "kind": "Receipt"}')
    (junk / "b.json").symlink_to("/dev/zero")
    os.mkfifo(junk / "c.json")
    shutil.copy(stick / "receipts" / "clinic-jura-1-00000001.json", junk)
    among = hybrid("receipt", "verify", junk, "--trust", trust, code=3)
    assert (among["given"], among["findings"], len(among["unreadable"])) == (1, [], 3)
    assert "whose keys" in hybrid("receipt", "verify", lone, code=2)


def test_the_service_reads_what_a_private_root_writes(forge: BundleForge, box: ABox) -> None:
    """Root's umask is 077, as on hardened hosts and in the service's own unit: state and release stay readable."""
    before = os.umask(0o077)
    try:
        installed(forge, box)
        hybrid("site", "keep-time", "--root", box.root)
    finally:
        os.umask(before)
    for path in (*(box.root / "trust").glob("state-*"), *(box.root / "releases").rglob("*")):
        assert path.stat().st_mode & 0o044 == 0o044, path
    assert (box.root / "identity" / "receipt.key").stat().st_mode & 0o077 == 0


def test_a_deleted_log_is_said_and_comes_home(forge: BundleForge, box: ABox) -> None:
    stick = installed(forge, box)
    log(box, 2)
    hybrid("site", "keep-time", "--root", box.root)
    shutil.rmtree(box.root / "evidence")
    kept = hybrid("site", "keep-time", "--root", box.root, code=3)
    assert "the log is gone; 2 records were signed" in kept["problem"]
    assert kept["logSize"] == 2
    made = hybrid("site", "receipt", "--root", box.root, "--to", stick / "receipts")
    assert (made["evidence"], made["log"]["size"]) == ("broken", 2)
    seen = hybrid("receipt", "verify", stick / "receipts", "--trust", forge.folder / "trust", code=3)
    assert [one["code"] for one in seen["findings"]] == ["LOG"]


def failing(box: ABox, medium: Path, code: str) -> None:
    with receipted(box.root, medium, asked=True) as seen:
        seen.append("sha256:" + "4" * 64)
        raise GateError(code, "it failed", advice="telephone")


def test_a_release_that_did_not_come_up_is_in_the_receipt(forge: BundleForge, box: ABox) -> None:
    """The health gate failed and the release before serves again, or nothing does: the receipt says which, and of what
    bundle; the refusal itself goes on."""
    stick = installed(forge, box)
    for left in ("rolled-back", "withdrawn"):
        if left == "withdrawn":
            (box.root / "current").unlink()
        with pytest.raises(GateError):
            failing(box, stick / "medium", "HEALTH")
        found = max((stick / "receipts").iterdir(), key=lambda path: path.name)
        said = json.loads(found.read_bytes())
        assert (said["health"], said["failed"]) == (left, "sha256:" + "4" * 64)
        assert ("serving" in said) == (left == "rolled-back")
    before = len(list((stick / "receipts").iterdir()))
    with pytest.raises(GateError):
        failing(box, stick / "medium", "GATE")
    assert len(list((stick / "receipts").iterdir())) == before


def test_a_box_is_mended_by_its_commands(forge: BundleForge, box: ABox) -> None:
    """Challenge out, draft, each recovery custodian on a machine of their own, sealed, obeyed once."""
    stick, trust, place = installed(forge, box), forge.folder / "trust", forge.folder
    hybrid("receipt", "verify", stick / "receipts", "--trust", trust)
    for name in ("state-a.json", "state-b.json"):
        (box.root / "trust" / name).write_bytes(b"")
    assert "[STATE-LOST]" in hybrid("site", "status", "--root", box.root, code=3)

    asked = hybrid("site", "recover", "--challenge", place / "challenge.json", "--root", box.root)
    assert asked["why"] == "STATE-LOST"
    drafted = hybrid("trust", "recover", place / "challenge.json", "--trust", trust, "-o", place / "order.json")
    assert drafted["order"]["floor"]["receipt"]["counter"] == 1
    assert drafted["lacks"]
    signing = ("trust", "sign", place / "order.json", "--yes", "-o", place / "sig.json", "--keys")
    assert "recovery custodians sign recovery orders" in hybrid(*signing, place / "keys" / "ada", code=2)
    back = []
    for name in RECOVERY:
        signed = place / f"signatures-{name}.json"
        hybrid("trust", "sign", place / "order.json", "--keys", place / "keys" / name, "-o", signed, "--yes")
        back += ["--add", signed]
    sealing = ("trust", "recover", place / "order.json", "--trust", trust, "-o", place / "sealed.json")
    assert "RECOVERY-QUORUM" in hybrid(*sealing, *back[:2], code=3)
    hybrid(*sealing, *back)

    assert hybrid("site", "recover", place / "sealed.json", "--root", box.root, "--dry-run")["done"] is False
    done = hybrid("site", "recover", place / "sealed.json", "--root", box.root)
    assert (done["release"], done["receipt"]) == (1, 1)
    assert "RECOVERY-USED" in hybrid("site", "recover", place / "sealed.json", "--root", box.root, code=1)
    hybrid("site", "receipt", "--root", box.root, "--to", stick / "receipts")
    assert hybrid("receipt", "verify", stick / "receipts", "--trust", trust)["boxes"][0]["counter"] == 2
    assert "either an order" in hybrid("site", "recover", "--root", box.root, code=2)


def test_an_expiry_policy_is_ordered(forge: BundleForge, box: ABox) -> None:
    trust = forge.folder / "trust"
    assert "--policy deny with --days 3" in hybrid("trust", "expiry", trust, "--policy", "deny", "--days", 3, code=2)
    assert hybrid("trust", "expiry", trust, "--policy", "grace", "--days", 30, "--dry-run")["done"] is False
    hybrid("trust", "expiry", trust, "--policy", "grace", "--days", 30)
    hybrid("trust", "sign", trust, "--keys", forge.folder / "keys" / "ada")
    hybrid("trust", "sign", trust, "--keys", forge.folder / "keys" / "ben")
    installed(forge, box)
    status = hybrid("site", "status", "--root", box.root)
    assert (status["expiryPolicy"], status["graceDays"]) == ("grace", 30)
