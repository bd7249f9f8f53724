"""Nothing reaches out at run time: the whole service of a site runs under strace, answers, and connects to nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.boxes import an_installed_box, ask, serving
from tests.support.gateway import a_key, wait_for

pytestmark = pytest.mark.debian("strace")

CALLS = "connect,sendto,sendmsg,sendmmsg"
LOCAL = re.compile(r'sa_family=(AF_UNIX|AF_NETLINK)|inet_addr\("127\.|inet_pton\(AF_INET6, "::1"')
HAIL = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.socket(type=socket.SOCK_{}).{}"


def watched(trace: Path) -> tuple[str, ...]:
    """Return the prefix of a command whose attempts to reach an address go to `trace`; it keeps its process id (-D)."""
    return ("strace", "-D", "-f", "--seccomp-bpf", "-o", str(trace), "-e", f"trace={CALLS}")


def reached(trace: Path) -> list[str]:
    """Return the calls in `trace` that name an address beyond this machine."""
    return [line for line in trace.read_text().splitlines() if "sa_family=" in line and not LOCAL.search(line)]


def test_a_site_that_starts_answers_and_ends_reaches_nobody(tmp_path: Path) -> None:
    root, trace = an_installed_box(tmp_path), tmp_path / "trace"
    key = a_key(root, "desk")

    with serving(root, *watched(trace)) as (process, address):
        answer = ask(address, key)
        process.terminate()
        process.wait(30)

    assert answer["hybrid"]["served"][-1]["by"] == "quote"
    ended = re.compile(rf"^{process.pid} +\+\+\+ exited with 0", re.MULTILINE)  # strace pads short process ids
    wait_for(lambda: ended.search(trace.read_text()) is not None)
    assert reached(trace) == []


@pytest.mark.parametrize(
    ("kind", "attempt"),
    [("STREAM", "connect_ex(('255.255.255.255', 443))"), ("DGRAM", "sendto(b'x', ('255.255.255.255', 53))")],
)
def test_the_watcher_sees_who_does_reach_out(tmp_path: Path, kind: str, attempt: str) -> None:
    """The address is one that the kernel itself refuses, so that the test does not leave this machine either."""
    trace = tmp_path / "trace"
    subprocess.run([*watched(trace), sys.executable, "-c", HAIL.format(kind, attempt)], check=True, timeout=30)

    wait_for(lambda: "exited with 0" in trace.read_text())
    (seen,) = reached(trace)
    assert "255.255.255.255" in seen
