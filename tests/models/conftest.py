"""The first test that needs real models builds them: on a busy machine that takes longer than a test may."""

from __future__ import annotations

from pathlib import Path

import pytest

BUILD_SECONDS = 480


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that building takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))
