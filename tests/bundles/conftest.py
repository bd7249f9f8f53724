"""One honest headquarters with one honest bundle, shared by the attacks: each takes a copy and bends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import ABox, BundleForge, Published, copy_of


@pytest.fixture(scope="package")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    forge = BundleForge(tmp_path_factory.mktemp("headquarters"))
    return Published(forge, forge.build(), *forge.seed())


@pytest.fixture
def bundle(published: Published, tmp_path: Path) -> Path:
    return copy_of(published.bundle, tmp_path / "stick")


@pytest.fixture
def box(published: Published, tmp_path: Path) -> ABox:
    return published.box(tmp_path / "box")
