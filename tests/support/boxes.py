"""A clinic's box from a signed bundle: headquarters builds, the real verifier installs, a process serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundles.assembly import Cargo
from bundles.nouns import PlanKey
from bundles.trust.state import machine_id
from hybrid.gateway.compilation import compile_table
from tests.support.bundles import ABox, BundleForge, FakeClock
from tests.support.gateway import ORIGIN, documents, honest, models

SERVE = (
    "import sys; from pathlib import Path; from hybrid.gateway.service import serve; serve(Path(sys.argv[1]), port=0)"
)


def a_cargo(forge: BundleForge, keys: Sequence[PlanKey], files: Mapping[str, Path] | None = None) -> Cargo:
    """Return what headquarters puts on a stick for the clinic: its table, models and documents; `files` replace.

    It carries no runtime: the box serves with the verifier's own.
    """
    fleet, made = honest()
    carried = {**models(forge.folder), **documents(forge.folder), **(files or {})}
    return forge.cargo(
        site=ORIGIN, table=compile_table(made, fleet, ORIGIN), files=carried, keys=tuple(keys), wheels=()
    )


def an_installed_box(base: Path, files: Mapping[str, Path] | None = None) -> Path:
    """Enrol a box for the clinic, install a signed bundle by the real verifier, and return the box's root."""
    forge = BundleForge(base, FakeClock.here())
    seed, card = forge.seed(ORIGIN)
    box = ABox(base / ORIGIN, forge.clock, machine_id()).enrol(seed, card)
    assert box.enrolled is not None
    box.install(forge.build(a_cargo(forge, box.enrolled.request.keys, files)))
    return box.root


@contextlib.contextmanager
def running(*command: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a service; give its process and the address that it announces."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    argv = [str(part) for part in command]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip().removeprefix("http://")
        finally:
            process.kill()


def serving(root: Path, *before: str) -> contextlib.AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    """Run the service of an installed box as a process, by itself or under the command `before`."""
    return running(*before, sys.executable, "-c", SERVE, root)


def ask(address: str, key: str) -> dict[str, Any]:
    """Ask the patient's message of a service and return its answer."""
    connection = http.client.HTTPConnection(address, timeout=20)
    body = json.dumps({"model": "patient-message", "messages": [{"role": "user", "content": "my chest hurts"}]})
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer
