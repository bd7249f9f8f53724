"""From a signed bundle to an answer: built, carried, installed by the real verifier, and served as a process."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.evidence.audit import verify_log
from hybrid.evidence.commitment import BodyKeys
from hybrid.evidence.log import EvidenceLog
from hybrid.gateway.journal import Journal
from tests.support.gateway import ORIGIN, Clock, a_key, an_installed_box, records, wait_for

SERVE = (
    "import sys; from pathlib import Path; from hybrid.gateway.service import serve; serve(Path(sys.argv[1]), port=0)"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a box that installed a bundle with the clinic's table, models and documents."""
    return an_installed_box(tmp_path_factory.mktemp("release"))


@contextlib.contextmanager
def serving(root: Path, *before: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service as a process, by itself or under the command `before`; give it and its address."""
    command = [*before, sys.executable, "-c", SERVE, str(root)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip().removeprefix("http://")
        finally:
            process.kill()


def ask(address: str, key: str) -> dict[str, Any]:
    """Ask the patient's message of a service and return its answer."""
    connection = http.client.HTTPConnection(address, timeout=20)
    body = json.dumps({"model": "patient-message", "messages": [{"role": "user", "content": "my chest hurts"}]})
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


def test_an_installed_release_answers_as_a_process_and_ends_with_a_signed_log(installed: Path) -> None:
    key = a_key(installed, "desk")
    with serving(installed) as (process, address):
        answer = ask(address, key)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert answer["hybrid"]["served"][-1]["by"] == "quote"
    assert "When the chest hurts, rest and call." in answer["choices"][0]["message"]["content"]
    audit = verify_log(installed / "evidence")
    assert (audit.holds, audit.unsigned) == (True, 0)
    kinds = [record["kind"] for record in records(installed)]
    assert (kinds[0], kinds[-1]) == ("start", "stop")
    assert "intent" not in kinds


def test_a_quiet_log_is_signed_without_being_asked_anything(installed: Path) -> None:
    """A box that is unplugged before its first question has signed that it started."""
    with serving(installed) as (process, _):
        wait_for(lambda: verify_log(installed / "evidence").unsigned == 0, 10)
        process.kill()
        process.wait(10)

    audit = verify_log(installed / "evidence")
    assert (audit.holds, audit.unsigned) == (True, 0)
    assert records(installed)[-1]["kind"] == "start"


def test_the_head_is_signed_again_only_when_records_came(tmp_path: Path) -> None:
    async def quiet_then_one_record() -> list[int]:
        signing = asyncio.create_task(journal.keep_signed(0.02))
        seen = []
        for size in (1, 2):
            journal.note("start", {"release": size})
            while verify_log(tmp_path).signed < size:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            seen.append(verify_log(tmp_path).checkpoints)
        signing.cancel()
        await asyncio.wait([signing])
        assert signing.cancelled()
        return seen

    key = Ed25519PrivateKey.generate()
    with EvidenceLog.open(tmp_path, origin=ORIGIN, key=key, now=Clock()) as log, ThreadPoolExecutor(1) as disk:
        journal = Journal(log, BodyKeys(tmp_path, Clock()), disk, ORIGIN, "sha256:" + "0" * 64, 1, Clock())
        assert asyncio.run(quiet_then_one_record()) == [1, 2]


def test_a_port_in_use_is_a_clear_error_and_begins_no_log(installed: Path, tmp_path: Path) -> None:
    from hybrid.errors import HybridError
    from hybrid.gateway.listening import listen
    from hybrid.gateway.service import serve

    before = records(installed)
    with listen("127.0.0.1", 0) as taken, pytest.raises(HybridError, match=r"cannot listen on 127\.0\.0\.1"):
        serve(installed, port=taken.getsockname()[1])

    assert records(installed) == before
