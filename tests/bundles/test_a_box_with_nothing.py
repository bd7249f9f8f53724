"""A box with no Python and no network reaches a running service: seed, card, bundle, and what is already on it."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundles.admission import admit
from bundles.nouns import SiteRecord
from bundles.seed import write_seed
from bundles.wheels import unpacked_size
from hybrid.models.golden import write as write_golden
from tests.bundles.conftest import MEMORY
from tests.support.bare import PYTHON, Bare, a_bare_machine, packages
from tests.support.boxes import a_cargo
from tests.support.bundles import BundleForge, FakeClock
from tests.support.gateway import ORIGIN

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / "build" / "wheelhouse"
SOCKET = "var/lib/hybrid/gateway/service.sock"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--pdeathsig=KILL")


def the_wheels(folder: Path) -> list[Path]:
    """Return the wheels of the edge lock and our own, built from this tree."""
    if not (WHEELHOUSE / "ready").exists():
        pytest.fail("no wheelhouse: run `make build/wheelhouse/ready`")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return [*WHEELHOUSE.glob("*.whl"), *folder.glob("*.whl")]


def hybrid(machine: Bare, *words: object) -> Any:
    return json.loads(machine.run("hybrid", *words, "--output", "json").stdout)


class Asking(http.client.HTTPConnection):
    """HTTP over a Unix socket: there is no network in there."""

    def __init__(self, path: Path) -> None:
        super().__init__("box", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask(path: Path, method: str, url: str, key: str, body: object = None) -> tuple[int, Any]:
    with contextlib.closing(Asking(path)) as connection:
        connection.request(method, url, json.dumps(body) if body else None, {"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def serving(machine: Bare) -> Iterator[Path]:
    """Serve from the installed release, as the service's user, and give the socket."""
    command = [*machine.prefix(), *NOBODY, "hybrid", "site", "serve", "--socket", f"/{SOCKET}"]
    path = machine.root / SOCKET
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"}
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == f"/{SOCKET}"
            yield path
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.debian("debootstrap", "dash")
@pytest.mark.timeout(600)
def test_a_box_with_no_python_and_no_network_reaches_a_running_service() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="nothing-") as place, a_bare_machine(Path(place)) as machine:
        folder = Path(place)
        wheels = the_wheels(folder / "own")
        forge = BundleForge(folder / "hq", FakeClock(dt.datetime.now(dt.UTC).replace(microsecond=0)), demo=True)
        record = SiteRecord(site=ORIGIN, jurisdiction="FR-39", box_id=f"{ORIGIN}-1", environment="demo",
                            issued=forge.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ"))  # fmt: skip
        root = forge.repository.roots()[-1].read_bytes()
        card = write_seed(machine.root / "media/seed", root, record, wheels, packages(PYTHON))

        assert machine.run("sh", "-c", "command -v python3 python python3.11", check=False).stdout == ""
        machine.run("sh", "-c", "cd /media/seed && sha256sum -c --strict --quiet SHA256SUMS")
        said = machine.run("sha256sum", "/media/seed/SHA256SUMS").stdout
        assert said.startswith(card.removeprefix("sha256:"))
        made = machine.run("sh", "/media/seed/INSTALL.sh", "--card", card, "--demo").stdout
        shutil.rmtree(machine.root / "media/seed")

        fingerprint = "".join(made.split("fingerprint")[1].split("\n")[0].split())
        request = admit(forge.repository, machine.root / "var/lib/hybrid/identity/request.json", [fingerprint])
        cargo = a_cargo(forge, request.keys)
        for task, name in (("classify", "small"), ("embed", "finder")):
            write_golden(forge.folder / "models" / name, task, ["my chest hurts", "appointment", "rest and call"])
            cases = forge.folder / "models" / name / "golden.json"
            if json.loads(cases.read_text())["cases"]:
                cargo.files[f"models/{name}/w8/golden.json"] = cases  # type: ignore[index]
        assert any(path.endswith("golden.json") for path in cargo.files)
        bundle = forge.build(forge.cargo(**{**vars(cargo), "wheels": tuple(wheels)}))
        shutil.copytree(bundle, machine.root / "media/stick")

        began = time.monotonic()
        done = hybrid(machine, "site", "install", "/media/stick")
        print(f"installed in {time.monotonic() - began:.1f} s, {done['written'] / 1e6:.1f} MB written")
        assert done["checked"] == ["golden checks passed", "it serves"]
        blobs = sum(path.stat().st_size for path in (bundle / "blobs").rglob("*") if path.is_file())
        assert done["written"] <= 1.01 * (blobs + unpacked_size(wheels)), "more than what was carried was written"
        hybrid(machine, "site", "service", "--user", "nobody", "--units", "/tmp/units")
        again = hybrid(machine, "site", "install", "/media/stick")
        assert (again["written"], again["checked"]) == (0, done["checked"]), "asked as the service's user, this time"
        key = hybrid(machine, "site", "credential", "desk", "--pipeline", "patient-message")["key"]
        with serving(machine) as path:
            assert ask(path, "GET", "/v2/health/ready", key) == (200, {"ready": True})
            body = {"model": "patient-message", "messages": [{"role": "user", "content": "my chest hurts"}]}
            status, answer = ask(path, "POST", "/v1/chat/completions", key, body)
        assert status == 200, answer
        assert "When the chest hurts, rest and call." in answer["choices"][0]["message"]["content"]
        shown = hybrid(machine, "site", "status")
        assert (shown["release"], shown["bundleDigest"]) == (1, done["bundleDigest"])
