"""From a signed bundle to an answer: built, carried, installed by the real verifier, and served as a process."""

from __future__ import annotations

import asyncio
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.install import keep_time, standing
from bundles.release import open_release
from bundles.trust.clock import read_clock
from bundles.trust.state import machine_id
from hybrid.errors import EvidenceError
from hybrid.evidence.audit import verify_log
from hybrid.evidence.commitment import BodyKeys
from hybrid.evidence.head import continued
from hybrid.evidence.log import EvidenceLog
from hybrid.gateway.journal import Journal
from hybrid.gateway.service import Gateway
from tests.support.boxes import an_installed_box, ask, serving
from tests.support.gateway import ORIGIN, Clock, a_key, records, wait_for


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a box that installed a bundle with the clinic's table, models and documents."""
    return an_installed_box(tmp_path_factory.mktemp("release"))


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
        seen = [verify_log(tmp_path).checkpoints]
        for size in (1, 2):
            journal.note("start", {"release": size})
            await asyncio.sleep(0.3)
            assert verify_log(tmp_path).unsigned == 0
            seen.append(verify_log(tmp_path).checkpoints)
        signing.cancel()
        await asyncio.wait([signing])
        assert signing.cancelled()
        return seen

    key = Ed25519PrivateKey.generate()
    with EvidenceLog.open(tmp_path, origin=ORIGIN, key=key, now=Clock()) as log, ThreadPoolExecutor(1) as disk:
        journal = Journal(log, BodyKeys(tmp_path, Clock()), disk, ORIGIN, "sha256:" + "0" * 64, 1, Clock())
        before, first, second = asyncio.run(quiet_then_one_record())
    assert (first - before, second - first) == (1, 1)


def test_a_port_in_use_is_a_clear_error_and_begins_no_log(installed: Path, tmp_path: Path) -> None:
    from hybrid.errors import HybridError
    from hybrid.gateway.listening import listen
    from hybrid.gateway.service import serve

    before = records(installed)
    with listen("127.0.0.1", 0) as taken, pytest.raises(HybridError, match=r"cannot listen on 127\.0\.0\.1"):
        serve(installed, port=taken.getsockname()[1])

    assert records(installed) == before


def test_a_service_whose_log_was_deleted_does_not_start(tmp_path: Path) -> None:
    """Attack: the evidence is deleted while the service is down. Root saw its head; the service begins no new one."""
    root = an_installed_box(tmp_path)
    asyncio.run(Gateway.of(open_release(root)).close())
    here = standing(root, read_clock(), machine_id())
    assert keep_time(here, continued(here)).log is not None
    shutil.rmtree(root / "evidence")

    with pytest.raises(EvidenceError, match="were signed"):
        Gateway.of(open_release(root))
