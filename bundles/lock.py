"""Lets one process at a time change a box."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bundles.errors import GateError
from bundles.layout import Box
from bundles.store import make_folders

PATIENCE_S = 2.0
"""The hourly saving of the time holds the lock for a moment; an install holds it for minutes."""


@contextmanager
def locked(box: Box, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the box's install lock, so that two installs cannot meet.

    Raises:
        GateError: another install runs.
    """
    make_folders(box.run)
    handle = os.open(box.run / "install.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(handle, time.monotonic() + patience_s)
        yield
    finally:
        os.close(handle)


def _take(handle: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise GateError("BUSY", "another install runs on this box", advice="wait for it to end") from None
            time.sleep(0.05)
        else:
            return
