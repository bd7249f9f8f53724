"""Every onnxruntime session of this project is made here, with telemetry off before the library is imported.

onnxruntime 1.29 and later opens connections and writes a device id under the user's cache on Linux. Only
`ORT_DISABLE_TELEMETRY=1`, set before the first import, keeps it silent; so nothing else of ours imports onnxruntime.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import HybridError, InputError

if TYPE_CHECKING:
    from types import ModuleType

SILENT = "ORT_DISABLE_TELEMETRY"
LARGE_RUN_TOKENS = 512
VNNI_FLAGS = {"avx512_vnni", "avx_vnni"}


def onnxruntime() -> ModuleType:
    """Return the onnxruntime module, imported with its telemetry off.

    Raises:
        HybridError: somebody imported it before us with telemetry on; it cannot be silenced afterwards.
    """
    if "onnxruntime" in sys.modules and os.environ.get(SILENT) != "1":
        raise HybridError(
            "onnxruntime was imported with its telemetry on, and may already have called out",
            advice=f"set {SILENT}=1 in the environment of this process",
        )
    os.environ[SILENT] = "1"
    import onnxruntime as module

    module.set_default_logger_severity(3)
    return module  # type: ignore[no-any-return]


@cache
def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags as /proc/cpuinfo names them; empty where it cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, "").split())


def saturates(machine: str, flags: frozenset[str]) -> bool:
    """Say whether int8 products overflow 16 bits here: x86 without VNNI."""
    return machine in {"x86_64", "AMD64"} and not flags & VNNI_FLAGS


def open_session(model: Path) -> Any:
    """Open an `onnxruntime.InferenceSession` on `model` with the settings of the edge.

    One thread and no spinning: the gateway's workers are the parallelism, and onnxruntime ignores cgroup limits.

    Raises:
        InputError: the file is no ONNX graph that this onnxruntime can load.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if saturates(platform.machine(), cpu_flags()):
        options.add_session_config_entry("session.x64quantprecision", "1")
    if not model.is_file():
        raise InputError(f"{model}: no such model file", advice="export it, or install a release that holds it")
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{model}: onnxruntime cannot load it: {error}", advice="export it again") from error


def run(session: Any, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
    """Run `session`; a large run gives its memory back afterwards, else one call pins hundreds of megabytes."""
    options = None
    if max(value.size for value in feeds.values()) > LARGE_RUN_TOKENS:
        options = onnxruntime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    result: list[Any] = session.run(outputs, feeds, options)
    return result
