"""One honest headquarters with one honest bundle, shared by the attacks: each takes a copy and bends it.

The folders lie in memory where there is such a place: what a test asks of fsync is that it is called, not that a disk
is slow.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundles import ABox, BundleForge, Published, copy_of

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="bundles-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def published() -> Iterator[Published]:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="headquarters-") as folder:
        forge = BundleForge(Path(folder))
        yield Published(forge, forge.build(), *forge.seed())


@pytest.fixture
def bundle(published: Published, tmp_path: Path) -> Path:
    return copy_of(published.bundle, tmp_path / "stick")


@pytest.fixture
def box(published: Published, tmp_path: Path) -> ABox:
    return published.box(tmp_path / "box")
