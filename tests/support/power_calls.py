"""Records each call by which a piece of work changes a disk, or stops the work before one of them.

The work runs in a forked child, its modules loaded already; strace attaches to the child, so that the first call that
is counted is the work's own.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from bundles.errors import BundleError

NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir",
         "mkdirat", "rmdir", "mknod", "mknodat")  # fmt: skip
FILES = ("open", "openat", "openat2", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek", "chmod", "fchmod",
         "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate",
         "fallocate")  # fmt: skip
DATA = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile", "splice", "mmap",
        "io_uring_setup", "clone", "clone3", "fork", "vfork")  # fmt: skip
SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync")
_TRACED = ",".join(f"?{name}" for name in (*NAMES, *FILES, *DATA, *SYNCS))
_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
REFUSED = 3
_LONGEST = 64 * 1024 * 1024
_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)


@dataclass(frozen=True)
class Call:
    """One call: its name, which one of that name it was (from 1), its arguments as strace spells them, its result."""

    name: str
    nth: int
    arguments: tuple[str, ...]
    result: int

    def bytes_of(self, argument: int) -> bytes:
        """Return the path or the data that the argument holds."""
        return bytes.fromhex(self.arguments[argument].strip('"').replace("\\x", ""))

    def path(self, argument: int) -> str:
        """Return the path that the argument names."""
        return os.fsdecode(self.bytes_of(argument))


def recorded(work: Callable[[], object]) -> list[Call]:
    """Do `work` in a child and return its calls, the failed ones too.

    Raises:
        AssertionError: the work failed; what it said is on stderr.
    """
    status, lines = _traced(work, "-xx", "-s", str(_LONGEST), "-e", f"trace={_TRACED}")
    assert status == 0, f"the work ended with {status}"
    counts: Counter[str] = Counter()
    calls = []
    for line in lines:
        if found := _LINE.match(line):
            name, arguments, result = found.groups()
            counts[name] += 1
            value = -1 if result == "?" else int(result, 0)
            calls.append(Call(name, counts[name], tuple(arguments.split(", ")), value))
    return calls


def killed(work: Callable[[], object], call: Call) -> int:
    """Do `work` in a child that is killed (-9) as it makes `call`, before that has any effect; return its status."""
    inject = f"inject={call.name}:signal=KILL:when={call.nth}"
    return _traced(work, "-e", f"trace={call.name}", "-e", inject)[0]


def failed(work: Callable[[], object], call: Call, error: str) -> int:
    """Do `work` in a child for which `call` fails with `error`; return its status: 0, or REFUSED when it said so."""
    inject = f"inject={call.name}:error={error}:when={call.nth}"
    return _traced(work, "-e", f"trace={call.name}", "-e", inject)[0]


def _traced(work: Callable[[], object], *options: str) -> tuple[int, list[str]]:
    waits, go = os.pipe()
    child = os.fork()
    if not child:
        _obey(work, waits)
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["strace", "-o", log.name, *options, "-p", str(child)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            os.write(go, b"." if "attached" in said else b"!")
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lines = log.read().splitlines()
    os.close(waits)
    os.close(go)
    assert "attached" in said, said
    return status, lines


def _obey(work: Callable[[], object], waits: int) -> NoReturn:
    """Let anybody of this user trace this process, wait until somebody does, work, and end."""
    ctypes.CDLL(None).prctl(_SET_PTRACER, _ANYBODY, 0, 0, 0)
    status = 1
    try:
        if os.read(waits, 1) == b".":
            work()
            status = 0
    except (OSError, BundleError):
        status = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
