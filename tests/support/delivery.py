"""A real sshd on a loopback port, wires that cut, swallow or stall, and bundles to carry: all end with the test."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid.delivery.destination import Destination

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@dataclass(frozen=True)
class Host:
    """A running sshd: its port, the key that opens it, and the known_hosts file that knows it."""

    port: int
    identity: Path
    known_hosts: Path
    public_key: str
    far: Path
    pid: int

    def through(self, port: int) -> Destination:
        """The same host, reached through another port; its key is known under this one's name."""
        user = os.environ.get("USER") or "root"
        return Destination("127.0.0.1", port, user, f"[127.0.0.1]:{self.port}", (self.identity,), (self.known_hosts,))

    @property
    def direct(self) -> Destination:
        return self.through(self.port)

    @property
    def options(self) -> list[str]:
        """Command line options that reach this host."""
        return ["--identity", str(self.identity), "--known-hosts", str(self.known_hosts)]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_key(path: Path) -> str:
    """Make an Ed25519 key pair; return the public line's two fields."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@contextmanager
def an_sshd(folder: Path, *, wrapper: tuple[str, ...] = ()) -> Iterator[Host]:
    """Run `sshd -D` on a free loopback port with its own keys; `wrapper` is put before the command."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (far := folder / "far").mkdir()
    public, port = make_key(folder / "host"), free_port()
    client = make_key(folder / "client")
    (folder / "authorized").write_text(client + "\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation folder
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSubsystem sftp {SFTP_SERVER}\n"
    )
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    log = (folder / "log").open("wb")
    process = subprocess.Popen([*wrapper, sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield Host(port, folder / "client", folder / "known_hosts", public, far, process.pid)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise AssertionError(f"sshd ended: {log.read_text()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")


class Wire:
    """A TCP proxy on loopback that misbehaves after `after` bytes of each connection towards the far end.

    `cut` closes both sides, `stall` stops reading, `swallow` reads on and forwards nothing. `calm()` makes it honest.
    `carried` counts the bytes forwarded to the far end.
    """

    def __init__(self, port: int, *, after: int | None, how: str = "cut") -> None:
        self._target, self._after, self._how = port, after, how
        self.carried = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def calm(self) -> None:
        self._after, self.carried = None, 0

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                threading.Thread(target=self._forward, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(far, near, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed, tripped = 0, False
        with suppress(OSError):
            while data := source.recv(65536):
                tripped |= counted and self._after is not None and passed + len(data) > self._after
                if tripped:
                    if self._how == "stall":
                        return
                    if self._how == "swallow":
                        continue
                    break
                sink.sendall(data)
                passed += len(data)
                self.carried += len(data) if counted else 0
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def a_bundle(folder: Path, *, blobs: tuple[int, ...] = (3_000_000, 70_000, 1)) -> Path:
    """An OCI-layout directory with blobs of the given sizes, the same bytes for the same sizes."""
    (blob_folder := folder / "blobs/sha256").mkdir(parents=True)
    names = []
    for size in blobs:
        data = random.Random(size).randbytes(size)
        names.append(hashlib.sha256(data).hexdigest())
        (blob_folder / names[-1]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"blobs": names}))
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return every file below `folder` with its digest."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}
