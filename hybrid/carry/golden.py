"""Runs the golden checks of a staged release before it serves: in its own runtime, in a process without a network.

What is compared is `hybrid.gateway.engines.golden`'s; here is where it runs. The process gets a clean environment and
only the paths of the release's files; where the kernel lets us, it has no network at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundles.release import Release

PATIENCE_S = 300


@dataclass(frozen=True)
class _Staged:
    """The files of a release that does not serve yet."""

    files: Mapping[str, Path]


def check(release: Release) -> list[str]:
    """Return how the staged release answers otherwise than in the workshop; empty when it does not."""
    if not any(path.endswith("/golden.json") for path in release.files):
        return []
    start = ["-I", "-B", str(release.launcher)] if release.launcher else []
    command = [*without_network(), sys.executable, *start, "-m", "hybrid.carry.golden"]
    files = json.dumps({name: str(path) for name, path in release.files.items()})
    env = {"PATH": os.defpath, "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command, input=files, capture_output=True, text=True, env=env, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"no answer within {PATIENCE_S} s"]
    if done.returncode:
        return [f"the runtime does not start: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"]
    return [str(line) for line in json.loads(done.stdout)]


def without_network() -> list[str]:
    """Return the command prefix that takes the network away; empty where the kernel does not let us."""
    for prefix in (["unshare", "-n"], ["unshare", "-Urn"]):
        try:
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            return []
    return []


def main() -> None:
    """Read logical path -> file from stdin as JSON; print what is wrong as JSON."""
    from hybrid.gateway.engines.golden import check as compare

    staged = _Staged({name: Path(path) for name, path in json.load(sys.stdin).items()})
    print(json.dumps(compare(staged)))


if __name__ == "__main__":
    main()
