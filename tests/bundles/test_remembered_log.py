"""Somebody deletes, cuts or rewrites the evidence at the box: the anti-rollback state remembers the head."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bundles.install import keep_time
from bundles.trust.state import State
from hybrid.errors import EvidenceError
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
