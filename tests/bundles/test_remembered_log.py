"""Somebody deletes, cuts or rewrites the evidence at the box: the anti-rollback state remembers the head."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bundles.install import keep_time
from bundles.trust.state import State
from hybrid.errors import EvidenceError
from hybrid.evidence import note
from hybrid.evidence.head import continued, remembered
from hybrid.evidence.log import EvidenceLog
from hybrid.gateway.identity import read_identity
from tests.support.bundles import SITE, ABox, FakeClock, Published
from tests.support.evidence import a_record


def write(box: ABox, records: int) -> tuple[int, str]:
    """Let the service append `records` and stop; return the head."""
    state = box.standing().state.log
    key = read_identity(box.root / "identity").log
    with EvidenceLog.open(
        box.root / "evidence", origin=SITE, key=key, now=lambda: box.clock.now, head=remembered(state)
    ) as log:
        for _ in range(records):
            log.append(a_record(site=SITE), durable=False)
        return log.head()


def keep(box: ABox) -> State:
    here = box.standing()
    return keep_time(here, continued(here))


def test_the_head_grows_with_the_log(box: ABox) -> None:
    """Each look takes in what was appended since, over whole and broken powers of two."""
    for records in (0, 1, 6, 1, 56, 3):
        head = write(box, records)
        state = keep(box)
        assert state.log is not None
        assert (state.log.size, state.log.root) == head
    assert keep_time(box.standing()).log == state.log


def test_an_older_look_that_is_saved_later_takes_nothing_back(box: ABox) -> None:
    """Stop and hour save at once: whoever looked first may save last."""
    write(box, 2)
    early = continued(box.standing())
    write(box, 3)
    later = keep(box).log
    assert keep_time(box.standing(), early).log == later


def test_a_deleted_log(box: ABox) -> None:
    """The whole log is deleted, so that nothing is left that could be too short: service and root both refuse, and
    the head that is remembered stays."""
    write(box, 5)
    before = keep(box)
    shutil.rmtree(box.root / "evidence")
    with pytest.raises(EvidenceError, match="gone; 5 records"):
        continued(box.standing())
    with pytest.raises(EvidenceError, match="0 records, but 5"):
        write(box, 1)
    assert box.standing().state == before


def test_a_log_put_back_to_an_older_copy(box: ABox, tmp_path: Path) -> None:
    write(box, 5)
    shutil.copytree(box.root / "evidence", tmp_path / "kept")
    write(box, 5)
    keep(box)
    shutil.rmtree(box.root / "evidence")
    shutil.copytree(tmp_path / "kept", box.root / "evidence")
    with pytest.raises(EvidenceError, match="5 records are signed, there were 10"):
        continued(box.standing())
    with pytest.raises(EvidenceError, match="5 records, but 10"):
        write(box, 1)


def test_a_log_written_anew_with_the_box_own_key(box: ABox) -> None:
    """Whoever has the log's key writes another past, longer than the true one, and signs it."""
    write(box, 5)
    keep(box)
    shutil.rmtree(box.root / "evidence")
    key = read_identity(box.root / "identity").log
    with EvidenceLog.open(box.root / "evidence", origin=SITE, key=key, now=lambda: box.clock.now) as log:
        for _ in range(9):
            log.append(a_record(site=SITE), durable=False)
    with pytest.raises(EvidenceError, match="does not continue"):
        continued(box.standing())
    with pytest.raises(EvidenceError, match="do not lead"):
        write(box, 1)


def test_the_log_of_another_box(box: ABox, published: Published, tmp_path: Path) -> None:
    other = published.box(tmp_path / "other", FakeClock())
    write(other, 3)
    shutil.copytree(other.root / "evidence", box.root / "evidence")
    with pytest.raises(EvidenceError, match="no signature of clinic-jura"):
        continued(box.standing())


@pytest.mark.parametrize("name", ["checkpoints", "leaves"])
@pytest.mark.parametrize("what", ["link", "pipe", "device"])
def test_a_service_that_was_taken_over_holds_nobody_up(box: ABox, name: str, what: str) -> None:
    """Whoever has the service's user puts a link, a pipe or a device where root looks: refused, and at once."""
    write(box, 3)
    before = keep(box)
    path = box.root / "evidence" / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if what == "device" else box.root / "identity" / "log.key")
    with pytest.raises(EvidenceError, match=name):
        continued(box.standing())
    assert box.standing().state == before


def test_a_head_signed_for_more_than_there_is(box: ABox) -> None:
    """The log's key signs a head of 2**60 records: what lies there is read, and no more."""
    write(box, 3)
    key = read_identity(box.root / "identity").log
    head = note.Checkpoint(SITE, 1 << 60, bytes(32), box.clock.now)
    with open(box.root / "evidence" / "checkpoints", "a") as file:
        file.write(note.sign(head, key) + "\n")
    with pytest.raises(EvidenceError, match="does not continue"):
        continued(box.standing())


def test_a_torn_checkpoint_is_not_there_yet(box: ABox) -> None:
    """Root looks while the service writes: the last whole head counts."""
    write(box, 3)
    before = keep(box).log
    with open(box.root / "evidence" / "checkpoints", "ab") as file:
        file.write(b"clinic-jura\n4\nAAAA")
    assert continued(box.standing()) == before
    with open(box.root / "evidence" / "checkpoints", "ab") as file:
        file.write(b"AA\ntime 2026-12-01T08:00:00Z\n\n\xe2\x80\x94 clinic")
    assert continued(box.standing()) == before
