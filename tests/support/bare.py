"""A machine that has nothing: Debian's essential packages unpacked, no Python, no network, no init.

The packages are those that `tests.ansible.host` left in its cache; nothing is downloaded. A command runs with this
root alone, in namespaces of its own: loopback is down, and its processes end with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ansible.host import base_system

ESSENTIAL = (
    "base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip", "libacl1",
    "libattr1", "libbz2-1.0", "libc-bin", "libc6", "libcap-ng0", "libgcc-s1", "libgmp10", "liblz4-1", "liblzma5",
    "libpcre2-8-0", "libselinux1", "libstdc++6", "libtinfo6", "libzstd1", "mount", "libmount1", "libblkid1", "sed",
    "tar", "util-linux", "util-linux-extra", "libsmartcols1", "libudev1", "libuuid1", "zlib1g", "dpkg", "libmd0",
    "libcrypt1", "libsystemd0", "libaudit1", "libaudit-common",
)  # fmt: skip
"""What a box has that has hardly anything; libgcc and libstdc++ are the C++ runtime that onnxruntime links."""
PYTHON = (
    "libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal", "libexpat1", "libssl3", "libffi8",
    "libsqlite3-0", "libbz2-1.0", "liblzma5", "libuuid1", "zlib1g",
)  # fmt: skip
FOLDERS = ("bin", "sbin", "lib", "lib64")


def packages(names: Sequence[str]) -> list[Path]:
    """Return the cached Debian packages of `names`; skips where there is no cache."""
    if os.geteuid() != 0:
        pytest.skip("makes a root of its own: needs root")
    base = base_system(make="CI" in os.environ)
    if base is None:
        pytest.skip("make the packages' cache once: python -m tests.ansible.host")
    cache = base / "var/cache/apt/archives"
    return [max(cache.glob(f"{name}_*.deb")) for name in names]


@dataclass(frozen=True)
class Bare:
    """A root folder in which commands run."""

    root: Path

    def run(
        self, *command: object, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with nothing but this root, as root, without a network."""
        prefix = self.prefix()
        clean = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **(environment or {})}
        done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True, env=clean, check=False,
                              timeout=300)  # fmt: skip
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def prefix(self) -> list[str]:
        """Return the words in front of a command that put it into this root."""
        script = 'mount -t proc proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" "$@"'
        alone = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--ipc", "--uts"]
        return ["unshare", *alone, "sh", "-euc", script, str(self.root)]


@contextmanager
def a_bare_machine(folder: Path) -> Iterator[Bare]:
    """Give a machine below `folder`, which is removed with it."""
    debs = packages(ESSENTIAL)
    root = folder / "bare"
    for name in FOLDERS:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], check=True, input=files)
    for name in ("proc", "dev", "root", "tmp", "media", "etc", "var/lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    try:
        yield Bare(root)
    finally:
        shutil.rmtree(root)
