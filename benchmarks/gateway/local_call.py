"""What the gateway adds to a local call: the same engine behind a bare uvicorn, and behind the gateway, in one run.

Prints one table. The engine is MiniLM w8 on onnxruntime; the log lies on a real disk, whose fsync is timed beside. Two
servers run as processes of their own; requests alternate between them on one kept-alive connection each, so that a
noisy machine disturbs both alike. Target: at most 2 ms at the median.

    .venv/bin/python benchmarks/gateway/local_call.py [--requests 1000]
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.gateway import ORIGIN, Release, a_world
from tests.support.models import shelf

BODY = json.dumps({"model": "embed-note", "input": "my chest hurts when i walk"})
WARM_UP = 50


def minilm() -> dict[str, Path]:
    """Return the real MiniLM w8 under the name of the pipeline's model."""
    found = shelf().files
    return {f"models/finder/w8/{name}": found[f"models/minilm/w8/{name}"] for name in ("model.onnx", "tokenizer.json")}


def fsync_ms(folder: Path) -> float:
    """Return the median of a bare fdatasync of 700 bytes in `folder`."""
    took = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 700)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def gateway(base: Path, wire: Connection) -> None:
    keys = {"bench": {"rate": 1_000_000, "burst": 1_000_000}}
    with a_world(base, start=(ORIGIN,), keys=keys, files=minilm()) as world:
        wire.send((world.stations[ORIGIN].port, world.tokens["bench"]))
        wire.recv()


def bare(base: Path, wire: Connection) -> None:
    """Serve the same engine with the same HTTP class, and nothing between."""
    import asyncio

    import uvicorn
    import uvloop
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from hybrid.gateway.engines import Wanted, engines_for
    from hybrid.gateway.listening import listen

    want = Wanted("embed", "finder", "w8")
    engine = engines_for(Release(base, 1, {}, minilm()), [want], knowledge=base)[want]

    async def embed(request: Request) -> JSONResponse:
        text = json.loads(await request.body())["input"]
        return JSONResponse(await asyncio.to_thread(engine.run, {"input": {"text": text}}))

    app = Starlette(routes=[Route("/v1/embeddings", embed, methods=["POST"])])
    bound = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, http=H11Protocol, log_config=None, access_log=False, proxy_headers=False)
    wire.send((bound.getsockname()[1], ""))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[bound]))


def one(connection: http.client.HTTPConnection, token: str) -> float:
    began = time.perf_counter()
    connection.request("POST", "/v1/embeddings", BODY, {"authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    return (time.perf_counter() - began) * 1000


def measure(requests: int) -> dict[str, list[float]]:
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {"bare uvicorn": [], "gateway": []}
    with tempfile.TemporaryDirectory() as folder:
        started: list[tuple[Any, Connection, http.client.HTTPConnection, str]] = []
        for name, target in zip(times, (bare, gateway), strict=True):
            here, there = context.Pipe()
            base = Path(folder) / name.replace(" ", "-")
            base.mkdir()
            process = context.Process(target=target, args=(base, there))
            process.start()
            port, token = here.recv()
            started.append((process, here, http.client.HTTPConnection("127.0.0.1", port), token))
        time.sleep(0.5)
        for number in range(requests + WARM_UP):
            for name, (_, _, connection, token) in zip(times, started, strict=True):
                took = one(connection, token)
                if number >= WARM_UP:
                    times[name].append(took)
        started[1][1].send("stop")
        started[0][0].terminate()
        for process, *_ in started:
            process.join(20)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    times = measure(parser.parse_args().requests)
    print(f"{'local embedding, ms':<24}{'median':>9}{'p90':>9}{'p99':>9}")
    for name, found in times.items():
        cuts = statistics.quantiles(found, n=100)
        print(f"{name:<24}{statistics.median(found):>9.2f}{cuts[89]:>9.2f}{cuts[98]:>9.2f}")
    added = statistics.median(times["gateway"]) - statistics.median(times["bare uvicorn"])
    print(f"{'added at the median':<24}{added:>9.2f}   (target: at most 2.00)")
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'a bare fdatasync':<24}{fsync_ms(Path(folder)):>9.2f}   (overlaps the engine)")


if __name__ == "__main__":
    main()
