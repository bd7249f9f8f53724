"""What serves nobody leaves the disk, and nothing else ever does: not under kill -9, not under a running service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundles import store
from bundles.errors import GateError, StateError
from bundles.install import clean, roll_back
from bundles.layout import Box
from bundles.lock import locked
from bundles.release import current_number, load, numbers, open_release
from bundles.retention import clean as sweep
from bundles.retention import in_use, referenced
from tests.support.bundles import ABox, BundleForge


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def a_release(forge: BundleForge, box: ABox, number: int) -> Path:
    """Install release `number`, a model, a table and a runtime of its own, and return its bundle."""
    forge.clock.pass_(days=1)
    forge.code = {"hybrid/version.py": f"NUMBER = {number}\n"}
    model = forge.folder / f"model-{number}"
    model.write_text(f"weights {number} " * 1000)
    files = forge.cargo().files | {"models/minilm/w8/model.onnx": model}
    bundle = forge.build(forge.cargo(files=files, table={"number": number}))
    box.install(bundle)
    return bundle


def three(forge: BundleForge) -> ABox:
    """Return a box with three releases, of which nobody needs the first any more."""
    box = forge.box()
    a_release(forge, box, 1)
    with in_use(open_release(box.root)):
        for number in (2, 3):
            a_release(forge, box, number)
    return box


def disk(box: ABox) -> dict[str, bytes]:
    """Return every file below releases, store and runtimes."""
    root = Box(box.root)
    found = [path for folder in (root.releases, root.store, root.runtimes) for path in folder.rglob("*")]
    return {str(path.relative_to(box.root)): path.read_bytes() for path in found if path.is_file()}


def needed(box: ABox) -> set[str]:
    """Return the digests that the releases on disk name."""
    return {name for number in numbers(Box(box.root)) for name in referenced(load(Box(box.root), number))}


def assert_whole(box: ABox) -> None:
    """Every release with a record opens, all of it hashed."""
    for number in numbers(Box(box.root)):
        assert open_release(box.root, number).number == number


def test_an_install_keeps_what_serves_and_what_it_replaced(forge: BundleForge) -> None:
    box = forge.box()
    for number in (1, 2, 3):
        a_release(forge, box, number)
    assert numbers(Box(box.root)) == [2, 3]
    blobs = {f"sha256:{path.name}" for path in Box(box.root).store.glob("*/*")}
    assert blobs <= needed(box), "a blob that nobody names stayed"
    assert len(list(Box(box.root).runtimes.iterdir())) == 2
    assert_whole(box)
    assert roll_back(box.standing()).number == 2


def test_after_a_rollback_the_newest_stays_for_the_floor(forge: BundleForge) -> None:
    """The floor of the state is derived from the newest release on disk: cleaning never lowers it."""
    box = forge.box()
    for number in (1, 2):
        a_release(forge, box, number)
    roll_back(box.standing())
    before = disk(box)
    assert clean(box.standing()).releases == ()
    assert (disk(box), numbers(Box(box.root))) == (before, [1, 2])
    a_release(forge, box, 3)
    assert numbers(Box(box.root)) == [1, 3]
    assert_whole(box)


def test_a_rehearsal_removes_nothing_and_says_the_same(forge: BundleForge) -> None:
    box = three(forge)
    before = disk(box)
    told = clean(box.standing(), dry_run=True)
    assert disk(box) == before
    assert clean(box.standing()) == told
    assert told.releases == (1,)
    assert sum(map(len, before.values())) - sum(map(len, disk(box).values())) >= told.freed_bytes > 0


def test_a_release_that_a_service_runs_is_not_cleaned_away_under_it(forge: BundleForge) -> None:
    """Three installs while nobody restarted the service, one of them of its own bundle: what it reads is there."""
    box = forge.box()
    bundle = a_release(forge, box, 1)
    served = open_release(box.root)
    with in_use(served):
        box.install(bundle)
        for number in (2, 3):
            a_release(forge, box, number)
        assert numbers(Box(box.root)) == [1, 2, 3]
        assert_whole(box)
    assert clean(box.standing()).releases == (1,)
    with pytest.raises(StateError, match="removed"), in_use(served):
        pass


def test_cleaning_while_an_install_runs(forge: BundleForge) -> None:
    box = forge.box()
    a_release(forge, box, 1)
    with locked(Box(box.root)), pytest.raises(GateError, match="BUSY"):
        clean(box.standing())


def test_a_record_that_cannot_be_read_stops_the_cleaning(forge: BundleForge) -> None:
    """A damaged record names nothing: rather than take its blobs for nobody's, nothing is removed."""
    box = forge.box()
    for number in (1, 2):
        a_release(forge, box, number)
    Box(box.root).release(1).write_text("{}")
    before = disk(box)
    with pytest.raises(StateError, match="RELEASE"):
        sweep(Box(box.root))
    assert disk(box) == before


def test_an_install_that_cannot_clean_up_has_installed_all_the_same(forge: BundleForge) -> None:
    """The record of the release before is damaged, after the switch is done: that is said, and nothing is removed."""
    box = forge.box()
    for number in (1, 2):
        a_release(forge, box, number)
    forge.clock.pass_(days=1)
    bundle = forge.build(forge.cargo(table={"number": 3}))

    def rot(release: object) -> list[str]:
        Box(box.root).release(2).write_text("{}")
        return []

    done = box.install(bundle, health=rot)
    assert (done.record.number, current_number(Box(box.root))) == (3, 3)
    assert "release.json" in done.cleaned.problem
    assert numbers(Box(box.root)) == [1, 2, 3]


CLEAN = """
import sys
from pathlib import Path
from bundles.layout import Box
from bundles.retention import clean
print("here", flush=True)
clean(Box(Path(sys.argv[1])))
"""
EVERY = 1 if "HYBRID_SOAK" in os.environ else 3
MUTATING = ("unlink", "rename", "rmdir", "unlinkat")


def killed_at(box: ABox, call: str, count: int) -> bool:
    """Clean in a process that dies (kill -9) at call `count` of `call`; return whether it came to that."""
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={count}"]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *inject, sys.executable, "-B", "-c", CLEAN, str(box.root)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.slow
@pytest.mark.debian("strace")
@pytest.mark.parametrize("call", MUTATING)
def test_killed_at_each_mutating_call(forge: BundleForge, call: str) -> None:
    """kill -9 at unlinks, renames and rmdirs of a clean: what stays opens, and the next clean completes it.

    `make soak` takes each of them.
    """
    box = three(forge)
    kept, count = box.root.with_name("kept"), 1
    subprocess.run(["cp", "-a", box.root, kept], check=True)
    while killed_at(box, call, count):
        assert current_number(Box(box.root)) == 3
        assert {2, 3} <= set(numbers(Box(box.root)))
        assert_whole(box)
        sweep(Box(box.root))
        store.sweep(Box(box.root))
        assert numbers(Box(box.root)) == [2, 3]
        assert len(list(Box(box.root).runtimes.iterdir())) == 2
        subprocess.run(["rm", "-rf", box.root], check=True)
        subprocess.run(["cp", "-a", kept, box.root], check=True)
        count += EVERY
    print(f"{call}: {count - 1} kill points, every {EVERY}")
    assert count > 1
    assert sweep(Box(box.root)).freed_bytes == 0
