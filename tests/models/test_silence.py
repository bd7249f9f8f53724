"""Nothing of the edge calls out: onnxruntime's telemetry is off before it is imported, and a watcher sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.models import REPOSITORY, shelf

pytestmark = pytest.mark.debian("strace")

EMBED = """
import sys
from pathlib import Path
from hybrid.gateway.engines.text import TextModel
print(len(TextModel.open(Path(sys.argv[1]), Path(sys.argv[2])).output("a fever")))
"""
CALL_OUT = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass
"""


def watched(code: str, home: Path, *arguments: object) -> tuple[str, list[str]]:
    """Run Python code under strace with a home of its own: its stdout, and every connect or sendto by internet."""
    trace = home / "trace"
    plain = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace),
         sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY, env=plain, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in trace.read_text("utf-8").splitlines() if "AF_INET" in line]


def left_behind(home: Path) -> list[str]:
    """Return the files that the process left in its home, the trace and Python's own caches aside."""
    return [path.name for path in home.rglob("*") if path.is_file() and path.name != "trace" and path.suffix != ".pyc"]


def test_one_embedding_connects_nowhere_and_leaves_no_device_id(tmp_path: Path) -> None:
    files = shelf().files
    said, calls = watched(
        EMBED, tmp_path, *(files[f"models/minilm/w8/{name}"] for name in ("model.onnx", "tokenizer.json"))
    )
    assert said.strip() == "384"
    assert calls == []
    assert left_behind(tmp_path) == []


def test_the_watcher_sees_a_connect_when_one_is_made(tmp_path: Path) -> None:
    _, calls = watched(CALL_OUT, tmp_path)
    assert any("127.0.0.1" in call for call in calls)


def test_onnxruntime_imported_with_telemetry_on_is_refused() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = sys\n"
        "from hybrid.gateway.engines.session import onnxruntime\n"
        "try:\n    onnxruntime()\nexcept Exception as error:\n    print(error)\n"
    )
    plain = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=plain, capture_output=True, text=True, check=True
    )
    assert "telemetry on" in done.stdout


def test_the_edge_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom hybrid.gateway.engines.text import TextModel\n"
        "import hybrid.gateway.engines.golden, hybrid.knowledge\n"
        "TextModel.open(*map(Path, sys.argv[1:])).output('a')\n"
        "print({'torch', 'transformers', 'onnx', 'sklearn', 'optimum', 'huggingface_hub'} & set(sys.modules))"
    )
    files = [shelf().files[f"models/minilm/w8/{name}"] for name in ("model.onnx", "tokenizer.json")]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
