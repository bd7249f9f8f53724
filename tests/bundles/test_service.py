"""The service of a box: units as the Ansible role writes them, a user with what it needs, and nothing twice."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import jinja2
import pytest
import yaml

from hybrid.carry.service import KEYS, WRITES, set_up, units
from hybrid.errors import HybridError
from tests.support.bundles import ABox

ROLE = Path(__file__).parents[2] / "ansible" / "roles" / "edge_site"
COMMAND = Path("/usr/local/bin/hybrid")


def directives(unit: str) -> list[str]:
    return [line for line in unit.splitlines() if line and not line.startswith("#")]


def test_the_units_are_those_of_the_ansible_role() -> None:
    """Two ways to one service: what one hardens the other does, to the letter."""
    facts = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    ours = units(Path(facts["edge_site_root"]), Path(facts["edge_site_command"]), facts["edge_site_user"])
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined)
    theirs = {
        file.stem: engine.from_string(file.read_text()).render(facts | {"ansible_managed": ""})
        for file in (ROLE / "templates").glob("hybrid-*.j2")
    }
    assert ours.keys() == theirs.keys()
    for name, text in ours.items():
        assert directives(text) == directives(theirs[name]), name
        assert not [word for word in ("@ROOT@", "@COMMAND@", "@USER@") if word in text]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_user_gets_what_it_needs_and_not_the_key_of_receipts(box: ABox, tmp_path: Path) -> None:
    assert sorted(set_up(box.root, COMMAND, "nobody", tmp_path / "units")) == sorted(units(box.root, COMMAND, "nobody"))
    nobody, identity = pwd.getpwnam("nobody"), box.root / "identity"
    for path, owner, mode in [
        *((box.root / name, nobody.pw_uid, 0o700) for name in WRITES),
        *((identity / name, nobody.pw_uid, 0o400) for name in KEYS),
        (identity, 0, 0o750), (identity / "enrolment.json", 0, 0o640), (identity / "receipt.key", 0, 0o600),
    ]:  # fmt: skip
        found = path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (owner, mode), path
    assert f"ExecStart={COMMAND} site serve --root {box.root}" in (tmp_path / "units/hybrid-site.service").read_text()
    assert set_up(box.root, COMMAND, "nobody", tmp_path / "units") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_a_user_that_cannot_be_made(box: ABox, tmp_path: Path) -> None:
    with pytest.raises(HybridError, match="no user"):
        set_up(box.root, COMMAND, "no:such:user", tmp_path / "units")
    assert not (tmp_path / "units").exists()
