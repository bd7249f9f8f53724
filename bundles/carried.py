"""Reads one small document that was in other hands: a regular file, no link, never longer than its cap."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bundles.document import DOCUMENT_CAP, N, read
from bundles.errors import MediumError


def carried(noun: type[N], path: Path, *, cap: int = DOCUMENT_CAP) -> N:
    """Return the `noun` in the file at `path`.

    Raises:
        MediumError: a link, a pipe or a device, more than `cap` bytes, or not strictly that noun.
        FileNotFoundError: nothing is there.
    """
    return read(noun, carried_bytes(path, cap), what=path.name, cap=cap)


def carried_bytes(path: Path, cap: int) -> bytes:
    """Return what stands in the file at `path`, at most one byte more than `cap`.

    Raises:
        MediumError: a link, a pipe or a device.
        FileNotFoundError: nothing is there.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _no_file(path, error.strerror or str(error)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_file(path, "no regular file")
    with open(handle, "rb") as file:
        return file.read(cap + 1)


def _no_file(path: Path, why: str) -> MediumError:
    return MediumError("DOCUMENT", f"{path}: {why}", advice="have it sent again; nothing else lies on that stick")
