"""Is the process that a health check starts: this release's gateway, asked once it listens; prints what is wrong.

`python -I -B run.py -m hybrid.carry.probe ROOT`, where ROOT is the folder that `hybrid.carry.health` made. What only a
region's Ray head can run (weights without a graph) has nothing to run it here: it is stood in for, and nobody asks it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hybrid.gateway.engines import Wanted
    from hybrid.gateway.table import Table, Workload

ASKED = 3
"""How often the golden request is made; the quickest answer counts, for the old release may be at work beside."""
NEUTRAL = "Is anybody there?"
MAX_GOLDEN_BYTES = 1 << 20
GRAPH, WEIGHTS = "model.onnx", "model.safetensors"


def main() -> None:
    """Open the release below the folder in the first argument, ask it, and print what is wrong as a JSON list."""
    place = Path(sys.argv[1])
    os.chdir(place)  # a socket's path may have 107 bytes, and a box's folder may be deep
    print(json.dumps(probe(place)))


def probe(place: Path) -> list[str]:
    """Return what is wrong with the service of the release that `place` shows, one sentence each."""
    from bundles.release import open_release
    from hybrid.gateway.clock import effective_clock
    from hybrid.gateway.credentials import issue
    from hybrid.gateway.listening import listen_unix
    from hybrid.gateway.service import Gateway, wanted_here
    from hybrid.gateway.table import Table

    release = open_release(place)
    table = Table.of(release.site_plan["table"])
    elsewhere = of_the_region(release.files, wanted_here(table))
    chosen = local_workload(table, elsewhere)
    key = ""
    if chosen is not None:
        key = issue(place, "probe", origin=table.site, pipelines=(chosen.pipeline,), tenant=chosen.tenant)
    _make_log_key(place / "identity" / "log.key")
    clock = effective_clock(place, release.site_plan)
    bound = listen_unix(Path("probe.sock"))
    stand_ins = {want: _InRegion(want.task) for want in elsewhere}
    gateway = Gateway(release, clock=clock, suspect=lambda: clock.suspect, peers={}, engines=stand_ins)
    return asyncio.run(_asked(gateway, bound, chosen, key, _text(release.files)))


def of_the_region(files: Collection[str], wanted: Iterable[Wanted]) -> list[Wanted]:
    """Return what a Ray head runs and this process cannot: models that travel as weights, without a graph."""
    folders = {want: f"models/{want.model}/{want.variant}/" for want in wanted if want.model is not None}
    return [w for w, folder in folders.items() if folder + WEIGHTS in files and folder + GRAPH not in files]


def local_workload(table: Table, elsewhere: Collection[Wanted] = ()) -> Workload | None:
    """Return the first workload, by name, that is born at this site and that this process serves; None without any."""
    from hybrid.gateway.chain import wanted

    for _, workload in sorted(table.workloads.items()):
        stages = [entry for one in workload.assignments for entry in one.stages.values()]
        first = [entry.targets[0] for entry in stages]
        is_here = all(target.site == table.site and wanted(target) not in elsewhere for target in first)
        if stages and workload.origin == table.site and is_here:
            return workload
    return None


class _InRegion:
    """Stands for an engine of a region's head, which is not asked."""

    def __init__(self, task: str) -> None:
        self.task = task

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError("the region's head runs this, and a probe asks for nothing of it")


async def _asked(gateway: Any, bound: socket.socket, workload: Workload | None, key: str, text: str) -> list[str]:
    from hybrid.gateway.listening import listening

    try:
        async with listening(gateway.front(), bound):
            return await asyncio.to_thread(_ask, workload, key, text)
    finally:
        await gateway.close()


def _ask(workload: Workload | None, key: str, text: str) -> list[str]:
    status, _ = _request("GET", "/v2/health/ready", key)
    if status != http.client.OK:
        return [f"/v2/health/ready answers {status}"]
    if workload is None:
        return []
    body = {"model": workload.pipeline, "messages": [{"role": "user", "content": text}]}
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        status, answer = _request("POST", "/v1/chat/completions", key, json.dumps(body))
        took.append(round((time.perf_counter() - began) * 1e6))
        if status != http.client.OK:
            return [f"pipeline {workload.pipeline} answers {status}: {answer[:200]}"]
    if workload.latency is not None and min(took) > workload.latency:
        limit = workload.latency / 1e3
        return [f"pipeline {workload.pipeline} takes {min(took) / 1e3:.0f} ms, at most {limit:.0f} ms are planned"]
    return []


def _request(method: str, path: str, key: str, body: str | None = None) -> tuple[int, str]:
    connection = _Connection("localhost", timeout=60)
    try:
        connection.request(method, path, body, {"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over the probe's own socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect("probe.sock")


def _text(files: Any) -> str:
    """Return the first text of the release's golden cases, or a neutral one."""
    for path, blob in sorted(files.items()):
        if path.endswith("/golden.json") and blob.stat().st_size <= MAX_GOLDEN_BYTES:
            for case in json.loads(blob.read_text("utf-8"))["cases"]:
                return str(case["text"])
    return NEUTRAL


def _make_log_key(file: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = Ed25519PrivateKey.generate()
    file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


if __name__ == "__main__":
    main()
