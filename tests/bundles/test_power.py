"""The power fails at any step of any change: what was not fsynced is lost, in part or altogether, or the process is
killed before any call. The box is wholly old or wholly new, nothing falls, and made again the change completes."""

from __future__ import annotations

import random
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles.layout import Box
from bundles.store import sweep
from tests.bundles.conftest import MEMORY
from tests.support.bundles import PEOPLE, RECOVERY, BundleForge
from tests.support.power import SOAK, Lost, Recording, laid, plainest, record, some
from tests.support.power_calls import REFUSED, failed, killed
from tests.support.power_disk import Image, seen
from tests.support.power_scene import Scene, Settled, settled
from tests.support.power_scenes import SCENES, receipt, update

pytestmark = pytest.mark.debian("strace")
DISKS, LAST, KILLS, ERRORS, AGAIN = (None, None, None, None, None) if SOAK else (8, 2, 3, 2, 2)
WALKS, CUTS = (25, 6) if SOAK else (1, 4)
FULL = ("open", "openat", "write", "mkdir", "symlink", "rename")
"""What fails when the disk is full; whatever else is called fails because the disk does."""


@pytest.fixture(params=SCENES, ids=lambda one: one.__name__, scope="module")
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="power-") as folder:
        yield request.param(BundleForge(Path(folder), people={**PEOPLE, **RECOVERY}))


@pytest.fixture(scope="module")
def whole(scene: Scene) -> Settled:
    """Return what the change comes to when nobody cuts it."""
    return completed(scene, scene.world.with_name("whole"))


@pytest.fixture(scope="module")
def recording(scene: Scene, whole: Settled) -> Recording:
    """Return the steps in which the change is made, by a process that has loaded what it needs."""
    world = laid(seen(scene.world), scene.world.with_name("recorded"))
    return record(world, scene.work(world))


def completed(scene: Scene, place: Path) -> Settled:
    """Return what lies there after the change that nobody cut; this process has loaded then what it needs."""
    world = laid(seen(scene.world), place)
    scene.act(scene.box(world))
    assert scene.holds(scene.box(world)) == scene.ends
    return settled(world)


def goes_on(scene: Scene, world: Path, whole: Settled) -> str:
    """Hold the box in `world`, cut, to what must be so; make the change again; return how far it had come."""
    found = scene.holds(scene.box(world))
    scene.act(scene.box(world))
    after = scene.holds(scene.box(world))
    assert (after == scene.ends) or not scene.same
    if not scene.sweeps:
        sweep(Box(world / "box"))
    assert not left_half_written(world / "box")
    assert settled(world) == whole or not scene.same
    return found


def left_half_written(box: Path) -> list[Path]:
    return [*box.rglob("*.part"), *box.glob(".current.*")]


def cut_at(scene: Scene, lost: Lost, place: Path, whole: Settled) -> str:
    """Let the box start with what the cut left, and go on; what fails says which cut that was."""
    try:
        return goes_on(scene, laid(lost.image, place), whole)
    except Exception as error:
        raise AssertionError(lost.said) from error


def stays(scene: Scene, lost: Lost, place: Path, whole: Settled, before: str = "") -> None:
    """Hold that nothing of a change that was made is lost; what it removed may be there again."""
    world = laid(lost.image, place)
    assert scene.holds(scene.box(world)) == scene.ends, before + lost.said
    missing = [] if not scene.same else sorted(dict(whole.items() - settled(world).items()))
    assert not missing, f"{before}{lost.said}: not as it was: {missing}"


def test_what_was_not_synced_is_lost(scene: Scene, whole: Settled, recording: Recording, tmp_path: Path) -> None:
    """At every step the power fails, and of what was not fsynced the disk holds nothing, all, or any part; and once
    the change is made, nothing of it can be lost any more."""
    found = Counter(cut_at(scene, lost, tmp_path / "cut", whole) for lost in recording.lost(DISKS))
    for lost in list(recording.at(len(recording.calls)))[:LAST]:
        stays(scene, lost, tmp_path / "cut", whole)
    print(f"{found.total()} disks after power cuts at {len(recording.calls) + 1} points: {dict(found)}")


def test_killed_before_each_call_that_changes_the_disk(
    scene: Scene, whole: Settled, recording: Recording, tmp_path: Path
) -> None:
    """kill -9 before any call that writes, syncs, names, links or removes; what the page cache holds is still there."""
    found: Counter[str] = Counter()
    for cut in some(len(recording.calls), KILLS):
        world = laid(seen(scene.world), tmp_path / "killed")
        assert killed(scene.work(world), recording.calls[cut]) == -signal.SIGKILL
        assert names(seen(world)) == names(recording.disk.killed(cut).live)
        found[goes_on(scene, world, whole)] += 1
    print(f"{found.total()} kills before {len(recording.calls)} calls: {dict(found)}")


@pytest.mark.parametrize("scene", SCENES if SOAK else (update, receipt), ids=lambda one: one.__name__, indirect=True)
def test_one_cut_after_another(scene: Scene, whole: Settled, tmp_path: Path) -> None:
    """On a bad day every run is cut, some by a kill that leaves the page cache and some by the power: drawn by seed."""
    for seed in range(WALKS):
        draw, disk, said = random.Random(seed), None, [f"seed {seed}"]
        world = laid(seen(scene.world), tmp_path / "cut")
        for _ in range(CUTS):
            start = len(disk.steps) if disk else 0
            run = record(world, scene.work(world), disk)
            cut = draw.randint(start, len(run.disk.steps))
            killed_only = draw.random() < 0.5
            lost = draw.choice(list(run.at(cut)))
            disk = run.disk.killed(cut) if killed_only else None
            world = laid(disk.live if disk else lost.image, tmp_path / "cut")
            said.append(f"killed at {cut}" if disk else lost.said)
            assert scene.holds(scene.box(world)), said
        goes_on(scene, world, whole)
    print(f"{WALKS} times {CUTS} cuts, one after another")


def test_an_error_at_each_call_that_changes_the_disk(
    scene: Scene, whole: Settled, recording: Recording, tmp_path: Path
) -> None:
    """The disk is full, or fails, at any call: that is said, and no temporary file stays; the next run completes."""
    found: Counter[str] = Counter()
    calls = [call for call in recording.calls if call.name != "sync"]  # which never fails
    for number in some(len(calls), ERRORS):
        call, world = calls[number], laid(seen(scene.world), tmp_path / "failed")
        status = failed(scene.work(world), call, "ENOSPC" if call.name in FULL else "EIO")
        assert status in (0, REFUSED), f"ended with {status} at {call}"
        left = [path for path in world.rglob("*.part") if not path.name.endswith(".leaving.part")]
        assert call.name.startswith(("unlink", "rmdir")) or not left, f"{call} left what it had half-written"
        found[f"{goes_on(scene, world, whole)}, {'refused' if status else 'passed over'}"] += 1
    print(f"{found.total()} errors at {len(calls)} calls: {dict(found)}")


def names(image: Image) -> list[tuple[str, int]]:
    """Return path and mode of everything; a temporary name without the number of its process."""
    return sorted((re.sub(r"(\.current|)\.\d+(\.part|)$", r"\1\2", name), mode) for name, mode, _ in image.listing())


def test_killed_then_completed_then_cut(scene: Scene, whole: Settled, recording: Recording, tmp_path: Path) -> None:
    """The process is killed, the change is made again, and then the power fails: what the first run left in the page
    cache only, and the second found there already, is as durable as what the second wrote."""
    count = 0
    for cut in some(len(recording.calls), AGAIN):
        disk = recording.disk.killed(cut)
        world = laid(disk.live, tmp_path / "again")
        again = record(world, scene.work(world), disk)
        if not again.calls:
            continue  # it found the change made, did nothing, and promised nothing
        for lost in again.at(len(again.disk.steps), plainest):
            stays(scene, lost, tmp_path / "cut", whole, f"killed at {cut}; ")
            count += 1
    print(f"{count} disks after kills, completions and power cuts")
