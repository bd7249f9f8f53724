"""Kills a process, as a power cut would stop it, before each thing that it does to a box's disk."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.bundles import ABox, FakeClock

NAMES = ("os.rename", "os.remove", "os.mkdir", "os.symlink")


def killed_at_each_write(
    box: ABox, act: Callable[[ABox], Callable[[], object]], place: Path, *, most: int = 60, step: int = 1
) -> Iterator[ABox]:
    """Act on a copy of `box`, killed (-9) before its first write, then on another before its second, and so on; yield
    each copy as it was left, the last one by a process that nobody killed.

    `act` prepares on a copy and returns what is to be cut. With `step`, only every so many writes are cut, unless
    HYBRID_SOAK is set. A write is a file opened for writing, or a name made,
    renamed or removed.
    """
    for when in range(1, most, 1 if os.environ.get("HYBRID_SOAK") else step):
        copy = ABox(place / "killed", FakeClock(box.clock.now), box.machine_id)
        shutil.copytree(box.root, copy.root, symlinks=True)
        status = _in_a_child(act(copy), when)
        assert status in (0, -signal.SIGKILL), f"ended with {status} at write {when}"
        yield copy
        shutil.rmtree(copy.root)
        if status == 0:
            print(f"{when - 1} writes cut, one at a time" if when > 1 else "nothing was written")
            return
    raise AssertionError(f"more than {most} writes")


def _in_a_child(work: Callable[[], object], when: int) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        sys.addaudithook(_Cut(when))
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class _Cut:
    def __init__(self, when: int) -> None:
        self.left = when

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if writes or event in NAMES:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
