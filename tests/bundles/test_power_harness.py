"""What cuts the power is itself put to the test: it notices each kind of fsync that is left out, and what it thinks
of a disk is what lies there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles.test_power import completed, cut_at, stays
from tests.support.bundles import PEOPLE, RECOVERY, BundleForge
from tests.support.power import Recording, laid, plainest, record
from tests.support.power_disk import seen
from tests.support.power_scene import Scene, Settled
from tests.support.power_scenes import first_install

pytestmark = pytest.mark.debian("strace")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path, people={**PEOPLE, **RECOVERY})


def noticed(scene: Scene, recording: Recording, whole: Settled, place: Path) -> str:
    """Return which cut shows that something is wrong; empty: none does."""
    try:
        for lost in recording.at(len(recording.disk.steps), plainest):
            stays(scene, lost, place, whole)
        for lost in recording.lost(choose=plainest):
            cut_at(scene, lost, place, whole)
    except Exception as error:
        return str(error)
    return ""


def left_out(kind: Callable[[int], bool]) -> Callable[[int], None]:
    """Return an fsync that does nothing for files of this kind."""
    whole = os.fsync
    return lambda handle: None if kind(os.fstat(handle).st_mode) else whole(handle)


@pytest.mark.parametrize(("name", "broken"), [
    ("fsync", left_out(stat.S_ISREG)), ("fsync", left_out(stat.S_ISDIR)), ("sync", lambda: None),
], ids=["files", "folders", "everything"])  # fmt: skip
def test_a_missing_sync_is_noticed(
    forge: BundleForge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[..., None]
) -> None:
    """Nobody syncs files, nobody syncs folders, nobody syncs an unpacked runtime: each shows in a cut install."""
    scene = first_install(forge)
    whole = completed(scene, tmp_path / "whole")
    world = laid(seen(scene.world), tmp_path / "recorded")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, broken)
        recording = record(world, scene.work(world))
    said = noticed(scene, recording, whole, tmp_path / "cut")
    print(said)
    assert said
