"""`audit verify` against an intruder: one deviation each, and the record or checkpoint that is named."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hybrid.cli.audit import app
from hybrid.errors import EvidenceError
from hybrid.evidence import note
from hybrid.evidence.audit import verify_log
from hybrid.evidence.commitment import BodyKeys
from hybrid.evidence.merkle import Frontier, leaf_hash
from hybrid.evidence.record import digest
from tests.support.evidence import Clock, a_key, a_log, lines_of, open_log, write_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    directory = a_log(tmp_path / "log", records=10)
    BodyKeys(directory, Clock()).commit("text/plain", b"a body")
    assert verify_log(directory).holds
    return directory


def problems(log: Path) -> list[str]:
    return [finding.problem for finding in verify_log(log).findings]


def write_leaves(log: Path) -> None:
    (log / "leaves").write_bytes(b"".join(digest(line[:-1]) for line in lines_of(log)))


def test_an_altered_record_is_named(log: Path) -> None:
    lines = lines_of(log)
    write_lines(log, [*lines[:4], lines[4].replace(b"permit", b"denied"), *lines[5:]])
    assert problems(log) == ["record 4 is altered: it does not match its leaf"]


def test_an_altered_record_with_its_leaf_breaks_the_next_checkpoint(log: Path) -> None:
    lines = lines_of(log)
    write_lines(log, [*lines[:5], lines[5].replace(b"permit", b"denied"), *lines[6:]])
    write_leaves(log)
    assert problems(log)[0].startswith("records 4 to 7 do not lead to the checkpoint of 2026-12-01 08:08")


def test_a_removed_record_is_named(log: Path) -> None:
    lines = lines_of(log)
    write_lines(log, [*lines[:3], *lines[4:]])
    assert problems(log)[0] == "record 3 is altered: it does not match its leaf (it was written as record 4)"
    assert problems(log)[-1] == "record 9 is missing (its leaf is there)"


def test_an_emptied_record_without_an_erasure_is_named(log: Path) -> None:
    lines = lines_of(log)
    write_lines(log, [*lines[:3], b"\n", *lines[4:]])
    assert problems(log) == ["record 3 was removed and no erasure record names it"]


def test_reordered_records_are_named(log: Path) -> None:
    lines = lines_of(log)
    write_lines(log, [lines[0], lines[2], lines[1], *lines[3:]])
    assert problems(log)[0] == "record 1 is altered: it does not match its leaf (it was written as record 2)"
    write_leaves(log)
    assert problems(log)[0] == "record 1 is out of order: it was written as record 2"


def test_a_truncated_log_is_named(log: Path) -> None:
    write_lines(log, lines_of(log)[:6])
    write_leaves(log)
    assert problems(log)[0] == "record 6 is missing: 10 records were signed, 6 are left"


def test_a_forged_checkpoint_is_named(log: Path) -> None:
    """Everything is rewritten and the head signed with a key of the intruder's."""
    write_lines(log, lines_of(log)[:6])
    write_leaves(log)
    root = Frontier(leaf_hash(digest(line[:-1])) for line in lines_of(log)).root()
    forged = note.sign(note.Checkpoint("clinic-lyon/evidence", 6, root, Clock().at), a_key(2))
    (log / "checkpoints").write_text(forged + "\n")
    assert "no signature of clinic-lyon/evidence by the expected key" in problems(log)[0]


def test_a_swapped_key_shows_only_against_the_enrolled_one(log: Path, tmp_path: Path) -> None:
    """A log that vouches for itself is whole, not honest: the intruder's own log verifies, but not against the key."""
    enrolled = (log / "log.vkey").read_text()
    shutil.rmtree(log)
    from tests.support.evidence import a_record, open_log

    with open_log(log, seed=2) as forged:
        forged.append(a_record(), durable=True)
    assert verify_log(log).holds
    assert not verify_log(log).pinned
    with pytest.raises(EvidenceError, match="another key than expected"):
        verify_log(log, enrolled)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_anywhere_is_detected(log: Path, data: st.DataObject) -> None:
    files = sorted(path for path in log.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files), "file")
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1), "byte")
    flipped = bytearray(before)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(flipped)
    try:
        named = problems(log)
    except EvidenceError as error:
        named = [str(error)]
    finally:
        path.write_bytes(before)
    assert named
    assert verify_log(log).holds


def test_the_command_says_what_is_wrong_and_exits_3(log: Path) -> None:
    good = CliRunner().invoke(app, ["verify", str(log), "--output", "json"])
    assert (good.exit_code, '"holds": true' in good.stdout) == (0, True)
    lines = lines_of(log)
    write_lines(log, [*lines[:4], lines[4].replace(b"permit", b"denied"), *lines[5:]])
    bad = CliRunner().invoke(app, ["verify", str(log)])
    assert bad.exit_code == 3
    assert "wrong: record 4 is altered" in bad.stdout


def test_there_is_no_log_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no evidence log here"):
        verify_log(tmp_path)


def test_a_commitment_opens_with_its_body_alone_and_not_after_erasure(tmp_path: Path) -> None:
    clock = Clock()
    keys = BodyKeys(tmp_path, clock)
    made = keys.commit("text/plain", b"hello")
    assert keys.opens(made, "text/plain", b"hello") is True
    assert keys.opens(made, "text/plain", b"hullo") is False
    assert keys.opens(made, "text/plainh", b"ello") is False
    assert keys.commit("text/plain", b"hello") != made
    clock.forward(days=1)
    assert keys.erase_before(clock().date()) == 1
    assert keys.opens(made, "text/plain", b"hello") is None


def test_a_log_whose_checkpoints_are_gone_is_not_whole(tmp_path: Path) -> None:
    """Somebody without the key rewrites a record and its leaf, and removes every checkpoint that says otherwise."""
    log = a_log(tmp_path / "log")
    lines = lines_of(log)
    lines[0] = lines[0].replace(b'"permit"', b'"denied"')
    write_lines(log, lines)
    leaves = (log / "leaves").read_bytes()
    (log / "leaves").write_bytes(sha256(lines[0][:-1]).digest() + leaves[32:])
    (log / "checkpoints").unlink()
    assert [finding.problem[:24] for finding in verify_log(log).findings] == ["no checkpoint is left of"]
    with pytest.raises(EvidenceError, match="records, and no checkpoint"):
        open_log(log)
    assert lines_of(log) == lines
