"""What cuts the power is itself put to the test: it notices each kind of fsync that is left out, and what it thinks
of a disk is what lies there."""

from __future__ import annotations

import mmap
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles.test_power import completed, cut_at, stays
from tests.support.bundles import PEOPLE, RECOVERY, BundleForge
from tests.support.power import Recording, laid, plainest, record
from tests.support.power_disk import seen
from tests.support.power_replay import UnknownCallError
from tests.support.power_scene import Scene, Settled
from tests.support.power_scenes import first_install, update

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


def test_each_single_sync_of_an_update_is_noticed(forge: BundleForge, tmp_path: Path) -> None:
    """One sync alone is left out, of a file or a folder that nobody syncs again later: the update is lost in part."""
    scene = update(forge)
    whole = completed(scene, tmp_path / "whole")
    world = laid(seen(scene.world), tmp_path / "recorded")
    recording = record(world, scene.work(world))
    syncs = recording.disk.syncs
    last = [
        step for number, (step, node) in enumerate(syncs) if node and node not in {n for _, n in syncs[number + 1 :]}
    ]
    assert len(last) > 15
    for step in last:
        bent = Recording(recording.disk.without([step]), recording.calls)
        assert noticed(scene, bent, whole, tmp_path / "cut"), recording.disk.steps[step - 1 : step + 1]


def everything(place: Path) -> None:
    """Write, append, cut, copy handles, rename over, remove trees: all that the model knows."""
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "file").write_bytes(b"x" * 10_000)
    with (place / "a" / "log").open("ab", buffering=0) as log:
        log.write(b"one")
        os.write(os.dup(log.fileno()), b"two")
        os.ftruncate(log.fileno(), 4)
        log.write(b"three")
    with (place / "hole").open("wb", buffering=0) as hole:
        hole.seek(5000)
        hole.write(b"end")
        os.pwrite(hole.fileno(), b"begin", 0)
        os.fchmod(hole.fileno(), 0o600)
    (place / "link").symlink_to("a/log")
    (place / "hole").rename(place / "a" / ".." / "log")
    (place / "kept").write_text("shorter")
    (place / "kept").chmod(0o640)
    shutil.rmtree(place / "a" / "b")


def test_the_model_of_a_disk_is_what_lies_there(tmp_path: Path) -> None:
    """`record` compares the two; a model that lost one call would say so here."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "kept").write_text("what was there before, and longer")
    recording = record(place, lambda: everything(place))
    assert len(recording.calls) == len(recording.disk.steps) == 20


def linked(place: Path) -> None:
    os.link(place / "old", place / "new")


def moved(place: Path) -> None:
    (place / "folder").mkdir()
    (place / "old").rename(place / "folder" / "old")


def mapped(place: Path) -> None:
    with (place / "old").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0] = 0


def gathered(place: Path) -> None:
    with (place / "old").open("wb") as file:
        os.writev(file.fileno(), [b"a", b"b"])


@pytest.mark.parametrize("work", [linked, moved, mapped, gathered, lambda place: os.waitpid(os.posix_spawn(
    "/bin/true", ["true"], {}), 0)], ids=["link", "folders", "mmap", "writev", "process"])  # fmt: skip
def test_what_the_model_does_not_know_is_an_error(tmp_path: Path, work: Callable[[Path], object]) -> None:
    """Code that begins to use another call is not passed over in silence."""
    (tmp_path / "old").write_text("old")
    with pytest.raises(UnknownCallError):
        record(tmp_path, lambda: work(tmp_path))


def test_a_name_that_came_before_its_bytes(tmp_path: Path) -> None:
    """Renamed without an fsync of file or folder: the old bytes, or the new name with none of the new bytes, zeros, a
    torn half, or all of them. With the file synced first: the old or the new."""
    (tmp_path / "it").write_bytes(b"old")

    def replaced(synced: bool) -> set[bytes]:
        def work() -> None:
            with (tmp_path / "temp").open("wb") as file:
                file.write(b"new!")
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            (tmp_path / "temp").rename(tmp_path / "it")

        (tmp_path / "it").write_bytes(b"old")
        recording = record(tmp_path, work)
        return {content for lost in recording.lost() for name, _, content in lost.listing() if name == "it"}  # type: ignore[misc]

    assert replaced(synced=False) == {b"old", b"", b"\0\0\0\0", b"ne\0\0", b"new!"}
    assert replaced(synced=True) == {b"old", b"new!"}
