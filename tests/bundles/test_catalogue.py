"""The page of attacks names tests that are there: nobody reads of a defence that nothing tries."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "attacks.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| (.+?) \| `(test_\w+\.py)::(test_\w+)` \|$", PAGE, re.M)


def test_every_row_of_the_page_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| attack ")]
    assert len(ROWS) == len(lines) >= 50


@pytest.mark.parametrize(("file", "name"), sorted({(file, name) for *_, file, name in ROWS}))
def test_a_named_attack_is_carried_out(file: str, name: str) -> None:
    tree = ast.parse((HERE / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
