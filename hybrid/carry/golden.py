"""Runs the golden checks of a staged release before it serves: in its own runtime, without network, keys or privileges.

What is compared is `hybrid.gateway.engines.golden`'s; here is where it runs. The process gets a clean environment and
only the paths of the release's files. With root it is nobody (or, where nobody cannot reach the files, a root without
any capability), the keys' folder hidden and the box's folder read-only; without root, as much of that as the kernel
gives. Where not even the network can be taken away the checks fail, rather than run unconfined.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundles.release import Release

PATIENCE_S = 300
ENVIRONMENT = {"PATH": os.defpath + ":/usr/sbin:/sbin", "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1"}
HIDE = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; mount -t tmpfs -o mode=000 none "$2"; shift 2; exec "$@"'
POWERLESS = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
NOBODY = [*POWERLESS, "--reuid=65534", "--regid=65534", "--clear-groups"]


@dataclass(frozen=True)
class _Staged:
    """The files of a release that does not serve yet."""

    files: Mapping[str, Path]


def check(release: Release) -> list[str]:
    """Return how the staged release answers otherwise than in the workshop; empty when it does not."""
    if not any(path.endswith("/golden.json") for path in release.files):
        return []
    prefix = confined(release)
    if prefix is None:
        return ["nothing here parts a process from network and keys: it needs unshare and setpriv, of util-linux"]
    command = [*prefix, *starting(release, "hybrid.carry.golden")]
    files = json.dumps({name: str(path) for name, path in release.files.items()})
    try:
        done = subprocess.run(
            command, input=files, capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE_S, check=False,
            cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [f"no answer within {PATIENCE_S} s"]
    if done.returncode:
        return [f"the runtime does not start: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"]
    return [str(line) for line in json.loads(done.stdout)]


def starting(release: Release, module: str) -> list[str]:
    """Return the words that run `module` in the release's runtime; where it carries none, in the verifier's own."""
    if release.launcher:
        return [sys.executable, "-I", "-B", str(release.launcher), "-m", module]
    own = [path for path in sys.path if path]
    code = f"import runpy, sys; sys.path[:] = {own!r}; runpy.run_module({module!r}, None, '__main__', alter_sys=True)"
    return [sys.executable, "-I", "-B", "-c", code]


def confined(release: Release) -> list[str] | None:
    """Return the strictest command prefix below which the release can be read; None: this machine gives none."""
    needed = [str(path) for path in (release.launcher, *release.files.values()) if path]
    return first_that_reads(_prefixes(release), [*needed, __file__])


def first_that_reads(prefixes: Iterable[list[str]], files: Sequence[str]) -> list[str] | None:
    """Return the first of `prefixes` below which a process can open all of `files`; None where none works."""
    code = "import sys; [open(path, 'rb').close() for path in sys.argv[1:]]"
    for prefix in prefixes:
        probe = [*prefix, sys.executable, "-I", "-c", code, *files]
        try:
            if subprocess.run(probe, capture_output=True, env=ENVIRONMENT, cwd="/", check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            continue
    return None


def _prefixes(release: Release) -> Iterator[list[str]]:
    """Yield command prefixes: no network always, then no keys and no privileges as far as the kernel lets us."""
    from bundles.layout import Box

    hide = ["sh", "-euc", HIDE, "sh", str(release.root), str(Box(release.root).identity)]
    for unshare, who in ((["-nm"], NOBODY), (["-nm"], POWERLESS), (["-Urnm"], POWERLESS)):
        yield ["unshare", *unshare, *hide, *who]
    yield ["unshare", "-n"]
    yield ["unshare", "-Urn"]


def main() -> None:
    """Read logical path -> file from stdin as JSON; print what is wrong as JSON."""
    from hybrid.gateway.engines.golden import check as compare

    staged = _Staged({name: Path(path) for name, path in json.load(sys.stdin).items()})
    print(json.dumps(compare(staged)))


if __name__ == "__main__":
    main()
