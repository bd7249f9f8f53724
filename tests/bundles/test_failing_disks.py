"""The disk fills up or fails under an install, or the power does, at any call: wholly old or wholly new, and mended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundles.layout import Box
from bundles.release import current_number, open_release
from tests.support.bundles import ABox, BundleForge

ROOT = Path(__file__).parents[2]
KILLED = "killed"
SOAK = "HYBRID_SOAK" in os.environ
EVERY = 1 if SOAK else 17
CALLS = [("write", "ENOSPC"), ("fsync", "EIO"), ("write", KILLED), ("rename", KILLED), ("symlink", KILLED)]
RARER = [("write", "EIO"), ("rename", "EIO"), ("mkdir", "ENOSPC"), ("fsync", KILLED), ("mkdir", KILLED),
         ("unlink", KILLED), ("chmod", KILLED)]  # fmt: skip
INSTALL = """
import errno, sys
from pathlib import Path
from bundles.errors import BundleError
from tests.support.bundles import ABox, FakeClock
from datetime import timedelta
clock = FakeClock()
clock.pass_(days=1)
try:
    ABox(Path(sys.argv[1]), clock).install(Path(sys.argv[2]))
except OSError as error:
    sys.exit(f"errno {errno.errorcode[error.errno]}")
except BundleError as error:
    sys.exit(f"code {error.code}")
"""


def faulty(box: ABox, bundle: Path, call: str, error: str, count: int) -> str:
    """Install in a process whose call number `count` of `call` fails, or kills it; return what came of it, or ""."""
    how = "signal=KILL" if error == KILLED else f"error={error}"
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:{how}:when={count}"]
    command = ["strace", "-qq", "-o", "/dev/null", *inject, sys.executable, "-B", "-c", INSTALL, box.root, bundle]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return KILLED
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


@pytest.mark.slow
@pytest.mark.debian("strace")
@pytest.mark.parametrize(("call", "error"), CALLS + RARER * SOAK)
def test_fails_or_is_killed_at_each_call(forge: BundleForge, call: str, error: str) -> None:
    """Release 1 serves while release 2 is installed: it goes on serving or release 2 does, and the next run completes.

    `make soak` takes each call, of more kinds.
    """
    box = forge.box()
    box.install(forge.build())
    before = box.standing().state
    forge.clock.pass_(days=1)
    forge.code = {"hybrid/version.py": "NUMBER = 2\n"}
    model = forge.folder / "newer"
    model.write_text("newer weights " * 200_000)
    files = forge.cargo().files | {"models/minilm/w8/model.onnx": model}
    bundle = forge.build(forge.cargo(files=files, min_security_version=1))
    kept, count, points = box.root.with_name("kept"), 1, 0
    subprocess.run(["cp", "-a", box.root, kept], check=True)
    while said := faulty(box, bundle, call, error, count):
        assert said in (f"errno {error}", "code SPACE", KILLED), said
        points += 1
        assert current_number(Box(box.root)) in (1, 2)
        assert open_release(box.root).number == current_number(Box(box.root))
        after = box.standing().state
        assert (after.sequence, after.min_security_version) >= (before.sequence, before.min_security_version)
        left = [path for path in box.root.rglob("*.part") if path.is_file()]
        assert said == KILLED or not left, "half-written stayed"
        box.install(bundle)
        assert not list(box.root.rglob("*.part"))
        assert current_number(Box(box.root)) == 2
        assert open_release(box.root).files["models/minilm/w8/model.onnx"].read_text() == model.read_text()
        subprocess.run(["rm", "-rf", box.root], check=True)
        subprocess.run(["cp", "-a", kept, box.root], check=True)
        count += EVERY
    print(f"{call} {error}: {points} of {count - 1} points")
    assert points
    assert current_number(Box(box.root)) == 2
