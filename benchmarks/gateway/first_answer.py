"""What a site's first answer costs: CPU seconds from starting the process to its first answer, and what stays resident.

    .venv/bin/python benchmarks/gateway/first_answer.py [--rounds 5] [--python PYTHON]

A box enrols and installs a signed bundle with the real classifier and MiniLM (w8), its documents are indexed, and
`hybrid site serve` runs as a process of its own; one chat asks it to sort, to recall and to quote. Beside it, in the
same rounds, a bare uvicorn with the same two engines, which verifies and logs nothing. Limits: 1 CPU second, 150 MB.

Python without bytecode compiles what it imports on every start (0.3 s): measure with an environment whose bytecode is
there, as an installed runtime's is, and with PYTHONDONTWRITEBYTECODE unset. So measured, on two cores that others used
too: 0.99 CPU s and 150 MB, beside 0.45 s and 120 MB; under more load 1.17 s beside 0.61 s. Of what lies between, the
imports of tuf's client (urllib3, 50 ms) and of pydantic's nouns are the largest parts; verifying the release takes 40.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.boxes import an_installed_box
from tests.support.gateway import a_key
from tests.support.models import shelf

CPU_LIMIT_S, MEMORY_LIMIT_MB = 1.0, 150
TICKS = os.sysconf("SC_CLK_TCK")
BARE = """
import json, sys
from pathlib import Path
import uvicorn, uvloop
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from hybrid.gateway.engines import Wanted, engines_for
class Release:
    files = {name: Path(path) for name, path in json.loads(sys.argv[1]).items()}
wanted = [Wanted("classify", "small", "w8"), Wanted("embed", "finder", "w8")]
engines = engines_for(Release, wanted, knowledge=Path("/"))
async def chat(request):
    text = (await request.json())["messages"][0]["content"]
    return JSONResponse([engine.run({"input": {"text": text}}) for engine in engines.values()])
from hybrid.gateway.listening import listen
bound = listen("127.0.0.1", 0)
print("http://127.0.0.1:%d" % bound.getsockname()[1], flush=True)
config = uvicorn.Config(Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])]), log_config=None)
uvicorn.Server(config).run([bound])
"""


def models() -> dict[str, Path]:
    """Return the real models under the names that the clinic's plan gives them."""
    found, names = shelf().files, {"small": "message-triage", "finder": "minilm"}
    return {
        f"models/{name}/w8/{file}": found[f"models/{real}/w8/{file}"]
        for name, real in names.items()
        for file in ("model.onnx", "tokenizer.json")
    }


@contextlib.contextmanager
def running(*command: object) -> Iterator[tuple[int, str]]:
    """Run a service; give its process id and its address."""
    whole = [str(part) for part in command]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip().removeprefix("http://")
        process.send_signal(signal.SIGTERM)


def first_answer(key: str, *command: object) -> tuple[float, float]:
    """Return CPU seconds (all threads, user and system) and resident MB after the first answer."""
    with running(*command) as (pid, address):
        body = json.dumps({"model": "patient-message", "messages": [{"role": "user", "content": "my chest hurts"}]})
        with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
            connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return (int(fields[11]) + int(fields[12])) / TICKS, int(resident.split()[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter that serves, as of an edge environment"
    )
    given = parser.parse_args()
    rounds, python = given.rounds, given.python
    with tempfile.TemporaryDirectory() as folder:
        carried = models()
        root = an_installed_box(Path(folder), carried)
        key = a_key(root, "bench")
        served = (python, "-m", "hybrid", "site", "serve", "--root", root, "--port", 0)
        bare = (python, "-c", BARE, json.dumps({name: str(path) for name, path in carried.items()}))
        rows = {"first start, indexing": [first_answer(key, *served)], "hybrid site serve": [], "bare uvicorn": []}
        for _ in range(rounds):
            rows["hybrid site serve"].append(first_answer(key, *served))
            rows["bare uvicorn"].append(first_answer(key, *bare))
    limits = f"{CPU_LIMIT_S} s, {MEMORY_LIMIT_MB} MB"
    print(f"{'to the first answer':<24}{'CPU s':>8}{'MB':>8}   (medians of {rounds}; limits {limits})")
    for name, found in rows.items():
        seconds, resident = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<24}{seconds:>8.2f}{resident:>8.0f}")


if __name__ == "__main__":
    main()
