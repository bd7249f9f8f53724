"""The role on a booted host: it enrols, delivers, installs and serves; run again it changes nothing, or mends."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundles.admission import admit, admitted
from bundles.document import read
from bundles.enrolment import fingerprint
from bundles.nouns import EnrolmentRequest
from tests.ansible.host import PACKAGES, REPOSITORY, Host, a_booted_host, base_system
from tests.support.bundles import SITE, BundleForge, FakeClock

COLLECTION = REPOSITORY / "ansible"
PLAY = [{"hosts": "all", "gather_facts": False, "roles": ["sovereign.hybrid.edge_site"]}]
BIN = Path(sys.executable).parent


def environment(folder: Path) -> dict[str, str]:
    """An environment whose only collection is ours and whose settings are nobody's."""
    (link := folder / "collections/ansible_collections/sovereign").mkdir(parents=True, exist_ok=True)
    if not (link / "hybrid").exists():
        (link / "hybrid").symlink_to(COLLECTION)
    ours = {"ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_HOME": str(folder / "ansible")}
    return {
        **os.environ,
        **ours,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


@dataclass(frozen=True)
class Recap:
    """What a run of the playbook came to."""

    changed: int
    failed: int
    output: str


def play(host: Host, folder: Path, variables: dict[str, Any], *options: str) -> Recap:
    """Run the role against the host from inside its network."""
    (folder / "play.json").write_text(json.dumps(PLAY))
    facts = {
        "ansible_host": "127.0.0.1", "ansible_user": "root", "ansible_ssh_private_key_file": str(host.key),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={host.known_hosts}",
    }  # fmt: skip
    command = [
        "ip", "netns", "exec", host.namespace, str(BIN / "ansible-playbook"), "-i", "box,",
        "-e", json.dumps(facts | variables), str(folder / "play.json"), *options,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(folder), check=False, timeout=400)
    found = re.search(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", ran.stdout)
    assert found, ran.stdout + ran.stderr
    return Recap(int(found[1]), int(found[2]) + int(found[3]), ran.stdout + ran.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    if os.geteuid() != 0:
        pytest.skip("boots a host: needs root")
    if base_system(make="CI" in os.environ) is None:
        pytest.skip("make the host's base system once: python -m tests.ansible.host")
    with a_booted_host(tmp_path) as booted:
        yield booted


def a_table() -> dict[str, Any]:
    """A decision table that serves nothing, so that the service runs without a model."""
    return {
        "version": 1, "site": SITE, "since": "2026-01-01", "until": "2099-12-31",
        "atoms": [], "decisions": [], "workloads": {},
    }  # fmt: skip


def headquarters(folder: Path) -> BundleForge:
    """Custodians, trust and seed, all of the last hour."""
    return BundleForge(
        folder, clock=FakeClock(now=dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(hours=1))
    )


def bundle_for(forge: BundleForge, request: Path) -> Path:
    """Admit the box's request, as after a telephone call, and build its bundle."""
    asked = read(EnrolmentRequest, request.read_bytes(), what=str(request))
    admit(forge.repository, request, [fingerprint(asked)])
    keys = tuple(key for known in admitted(forge.repository) for key in known.keys)
    forge.clock.pass_(minutes=5)
    return forge.build(forge.cargo(table=a_table(), keys=keys, wheels=()))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.debian(*PACKAGES)
def test_a_box_is_provisioned_and_a_second_run_changes_nothing(host: Host, tmp_path: Path) -> None:
    forge = headquarters(tmp_path / "hq")
    seed, card = forge.seed()
    subprocess.run(["cp", "-r", seed, host.root / "media/seed"], check=True)
    enrolling = {
        "edge_site_seed": "/media/seed", "edge_site_card": card, "edge_site_requests": str(tmp_path / "requests"),
    }  # fmt: skip

    assert play(host, tmp_path, enrolling).failed == 0

    bundle = bundle_for(forge, tmp_path / "requests/box.json")
    whole = enrolling | {
        "edge_site_deliver": str(bundle), "edge_site_deliver_command": str(BIN / "hybrid"),
        "edge_site_deliver_options": ["--identity", str(host.key), "--known-hosts", str(host.known_hosts)],
    }  # fmt: skip
    foreseen = play(host, tmp_path, whole, "--check")
    assert (foreseen.failed, foreseen.changed > 0) == (0, True)
    assert not (host.root / "var/lib/hybrid/current").exists()

    done = play(host, tmp_path, whole)
    assert done.failed == 0, done.output
    again = play(host, tmp_path, whole)
    assert (again.changed, again.failed) == (0, 0), again.output

    status = json.loads(host.shell("hybrid site status --output json"))
    assert status["site"] == SITE
    assert status["release"] == 1
    assert host.shell("systemctl is-active hybrid-site").strip() == "active"
    assert host.shell("ps -o user= -p $(systemctl show -P MainPID hybrid-site)").strip() == "hybrid"
    assert host.shell("stat -c '%U %a' /var/lib/hybrid/identity/passport.key").strip() == "hybrid 400"
    assert (
        host.shell("stat -c %U /var/lib/hybrid/store /var/lib/hybrid/identity/enrolment.json").split() == ["root"] * 2
    )
    assert host.shell("systemctl is-active hybrid-time.timer").strip() == "active"
    before, signed = status["stateSequence"], status["evidence"]
    host.shell("systemctl restart hybrid-site")  # saves at the stop, and again at the start
    host.shell("systemctl start hybrid-time.service")
    later = json.loads(host.shell("hybrid site status --output json"))
    assert later["stateSequence"] >= before + 3
    assert later["evidence"] > signed
    assert "nothing leaves this site" not in host.shell("journalctl -u hybrid-site --no-pager")
    receipt = json.loads(host.shell("hybrid site receipt --output json"))
    assert (receipt["serving"]["release"], receipt["evidence"]) == (1, "holds")

    record = json.loads((host.root / "var/lib/hybrid/releases/1/release.json").read_text())
    plan = record["sitePlan"]["digest"].removeprefix("sha256:")
    blob = host.root / "var/lib/hybrid/store/sha256" / plan[:2] / plan
    blob.chmod(0o644)
    blob.write_bytes(b"worn out")
    mended = play(host, tmp_path, whole)
    assert mended.failed == 0, mended.output
    assert mended.changed > 0
    assert json.loads(host.shell("hybrid site status --output json"))["release"] == 1
