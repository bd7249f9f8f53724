"""Power, disks and people cut an install at the worst moments: the old release serves on, the next run completes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundles.errors import GateError, TrustError
from bundles.install import install, keep_time
from bundles.layout import Box
from bundles.lock import locked
from bundles.medium import Medium
from bundles.release import current_number, open_release
from tests.support.bundles import ABox, BundleForge, Published

INSTALL = """
import sys, time
from pathlib import Path
from tests.support.bundles import ABox, FakeClock
root, bundle, where, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
calls = 0
def hang(*_):
    global calls
    calls += 1
    if calls == count:
        print("here", flush=True)
        time.sleep(60)
    return []
ABox(root, FakeClock()).install(bundle, **{where: hang})
"""


def killed_at(box: ABox, bundle: Path, where: str, count: int = 1) -> None:
    """Start an install in a process of its own and kill it (-9) when it gets to call `count` of `where`."""
    command = [sys.executable, "-c", INSTALL, str(box.root), str(bundle), where, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("where", "count"), [("advance", 1), ("advance", 4), ("golden", 1)])
def test_killed_before_the_switch(box: ABox, bundle: Path, where: str, count: int) -> None:
    """Killed while copying, or just before the commit: nothing of the state changed, and a second run completes."""
    before = box.snapshot()
    killed_at(box, bundle, where, count)
    assert box.snapshot() == before
    assert current_number(Box(box.root)) is None
    box.install(bundle)
    assert open_release(box.root).number == 1
    assert not list(box.root.rglob("*.part"))


def test_killed_after_the_switch(box: ABox, bundle: Path) -> None:
    killed_at(box, bundle, "health")
    assert open_release(box.root).number == 1
    assert box.install(bundle).record.written == 0


def test_cut_between_state_and_switch(box: ABox, bundle: Path, published: Published) -> None:
    """The state is raised first: the same bundle still installs, an older one never."""
    box.install(bundle)
    link = box.root / "current"
    link.unlink()
    (box.root / "releases" / "1" / "release.json").unlink()
    assert box.install(bundle).record.number == 1
    assert open_release(box.root).number == 1


def test_too_little_space_is_said_before_anything_is_written(published: Published, tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, published, size="4m", fill="before")
    assert done.stdout.splitlines() == ["SPACE", "unchanged", "no release", "0 blobs"], done.stderr


def test_a_disk_that_fills_up_in_the_middle(published: Published, tmp_path: Path) -> None:
    """Real ENOSPC half-way: the blob being written is gone, the state as it was, and freeing space completes it."""
    done = on_a_small_disk(tmp_path, published, size="40m", fill="middle")
    assert done.stdout.splitlines()[:3] == ["ENOSPC", "unchanged", "no release"], done.stderr
    assert done.stdout.splitlines()[-1] == "installed 1", done.stderr


SMALL_DISK = """
import errno, sys
from pathlib import Path
from bundles.errors import SpaceError
from bundles.layout import Box
from bundles.medium import Medium
from bundles.release import current_number
from tests.support.bundles import ABox, FakeClock
root, bundle, seed, card, fill = Path(sys.argv[1]) / "box", *sys.argv[2:]
box = ABox(root, FakeClock()).enrol(Path(seed), card)
before, filler = box.snapshot(), Path(sys.argv[1]) / "filler"
def fill_up(*_):
    if filler.exists():
        return
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    with filler.open("r+b") as file:
        file.truncate(max(0, filler.stat().st_size - 24576))
try:
    box.install(Path(bundle), advance=fill_up if fill == "middle" else None)
except SpaceError as error:
    print(error.code)
except OSError as error:
    print(errno.errorcode[error.errno])
print("unchanged" if box.snapshot() == before else "changed")
print("no release" if current_number(Box(root)) is None else "a release")
print(len(list((root / "store").rglob("*/*/*"))), "blobs")
if fill == "middle":
    assert not list(root.rglob("*.part"))
    filler.unlink()
    print("installed", box.install(Path(bundle)).record.number)
"""


def on_a_small_disk(place: Path, published: Published, *, size: str, fill: str) -> subprocess.CompletedProcess[str]:
    """Install onto a tmpfs of `size` in a mount namespace of its own."""
    space = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    probe = subprocess.run([*space, "mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this kernel gives no mount namespace")
    disk = place / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size={size} none "$1" && shift && exec "$@"'
    arguments = [sys.executable, "-c", SMALL_DISK, str(disk), str(published.bundle), str(published.seed),
                 published.card, fill]  # fmt: skip
    return subprocess.run([*space, "sh", "-c", script, "sh", str(disk), *arguments], capture_output=True, text=True,
                          cwd=Path(__file__).parents[2], check=False)  # fmt: skip


def test_golden_checks_that_fail_refuse_the_release(box: ABox, bundle: Path) -> None:
    before = box.snapshot()
    with pytest.raises(GateError, match="GOLDEN"):
        box.install(bundle, golden=lambda release: ["minilm/w8: cosine 0.2"])
    assert box.snapshot() == before


def test_an_unhealthy_release_rolls_back(tmp_path: Path) -> None:
    """The service does not come up with the new release: the previous one serves again."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    box.install(forge.build())
    forge.clock.pass_(days=1)
    with pytest.raises(GateError, match="HEALTH"):
        box.install(forge.build(forge.cargo(table={})), health=lambda release: ["port closed"])
    assert current_number(Box(box.root)) == 1


def test_an_unhealthy_first_release_is_taken_back_altogether(box: ABox, bundle: Path) -> None:
    """The service does not come up and there is nothing to go back to: nothing serves, rather than what is broken."""
    with pytest.raises(GateError, match=r"port closed.*no earlier release") as caught:
        box.install(bundle, health=lambda release: ["port closed"])
    assert caught.value.code == "HEALTH"
    assert current_number(Box(box.root)) is None


def test_an_unhealthy_release_over_a_damaged_one_lets_nothing_serve(tmp_path: Path) -> None:
    """The release to go back to is no longer what was installed: it does not serve again either."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    box.install(forge.build())
    plan = Box(box.root).blob(open_release(box.root).site_plan_digest)
    forge.clock.pass_(days=1)

    def rot(release: object) -> list[str]:
        plan.chmod(0o644)
        plan.write_bytes(b"rot")
        return ["port closed"]

    with pytest.raises(GateError, match=r"port closed.*in the store"):
        box.install(forge.build(forge.cargo(table={})), health=rot)
    assert current_number(Box(box.root)) is None


def test_what_killed_installs_left_is_swept_before_space_is_counted(box: ABox, bundle: Path) -> None:
    """Killed again and again, each time by another process id, until the leavings would fill the disk."""
    left = [
        "store/sha256/ab/.abcd.17.part",
        "trust/.state-a.json.17.part",
        "trust/metadata/.1.root.json.17.part",
        "releases/1/.release.json.17.part",
        "identity/.log.key.17.part",
        "runtimes/.f00.part/site-packages/x.py",
    ]
    for name in left:
        (box.root / name).parent.mkdir(parents=True, exist_ok=True)
        (box.root / name).write_text("half")
    (box.root / ".current.17").symlink_to("releases/9")
    box.install(bundle)
    assert not [path for path in box.root.rglob(".*") if path.name.endswith(".part") or ".current" in path.name]


def test_a_damaged_blob_in_the_store_is_replaced(box: ABox, bundle: Path) -> None:
    """A disk that rots: the service refuses to start, installing the same bundle again mends it."""
    box.install(bundle)
    path = open_release(box.root).files["models/minilm/w8/model.onnx"]
    path.chmod(0o644)
    path.write_bytes(b"rot" + path.read_bytes()[3:])
    from bundles.errors import StateError

    with pytest.raises(StateError, match="STORE"):
        open_release(box.root)
    box.install(bundle)
    assert open_release(box.root).files["models/minilm/w8/model.onnx"].read_text().startswith("weights")


def test_two_installs_at_once(box: ABox, bundle: Path) -> None:
    with pytest.raises(GateError, match="BUSY"):
        box.install(bundle, announce=lambda *_: box.install(bundle))


def test_an_older_bundle_that_waited_while_a_newer_one_was_installed(tmp_path: Path) -> None:
    """Two installs begin together and the one of last month's stick is slow: what it read of the state is outdated."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    old = forge.build()
    waited = box.standing()
    forge.clock.pass_(days=1)
    box.install(forge.build(forge.cargo(table={})))
    before = box.snapshot()
    with Medium(old) as medium, pytest.raises(TrustError, match="older than") as caught:
        install(waited, medium)
    assert caught.value.code == "ROLLBACK"
    keep_time(waited)
    with pytest.raises(TrustError, match="older than"):
        box.install(old)
    assert {name: value for name, value in box.snapshot().items() if "state" not in name} == {
        name: value for name, value in before.items() if "state" not in name
    }


def test_unpacking_leaves_nobody_behind_when_it_is_killed(box: ABox, bundle: Path) -> None:
    """Killed while it compiles, an install of many processes left some that waited for ever: there is only one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    box.install(bundle)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt == before


def test_an_install_waits_for_the_moment_that_the_time_is_saved(box: ABox, bundle: Path) -> None:
    """The hourly saving holds the lock for a moment: nobody is sent away for that."""
    with ThreadPoolExecutor() as pool, ExitStack() as saving:
        saving.enter_context(locked(Box(box.root)))
        done = pool.submit(box.install, bundle)
        time.sleep(0.3)
        assert not done.done()
        saving.close()
        assert done.result().record.number == 1
