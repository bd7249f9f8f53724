"""A contained host: Debian booted by systemd-nspawn, with a real sshd, in a network that is nothing but loopback.

The base system is made once with debootstrap and kept outside the tree; each host runs on an overlay of its own that
is thrown away. Whoever wants to talk to it runs in the same network namespace (`Host.inside`); nothing else can.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CACHE = Path(os.environ.get("HYBRID_TEST_CACHE", "/var/cache/hybrid-test-host"))
INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,python3,iproute2,procps"
PACKAGES = ("debootstrap", "iproute2", "openssh-client", "systemd-container")
COMMAND = """\
#!/bin/sh
export PYTHONPATH=/opt/site-packages:/opt/hybrid PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 -m hybrid "$@"
"""


@dataclass(frozen=True)
class Host:
    """A booted host: its network namespace, its root folder as seen from here, and the key that opens it."""

    namespace: str
    root: Path
    key: Path
    known_hosts: Path

    def inside(self, command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the host's network."""
        prefix = ["ip", "netns", "exec", self.namespace]
        return subprocess.run([*prefix, *command], capture_output=True, text=True, check=check, timeout=300)

    def shell(self, command: str) -> str:
        """Run a shell command on the host as root, over SSH, and return its output."""
        options = ["-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "BatchMode=yes", "-i", str(self.key)]
        return self.inside(["ssh", *options, "root@127.0.0.1", command]).stdout


def base_system(*, make: bool) -> Path | None:
    """Return the base system; where it is not there, None, or a new one (a minute, 310 MB, from Debian's mirror)."""
    made = CACHE / "bookworm"
    if not made.is_dir():
        if not make:
            return None
        CACHE.mkdir(parents=True, exist_ok=True)
        part = CACHE / f"bookworm.{os.getpid()}.part"
        command = ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", "bookworm", str(part)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        part.rename(made)
    return made


@contextmanager
def a_booted_host(folder: Path) -> Iterator[Host]:
    """Boot a host for the body of a `with`; needs root. Its processes, mounts and network end with it."""
    name = f"hybrid{os.getpid()}"
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with _overlay(folder) as root, _network(name):
        _furnish(root, key)
        host_key = " ".join((root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"127.0.0.1 {host_key}\n")
        host = Host(name, root, key, folder / "known_hosts")
        with _booted(folder, host):
            yield host


@contextmanager
def _overlay(folder: Path) -> Iterator[Path]:
    up, work, root = (folder / part for part in ("up", "work", "root"))
    for path in (up, work, root):
        path.mkdir()
    options = f"lowerdir={base_system(make=True)},upperdir={up},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


@contextmanager
def _network(name: str) -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def _furnish(root: Path, key: Path) -> None:
    """Let `key` in, and put the hybrid command where a seed would have put it."""
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
    command = root / "usr/local/bin/hybrid"
    command.write_text(COMMAND)
    command.chmod(0o755)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")


@contextmanager
def _booted(folder: Path, host: Host) -> Iterator[None]:
    binds = [f"--bind-ro={REPOSITORY}:/opt/hybrid", f"--bind-ro={site.getsitepackages()[0]}:/opt/site-packages"]
    command = [
        "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={host.root}",
        f"--network-namespace-path=/run/netns/{host.namespace}", "--console=pipe", *binds,
    ]  # fmt: skip
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        _wait_for_sshd(process, host, folder / "console")
        yield
    finally:
        process.terminate()  # nspawn powers the host off
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_sshd(process: subprocess.Popen[bytes], host: Host, console: Path) -> None:
    for _ in range(120):
        if process.poll() is not None:
            raise AssertionError(f"the host did not boot: {console.read_text(errors='replace')[-500:]}")
        if host.inside(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/22"], check=False).returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError("sshd does not listen in the host")


if __name__ == "__main__":
    print(base_system(make=True))
