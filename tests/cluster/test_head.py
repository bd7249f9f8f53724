"""A real head: asked, a replica killed, a node mislabelled, stopped; and nothing of it outlives its starter."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid.cluster import head, region
from hybrid.cluster.admission import issuer
from hybrid.cluster.client import RegionEngine
from hybrid.cluster.compile import Region
from hybrid.cluster.live import Live
from hybrid.errors import HybridError
from tests.support.cluster import KEY, PLAN_DIGEST, a_classifier, a_plan, a_problem, a_region, keyid

APP = "dc-paris.small.w8.gpu"
INPUTS = {"input": {"text": "I have had a fever since Sunday"}}


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like one of Ray's and is none of ours."""
    process = subprocess.Popen(["ray::ServeReplica:other", "600"], executable="/bin/sleep")
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def planned(tmp_path: Path) -> Region:
    made = a_classifier(tmp_path / "models")
    return a_region(tmp_path, plan=a_plan(made=made), problem=a_problem(tmp_path / "fleet", made))


def engine(run: Path, *, epoch: int = 3) -> RegionEngine:
    """The gateway's engine for the pool, signing with the site's registered key."""
    issue = issuer(
        KEY, keyid(), site="dc-paris", model="small", plan_digest=PLAN_DIGEST, epoch=epoch,
        now=lambda: dt.datetime.now(dt.UTC),
    )  # fmt: skip
    return RegionEngine("classify", run / "data.sock", "/" + APP.replace(".", "/"), issue, timeout_s=20)


def without_passport(run: Path) -> tuple[int, str]:
    """Ask a replica past the gateway; return the status and the rule that refused."""
    connection = http.client.HTTPConnection("region")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(20)
    connection.sock.connect(str(run / "data.sock"))
    connection.request("POST", "/" + APP.replace(".", "/"), json.dumps({"inputs": INPUTS}))
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers.get("hybrid-rule", "")


def kill_the_replica(running: head.Head) -> None:
    [replica] = [
        pid for pid in running.processes() if b"ray::ServeReplica" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(replica, signal.SIGKILL)


def wait_until_there_is_none(running: head.Head) -> None:
    for _ in range(300):
        if not region.observe(running.run).running_on(APP):
            return
        time.sleep(0.1)
    raise AssertionError("the death of the replica was not noticed")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_region_answers_as_planned_recovers_is_checked_and_ends(
    tmp_path: Path, planned: Region, bystander: subprocess.Popen[bytes]
) -> None:
    run = tmp_path / "run"
    with head.running(run, planned.nodes) as running:
        region.apply(planned, run, region.change(planned, Live({}, {})))

        first = engine(run).run(INPUTS)
        assert first["label"] in first["scores"]
        assert without_passport(run) == (401, "passport/missing")
        with pytest.raises(HybridError, match="answered 409"):
            engine(run, epoch=2).run(INPUTS)
        assert (run / "data.sock").stat().st_mode & 0o077 == 0
        for port in (8000, 8404, 9101, 6379):  # Serve, HAProxy's statistics and metrics, the control store
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=2)
        assert region.verify(run, drain=True, now=dt.datetime.now(dt.UTC)) == ()

        kill_the_replica(running)
        wait_until_there_is_none(running)
        region.settle(planned, run)
        assert engine(run).run(INPUTS) == first

        [node] = planned.nodes
        elsewhere = replace(planned, nodes=(replace(node, labels={**node.labels, "hybrid/hardware": "cpu"}),))
        with pytest.raises(HybridError, match="planned hybrid/hardware=cpu"):
            region.apply(elsewhere, run, region.change(elsewhere, region.observe(run)))
        with pytest.raises(HybridError, match=r"answered 404|does not answer"):
            engine(run).run(INPUTS)
        found = region.verify(run, drain=True, now=dt.datetime.now(dt.UTC))
        assert "says hybrid/hardware=gpu" in found[0].what
        assert len((run / "live.jsonl").read_text().splitlines()) == 2

        inside = running.processes()
        assert len(inside) > 5
        assert head.stop(run) >= len(inside)
        assert running.processes() == []
    assert bystander.poll() is None
    assert head.find(run) is None
    assert head.stop(run) == 0


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_head_whose_starter_dies_meanwhile_ends_with_it(tmp_path: Path, sign: signal.Signals) -> None:
    run = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path\n"
        "from hybrid.cluster import head; from hybrid.cluster.compile import Node\n"
        "head.start(Path(sys.argv[1]), (Node('n', {}, 1, 10**9, 0),), bound=False)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run)], stderr=subprocess.DEVNULL) as starter:
        inside = wait_for_processes_below(starter.pid)
        namespace = os.readlink(f"/proc/{inside}/ns/pid")
        starter.send_signal(sign)
        starter.wait(20)
        left = head.Head(run, 0, 0, namespace)
        for _ in range(100):
            if not left.processes():
                break
            time.sleep(0.1)
        assert left.processes() == []
    assert head.find(run) is None


def wait_for_processes_below(pid: int) -> int:
    """Return a process below `pid` that is in another pid namespace."""
    ours = os.readlink("/proc/self/ns/pid")
    for _ in range(300):
        for child in children(pid):
            for grandchild in children(child):
                if os.readlink(f"/proc/{grandchild}/ns/pid") != ours and children(grandchild):
                    return grandchild
        time.sleep(0.1)
    raise AssertionError("nothing was started")


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_nobody_answers_where_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(HybridError, match="no head answers") as caught:
        region.observe(tmp_path)
    assert "hybrid cluster apply" in caught.value.advice
