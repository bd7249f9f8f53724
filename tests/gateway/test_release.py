"""From a signed bundle to an answer: built, carried, installed by the real verifier, and served as a process."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundles.release import open_release
from hybrid.evidence.audit import verify_log
from hybrid.gateway.compilation import compile_table
from hybrid.knowledge.indexing import build_index, documents_of
from tests.support.bundles import BundleForge, FakeClock
from tests.support.gateway import ORIGIN, a_key, documents, honest, models, records

SERVE = (
    "import sys; from pathlib import Path; from hybrid.gateway.service import serve; serve(Path(sys.argv[1]), port=0)"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a box that installed a bundle with the clinic's table, models and documents."""
    base = tmp_path_factory.mktemp("release")
    forge = BundleForge(base, FakeClock(dt.datetime.now(dt.UTC).replace(microsecond=0)))
    box = forge.box(ORIGIN)
    assert box.enrolled is not None
    fleet, plan = honest()
    cargo = forge.cargo(
        site=ORIGIN,
        table=compile_table(plan, fleet, ORIGIN),
        files=models(base) | documents(base),
        keys=box.enrolled.request.keys,
    )
    box.install(forge.build(cargo))
    release = open_release(box.root)
    (box.root / "knowledge").mkdir()
    found = documents_of(release, "protocols")
    build_index(release, "protocols", found, knowledge=box.root / "knowledge", model="finder", variant="w8")
    return box.root


def test_an_installed_release_answers_as_a_process_and_ends_with_a_signed_log(installed: Path) -> None:
    key = a_key(installed, "desk")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(installed)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=20)
        body = json.dumps({"model": "patient-message", "messages": [{"role": "user", "content": "my chest hurts"}]})
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert answer["hybrid"]["served"][-1]["by"] == "quote"
    assert "When the chest hurts, rest and call." in answer["choices"][0]["message"]["content"]
    audit = verify_log(installed / "evidence")
    assert (audit.holds, audit.unsigned) == (True, 0)
    kinds = [record["kind"] for record in records(installed)]
    assert (kinds[0], kinds[-1]) == ("start", "stop")
    assert "intent" not in kinds


def test_a_port_in_use_is_a_clear_error_and_begins_no_log(installed: Path, tmp_path: Path) -> None:
    from hybrid.errors import HybridError
    from hybrid.gateway.listening import listen
    from hybrid.gateway.service import serve

    before = records(installed)
    with listen("127.0.0.1", 0) as taken, pytest.raises(HybridError, match=r"cannot listen on 127\.0\.0\.1"):
        serve(installed, port=taken.getsockname()[1])

    assert records(installed) == before
