"""What every test shares: Debian packages are skipped by name outside CI, and nothing reads a user's own settings."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import cache

import pytest

os.environ.update(HF_HUB_OFFLINE="1", ORT_DISABLE_TELEMETRY="1", RAY_USAGE_STATS_ENABLED="0", NO_COLOR="1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background of a shell, all processes of the tests would inherit that Ctrl-C does nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
    except FileNotFoundError:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian packages are missing, with the line to type; in CI, fail it."""
    missing = [p for mark in item.iter_markers("debian") for p in mark.args if not _installed(p)]
    if missing:
        line = f"missing Debian packages: apt-get install -y {' '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(line)
        pytest.skip(line)
