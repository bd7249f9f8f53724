"""The writer: what it promises, what it refuses, and what it does when it is killed or the disk is full."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hybrid.errors import EvidenceError, InputError
from hybrid.evidence import note
from hybrid.evidence.audit import verify_log
from hybrid.evidence.log import LogBusyError
from hybrid.evidence.merkle import Frontier, leaf_hash
from hybrid.evidence.record import digest
from tests.support.evidence import Clock, a_key, a_log, a_record, lines_of, open_log, write_lines


def test_a_log_is_what_was_appended(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        appended = [log.append(a_record(ms=number), durable=True) for number in range(5)]
        checkpoint = note.verify(log.checkpoint(), "clinic-lyon/evidence", a_key().public_key())
    lines = lines_of(tmp_path / "log")
    assert [entry.index for entry in appended] == [0, 1, 2, 3, 4]
    assert [leaf_hash(digest(line[:-1])) for line in lines] == [entry.leaf for entry in appended]
    assert checkpoint.size == 5
    assert checkpoint.root == Frontier(entry.leaf for entry in appended).root()
    assert len({json.loads(line)["salt"] for line in lines}) == 5
    assert verify_log(tmp_path / "log").holds


def test_a_log_in_use_signs_itself_every_minute(tmp_path: Path) -> None:
    """A gateway that is killed after hours has had its head signed all along; the disk's other waits stay cheap."""
    clock = Clock()
    with open_log(tmp_path / "log", clock=clock) as log:
        for _ in range(6):
            log.append(a_record(), durable=True)
            clock.forward(seconds=40)
        audit = verify_log(tmp_path / "log")
        assert (audit.size, audit.signed, audit.checkpoints) == (6, 5, 3)


def test_it_goes_on_where_it_was_over_several_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid.evidence.segments.SEGMENT_RECORDS", 8)
    for _ in range(4):
        with open_log(tmp_path / "log") as log:
            for number in range(12):
                log.append(a_record(ms=number), durable=number % 3 == 0)
    audit = verify_log(tmp_path / "log")
    assert (audit.size, audit.unsigned, audit.holds) == (48, 0, True)
    assert len(list((tmp_path / "log" / "records").iterdir())) == 6


def test_many_threads_share_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid.evidence.segments.SEGMENT_RECORDS", 64)
    found: list[int] = []
    with open_log(tmp_path / "log") as log:

        def write() -> None:
            found.extend(log.append(a_record(), durable=True).index for _ in range(20))

        threads = [threading.Thread(target=write) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(320))
    assert verify_log(tmp_path / "log").holds


@pytest.mark.parametrize(
    ("field", "value"),
    [("text", "I have a headache"), ("reason", "because he said so"), ("label", [{"data": "my name is Jo"}]),
     ("kind", "gossip"), ("bytes", -1), ("bytes", True), ("body", "the body itself"), ("index", 3)],
)  # fmt: skip
def test_text_has_no_way_into_a_record(tmp_path: Path, field: str, value: object) -> None:
    with open_log(tmp_path / "log") as log:
        with pytest.raises(InputError, match=field):
            log.append(a_record() | {field: value}, durable=False)
        assert log.size == 0


def test_there_is_one_writer(tmp_path: Path) -> None:
    with open_log(tmp_path / "log"), pytest.raises(LogBusyError, match="another process"):
        open_log(tmp_path / "log")
    open_log(tmp_path / "log").close()


def test_another_key_cannot_go_on_with_a_log(tmp_path: Path) -> None:
    a_log(tmp_path / "log")
    with pytest.raises(EvidenceError, match="another key"):
        open_log(tmp_path / "log", seed=2)


def test_an_erased_record_keeps_its_leaf(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        before = [log.append(a_record(ms=number), durable=False).leaf for number in range(6)]
        log.erase([1, 4], site="clinic-lyon", by=["Ada Example"], reason="retention")
        root = log.head()
        log.append(a_record(), durable=True)
    assert [line == b"\n" for line in lines_of(tmp_path / "log")] == [
        False,
        True,
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    audit = verify_log(tmp_path / "log")
    assert (audit.holds, audit.erased, audit.size) == (True, 2, 8)
    assert len(before) == 6
    assert root[0] == 7
    open_log(tmp_path / "log").close()


def test_a_torn_record_is_cut_and_a_missing_leaf_is_mended(tmp_path: Path) -> None:
    log = a_log(tmp_path / "log", records=8)
    lines = lines_of(log)
    write_lines(log, [*lines, b'{"half":'])
    os.truncate(log / "leaves", 5 * 32 + 7)
    with open_log(log) as opened:
        assert opened.size == 8
    assert lines_of(log) == lines
    assert verify_log(log).holds


def test_a_log_shorter_than_what_was_signed_refuses(tmp_path: Path) -> None:
    log = a_log(tmp_path / "log", records=8)
    lines = lines_of(log)
    write_lines(log, lines[:5])
    os.truncate(log / "leaves", 5 * 32)
    with pytest.raises(EvidenceError, match="holds 5 records, but 8 were signed"):
        open_log(log)
    assert lines_of(log) == lines[:5]


def test_a_head_remembered_elsewhere_is_held_against_the_log(tmp_path: Path) -> None:
    """Restoring an old copy of the whole directory is a rollback that only somebody else's memory shows."""
    from hybrid.evidence.log import EvidenceLog

    log, open_with = a_log(tmp_path / "log", records=8), EvidenceLog.open
    args = {"origin": "clinic-lyon/evidence", "key": a_key(), "now": Clock()}
    with pytest.raises(EvidenceError, match="holds 8 records, but 9"):
        open_with(log, **args, head=(9, bytes(32)))
    with pytest.raises(EvidenceError, match="do not lead to the signed head"):
        open_with(log, **args, head=(6, bytes(32)))
    open_with(log, **args).close()


def test_a_changed_record_in_the_open_segment_refuses(tmp_path: Path) -> None:
    log = a_log(tmp_path / "log", records=8)
    lines = lines_of(log)
    write_lines(log, [*lines[:7], lines[7].replace(b"permit", b"denied")])
    with pytest.raises(EvidenceError, match="record 7 is not the one whose leaf"):
        open_log(log)


WRITER = """
import os, sys, threading
from pathlib import Path
from tests.support.evidence import a_record, open_log
log = open_log(Path(sys.argv[1]))
def write():
    while True:
        index = log.append(a_record(ms=1), durable=True).index
        os.write(1, b"%d\\n" % index)
        if index % 7 == 0:
            os.write(1, ("signed " + log.checkpoint().split("\\n")[1] + "\\n").encode())
for _ in range(3): threading.Thread(target=write, daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.slow
def test_nothing_promised_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    """kill -9 at random moments, over and over: every index that `append` returned is there, every head is led to."""
    rng, told, signed = random.Random(7), 0, 0
    for _ in range(12):
        argv = [sys.executable, "-c", WRITER, str(tmp_path / "log")]
        writer = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        seen = [writer.stdout.readline()]
        timer = threading.Timer(rng.uniform(0.0, 0.15), writer.send_signal, (signal.SIGKILL,))
        timer.start()
        seen += writer.stdout.readlines()
        writer.wait()
        timer.join()
        writer.stdout.close()
        words = [line.split() for line in seen if line.endswith("\n")]
        told = max([told, *(int(word[0]) + 1 for word in words if len(word) == 1)])
        signed = max([signed, *(int(word[1]) for word in words if len(word) == 2)])
        audit = verify_log(tmp_path / "log") if told else None
        with open_log(tmp_path / "log") as log:
            assert log.size >= max(told, signed)
        assert audit is None or audit.signed >= signed
        assert verify_log(tmp_path / "log").findings == ()
    assert told > 50


FILLER = """
import errno, sys
from pathlib import Path
from hybrid.evidence.log import LogFullError
from tests.support.evidence import a_record, open_log
root = Path(sys.argv[1])
log = open_log(root / "log")
count = 0
try:
    while True:
        log.append(a_record(sources=["x" * 190] * 40), durable=True); count += 1
except LogFullError as error:
    print("full", "disk is full" in str(error))
size = log.size
for _ in range(3):
    try: log.append(a_record(sources=["x" * 190] * 40), durable=False); print("appended")
    except LogFullError: pass
print("kept", log.size == size == count)
print("override", log.append(a_record("override", by=["Ada Example", "Bo Example"]), durable=True).index == size)
print("used", log.disk_used() > 0.9)
log.close()
from hybrid.evidence.audit import verify_log
audit = verify_log(root / "log")
print("holds", audit.holds, audit.unsigned == 0, audit.size == size + 1)
"""


def test_a_full_disk_is_a_clear_error_and_the_reserve_serves_an_override(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this kernel lends no mount namespace")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount, FILLER], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "full True",
        "kept True",
        "override True",
        "used True",
        "holds True True True",
    ], done.stderr
