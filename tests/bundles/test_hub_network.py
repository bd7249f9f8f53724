"""Two machines with a cable between them, by the commands a person types: installed, cut on either side, refused."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bundles.layout import Box
from bundles.release import current_number, open_release
from bundles.trust.state import machine_id
from tests.support.bundles import SITE, ABox, BundleForge, FakeClock
from tests.support.wire import Network, a_cable

TABLE = {"version": 1, "site": SITE, "since": "2026-01-01", "until": "2126-01-01", "atoms": [], "decisions": [],
         "workloads": {}}  # fmt: skip
LARGE, SECOND = 24_000_000, 6_000_000
pytestmark = pytest.mark.debian("iproute2")


@dataclass
class Site:
    """A site of two machines: the stick is in the first."""

    forge: BundleForge
    first: ABox
    second: ABox
    stick: Path
    here: Network
    there: Network
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def hub(self, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """Start the hub at the first box; return its process and what it says once it listens."""
        process = start(self.here, "hub", self.stick, "--listen", self.here.address, "--root", self.first.root,
                        "--output", "json", *options)  # fmt: skip
        self.running.append(process)
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                return process, json.loads("".join(lines))
        raise AssertionError(process.stderr.read() if process.stderr else "")

    def install(self, address: str, *options: str, box: ABox | None = None) -> subprocess.Popen[str]:
        """Start an install at the second machine."""
        process = start(self.there, "install", address, "--root", (box or self.second).root, "--no-golden",
                        "--no-health", "--output", "json", *options)  # fmt: skip
        self.running.append(process)
        return process

    def half_way(self) -> None:
        """Wait until the largest file is partly there."""
        until(lambda: any(path.stat().st_size > LARGE // 4 for path in self.second.root.rglob("*.part")))


def start(network: Network, *words: object) -> subprocess.Popen[str]:
    command = network.inside(sys.executable, "-m", "hybrid", "site", *words)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            cwd=Path(__file__).parents[2])  # fmt: skip


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the end of a command, expect its exit code, and return what it said: its JSON, or its error."""
    out, err = process.communicate(timeout=90)
    assert process.returncode == code, (process.returncode, out, err)
    return err if code else out


def until(what: Callable[[], bool]) -> None:
    for _ in range(1200):
        try:
            if what():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("it never came to that")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    forge = BundleForge(tmp_path, FakeClock.here())
    boxes = [a_box(forge, number) for number in (1, 2)]
    made = random.Random(5)
    files = dict(forge.cargo().files)
    for name, size in (("large", LARGE), ("second", SECOND)):
        (tmp_path / name).write_bytes(made.randbytes(size))
        files[f"models/{name}/w8/model.bin"] = tmp_path / name
    keys = tuple(key for box in boxes if box.enrolled for key in box.enrolled.request.keys)
    stick = forge.build(forge.cargo(table=TABLE, files=files, keys=keys))
    with a_cable() as (here, there):
        found = Site(forge, *boxes, stick, here, there)
        try:
            yield found
        finally:
            for process in found.running:
                process.kill()
                process.communicate()


def a_box(forge: BundleForge, number: int, site: str = SITE) -> ABox:
    seed, card = forge.seed(site, boxId=f"{site}-{number}")
    return ABox(forge.folder / f"{site}-{number}", forge.clock, machine_id()).enrol(seed, card)


def test_a_box_installs_over_the_cable(site: Site) -> None:
    """TLS, both boxes' own keys: looked at, installed, and again; Ctrl-C ends the hub, which says what it sent."""
    before = {path: path.stat().st_mtime_ns for path in site.stick.rglob("*")}
    hub, said = site.hub()
    assert (said["address"], len(said["guests"]), said["number"]) == ("https://10.77.0.1:8480/", 2, 1)
    status = Path(f"/proc/{hub.pid}/status").read_text()
    assert said["root"] == (re.search(r"^Uid:\t0\t", status, re.MULTILINE) is not None)
    planned = json.loads(ended(site.install(said["address"], "--dry-run")))
    assert planned["bytesToCopy"] > LARGE
    assert not (site.second.root / "store").exists()
    done = json.loads(ended(site.install(said["address"])))
    assert done["bundleDigest"] == said["bundleDigest"]
    assert json.loads(ended(site.install(said["address"])))["written"] == 0
    assert open_release(site.second.root).files["models/large/w8/model.bin"].stat().st_size == LARGE
    hub.send_signal(signal.SIGINT)
    _, err = hub.communicate(timeout=30)
    assert hub.returncode == 0, err
    assert f"MB to {site.there.address}" in err
    assert {path: path.stat().st_mtime_ns for path in site.stick.rglob("*")} == before
    assert (site.second.root / "receipts").is_dir()


def test_the_hub_is_killed_in_mid_transfer_and_started_again(site: Site) -> None:
    """kill -9 at the hub; whoever sits there types the command again: the install goes on where it was."""
    hub, said = site.hub("--rate", "8MB")
    process = site.install(said["address"])
    site.half_way()
    hub.kill()
    hub.wait()
    again, _ = site.hub()
    done = json.loads(ended(process))
    assert done["release"] == 1
    again.send_signal(signal.SIGTERM)
    _, err = again.communicate(timeout=30)
    sent = float(err.split("sent ")[1].split(" MB")[0]) * 1e6
    assert sent < LARGE * 3 / 4 + SECOND + 4_000_000, "what had arrived did not travel again"


def test_the_box_is_killed_in_mid_transfer(site: Site) -> None:
    """kill -9 at the installing box: nothing serves, the state is as it was; again, and only what lacks travels."""
    hub, said = site.hub("--rate", "8MB")
    before = site.second.snapshot()
    process = site.install(said["address"])
    site.half_way()
    process.kill()
    process.communicate()
    assert site.second.snapshot() == before
    assert current_number(Box(site.second.root)) is None
    store = Box(site.second.root).store
    there = sum(path.stat().st_size for path in store.rglob("*/*") if path.is_file() and path.suffix != ".part")
    hub.kill()
    hub.wait()
    hub, said = site.hub()
    done = json.loads(ended(site.install(said["address"])))
    assert not list(site.second.root.rglob("*.part"))
    whole = sum(path.stat().st_size for path in store.rglob("*/*") if path.is_file())
    fresh = sum(path.stat().st_size for path in Box(site.second.root).runtimes.rglob("*") if path.is_file())
    assert done["written"] == whole - there + fresh


def test_the_cable_is_pulled(site: Site) -> None:
    """Pulled and put in again: the install goes on. Not in at all: it says so, and nothing has changed."""
    _, said = site.hub("--rate", "8MB")
    process = site.install(said["address"])
    site.half_way()
    site.there.cable("down")
    time.sleep(1)
    site.there.cable("up")
    assert json.loads(ended(process))["release"] == 1
    third = a_box(site.forge, 3)
    before = third.snapshot()
    site.there.cable("down")
    assert "[HUB-AWAY]" in ended(site.install(said["address"], box=third), 4)
    assert third.snapshot() == before


def test_a_box_of_another_site_is_refused(site: Site) -> None:
    """By the hub, which does not know its certificate; and by its own gate, where the hub lets in anybody."""
    stranger = a_box(site.forge, 1, "clinic-vosges")
    before = stranger.snapshot()
    hub, said = site.hub()
    assert "[HUB-TLS]" in ended(site.install(said["address"], box=stranger), 4)
    hub.kill()
    hub.communicate()
    _, said = site.hub("--plain")
    assert said["address"] == "http://10.77.0.1:8480/"
    assert "[GATE]" in ended(site.install(said["address"], box=stranger), 1)
    assert stranger.snapshot() == before


def test_the_hub_looks_first(site: Site) -> None:
    """--dry-run listens to nobody; a box that is no member of the site offers nothing; an address is asked for."""
    process = start(site.here, "hub", site.stick, "--listen", site.here.address, "--root", site.first.root,
                    "--dry-run", "--output", "json")  # fmt: skip
    said = json.loads(ended(process))
    files = [path for path in site.stick.rglob("*") if path.is_file()]
    assert (said["done"], said["site"], said["files"]) == (False, SITE, len(files))
    stranger = a_box(site.forge, 1, "clinic-vosges")
    process = start(site.here, "hub", site.stick, "--listen", site.here.address, "--root", stranger.root)
    assert "[GATE]" in ended(process, 1)
    process = start(site.here, "hub", site.stick, "--listen", "10.99.99.99", "--root", site.first.root)
    assert "cannot listen" in ended(process, 4)
