"""A Ray head in namespaces of its own, started, found, asked and ended exactly: all its processes and no other.

It has a network namespace without any interface but loopback, so nothing in it (HAProxy's statistics on all interfaces
included) can be reached, nor reach out; the only ways in are two sockets in `RUN`: `control.sock` for this module and
`data.sock` for the gateway, each for one user. It has a pid namespace, so the kernel ends every
process in it when its first one ends, whatever happened to whoever started it. Without root the same holds by way of a
user namespace; where those are switched off too, nothing is started.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybrid.cluster.compile import Node
from hybrid.cluster.emit import ENVIRONMENT
from hybrid.errors import HybridError, InputError

READY_S = 120.0
END_S = 15.0
KEEP = b"k"


@dataclass(frozen=True, slots=True)
class Head:
    """A started head: the process whose end ends all, when it began (kernel ticks), and its pid namespace."""

    run: Path
    pid: int
    began: int
    namespace: str

    @property
    def alive(self) -> bool:
        """Return whether that very process lives: a reused pid began at another time."""
        return _began(self.pid) == self.began

    def processes(self) -> list[int]:
        """Return the pids of every process inside, as seen from here."""
        return [pid for pid in _pids() if _link(pid, "pid") == self.namespace]


def start(run: Path, nodes: tuple[Node, ...], *, bound: bool, gateway_user: str | None = None) -> Head:
    """Start a head with one labelled Ray node per entry of `nodes`; return when it answers.

    Args:
        run: a folder for sockets, logs and `head.json`; made with mode 0700.
        bound: True ends the head when this process ends, however that happens; False lets it stay.
        gateway_user: who else may open `data.sock`, and nothing more; only root can give it away.

    Raises:
        InputError: a head already runs there, or there is no such user.
        HybridError: the machine has no namespaces for us, or the head did not start; nothing of it is left.
    """
    if (old := find(run)) is not None:
        raise InputError(f"{run}: a head runs there already (pid {old.pid})", advice="stop it: hybrid cluster stop")
    owner = _user(gateway_user)
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o700 if owner is None else 0o711)
    for name in ("control.sock", "data.sock", "head.json"):
        (run / name).unlink(missing_ok=True)
    (run / "nodes.json").write_text(json.dumps([asdict(node) for node in nodes], indent=1))
    lifeline, ours = os.pipe()
    process = _spawn(run, lifeline)
    os.close(lifeline)
    try:
        head = _await(run, process)
        if owner is not None:
            os.chown(run / "data.sock", owner, -1)
        _remember(head)
    except BaseException:
        process.kill()
        process.wait()
        os.close(ours)
        raise
    if not bound:
        os.write(ours, KEEP)
    _OURS[head.pid] = (process, ours)
    return head


def _user(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise InputError(f"there is no user {name}", advice="make it first, or leave --gateway-user out") from None


_OURS: dict[int, tuple[subprocess.Popen[bytes], int]] = {}
"""Heads that this process started, with the write end of each one's lifeline: the kernel closes that with us, and the
keeper of a bound head then ends."""


def _spawn(run: Path, lifeline: int) -> subprocess.Popen[bytes]:
    unshare = shutil.which("unshare")
    flags = ["--net", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child"]
    if os.geteuid() != 0:
        flags.insert(0, "--map-root-user")
    if unshare is None or subprocess.run([unshare, *flags, "true"], capture_output=True, check=False).returncode:
        raise HybridError(
            "this machine gives us no namespaces, and a head without them could be reached by others",
            advice="run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1",
        )
    command = [unshare, *flags, sys.executable, "-m", "hybrid.cluster.keeper", str(run), str(lifeline)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    with (run / "head.log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(lifeline,),
            start_new_session=True, env=environment | ENVIRONMENT,
        )  # fmt: skip


def _await(run: Path, process: subprocess.Popen[bytes]) -> Head:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(HybridError):
            ask(run, {"do": "ping"}, timeout_s=5)
            return Head(run, process.pid, _began(process.pid) or 0, _link(process.pid, "pid_for_children"))
        time.sleep(0.1)
    said = (run / "head.log").read_text(errors="replace").strip().splitlines()[-3:]
    raise HybridError(
        f"the head did not start: {' | '.join(said) or 'it said nothing'}", advice=f"read {run / 'head.log'}"
    )


def _remember(head: Head) -> None:
    record = {"pid": head.pid, "began": head.began, "namespace": head.namespace}
    (head.run / "head.json.part").write_text(json.dumps(record))
    (head.run / "head.json.part").replace(head.run / "head.json")


def find(run: Path) -> Head | None:
    """Return the head that runs with `run`, None when none does."""
    try:
        record = json.loads((run / "head.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    head = Head(run, record["pid"], record["began"], record["namespace"])
    return head if head.alive else None


def stop(run: Path) -> int:
    """End the head with everything in it; return how many processes ended. Nothing runs: 0.

    Raises:
        HybridError: something in it outlives SIGKILL (it hangs in the kernel).
    """
    head = find(run)
    if head is None:
        return 0
    inside = head.processes()
    with suppress(HybridError):
        ask(run, {"do": "stop"}, timeout_s=END_S)
    deadline = time.monotonic() + END_S
    if head.alive:
        os.kill(head.pid, signal.SIGKILL)  # --kill-child takes the namespace's first process with it
    while head.processes():
        if time.monotonic() > deadline:
            raise HybridError(f"processes {head.processes()} of the head do not end", advice="look at them with ps")
        time.sleep(0.05)
    if (ours := _OURS.pop(head.pid, None)) is not None:
        ours[0].wait()
        os.close(ours[1])
    (run / "head.json").unlink(missing_ok=True)
    return len(inside)


@contextmanager
def running(run: Path, nodes: tuple[Node, ...]) -> Iterator[Head]:
    """Start a head for the body of a `with`, bound to this process."""
    head = start(run, nodes, bound=True)
    try:
        yield head
    finally:
        stop(run)


def ask(run: Path, request: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Send one request to the keeper in the namespaces and return its answer.

    Raises:
        HybridError: nobody answers, or the keeper could not do it.
    """
    try:
        with _open(run, "control.sock", timeout_s) as sock:
            sock.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(sock.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise HybridError(f"no head answers at {run}: {error}", advice="start one: hybrid cluster apply") from error
    if "error" in answer:
        raise HybridError(f"the head says: {answer['error']}", advice=f"read {run / 'head.log'}")
    found: dict[str, Any] = answer
    return found


def _open(run: Path, name: str, timeout_s: float) -> socket.socket:
    """Connect by way of the folder's descriptor: a socket's path may have at most 107 bytes."""
    folder = os.open(run, os.O_PATH | os.O_DIRECTORY)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(f"/proc/self/fd/{folder}/{name}")
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _link(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def _began(pid: int) -> int | None:
    """Return when a process began, in ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
