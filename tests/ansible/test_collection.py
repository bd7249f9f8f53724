"""The collection passes lint's production profile, its unit is hardened, and wrong arguments are refused by name."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.ansible.test_edge_site import BIN, COLLECTION, PLAY, environment

ROLE = COLLECTION / "roles/edge_site"


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    return found


def test_every_default_is_the_one_that_the_argument_spec_promises() -> None:
    spec = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    promised = {name: option["default"] for name, option in spec.items() if "default" in option}
    computed = {"edge_site_deliver_to"}
    assert {name: value for name, value in defaults().items() if name not in computed} == promised
    assert computed <= spec.keys()


def test_only_builtin_modules_are_used() -> None:
    for file in ROLE.glob("[th]a*/*.yml"):
        for task in yaml.safe_load(file.read_text()):
            words = task.keys() - {
                "name",
                "when",
                "loop",
                "register",
                "notify",
                "changed_when",
                "check_mode",
                "failed_when",
            }
            words -= {"delegate_to", "become", "vars"}
            assert all(word.startswith("ansible.builtin.") for word in words), (file, words)


@pytest.mark.debian("systemd")
@pytest.mark.parametrize("name", ["hybrid-site.service", "hybrid-time.service", "hybrid-time.timer"])
def test_the_units_are_hardened(tmp_path: Path, name: str) -> None:
    template = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    facts = defaults() | {
        "ansible_managed": "test",
        "edge_site_command": "/bin/true",
        "edge_site_peers": ["10.0.0.0/8"],
    }
    for file in ROLE.glob("templates/hybrid-*.j2"):  # a timer is verified beside its service
        (tmp_path / file.stem).write_text(template.from_string(file.read_text()).render(facts))
    unit = tmp_path / name
    assert name != "hybrid-site.service" or "IPAddressAllow=localhost 10.0.0.0/8\n" in unit.read_text()
    if name.endswith(".service"):
        hardened(unit)
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert name.split(".")[0] not in verified.stderr, verified.stderr


def hardened(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-400:]


@pytest.mark.slow
def test_lint_is_silent_at_the_production_profile(tmp_path: Path) -> None:
    command = [str(BIN / "ansible-lint"), "--offline", "--profile", "production", "--strict", "--nocolor", "."]
    surroundings = environment(tmp_path) | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = subprocess.run(command, cwd=COLLECTION, capture_output=True, text=True, env=surroundings, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"edge_site_port": "many"}, "edge_site_port"),
        ({"edge_site_prot": 1, "edge_site_demo": "perhaps"}, "edge_site_demo"),
    ],
)
def test_wrong_arguments_are_refused_by_name(tmp_path: Path, variables: dict[str, Any], says: str) -> None:
    (tmp_path / "play.json").write_text(json.dumps(PLAY))
    command = [
        str(BIN / "ansible-playbook"), "-i", "box,", "-c", "local", "--check",
        "-e", json.dumps(variables | {"edge_site_command": "/bin/false"}), str(tmp_path / "play.json"),
    ]  # fmt: skip
    surroundings = environment(tmp_path) | {"HOME": os.environ.get("HOME", "/")}
    ran = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    assert ran.returncode == 2
    assert says in ran.stdout + ran.stderr
