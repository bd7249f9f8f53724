"""What an install would write and how long that takes is said beforehand, and holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.errors import SpaceError
from bundles.estimate import COPY_RATE, UNPACK_RATE, Estimate, require_room
from tests.support.bundles import BundleForge


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def test_what_is_announced_is_what_is_written(forge: BundleForge) -> None:
    """Bytes to copy and to unpack, told before the first is written; of a second install there are none."""
    told: list[Estimate] = []
    box, bundle = forge.box(), forge.build()
    done = box.install(bundle, announce=lambda _, wanted: told.append(wanted))
    box.install(bundle, announce=lambda _, wanted: told.append(wanted))
    first, second = told
    launcher_and_list = done.record.written - first.blobs_bytes - first.runtime_bytes
    assert 0 < launcher_and_list < 4096
    assert first.medium_rate > 0
    assert (second.new_blobs, second.blobs_bytes, second.runtime_bytes, second.seconds) == (0, 0, 0, 0.0)


def test_time_goes_by_the_slower_of_medium_and_disk() -> None:
    """A real stick gave 26 MB/s; the disk sets the pace where the medium is faster than it."""
    stick = Estimate(3, 260_000_000, 40_000_000, 10**12, 26e6)
    memory = Estimate(3, 400_000_000, 0, 10**12, 5e9)
    assert stick.seconds == pytest.approx(10 + 40e6 / UNPACK_RATE)
    assert memory.seconds == pytest.approx(400e6 / COPY_RATE)


def test_too_little_room_names_both_numbers() -> None:
    with pytest.raises(SpaceError, match="needs 117 MB, 90 MB are free") as caught:
        require_room(Estimate(1, 60_000_000, 40_000_000, 90_000_000, 26e6))
    assert "hybrid site clean" in caught.value.todo
    assert "nothing was written" in caught.value.safe
