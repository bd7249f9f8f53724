"""Golden checks: before a release serves, each of its models answers known texts as it did in the workshop.

`models/MODEL/VARIANT/golden.json` travels with the model: `{"task", "cosine", "cpu_ms", "cases": [{"text", "label"}
| {"text", "embedding"}]}`. The tolerances are the workshop's. No network, no keys, no site data.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from hybrid.gateway.engines.opening import Files
from hybrid.gateway.engines.stages import Classify
from hybrid.gateway.engines.text import TextModel

MAX_GOLDEN_BYTES = 1 << 20
MOST_CPU_MS = 600_000


def check(release: Files) -> list[str]:
    """Return what is wrong, one sentence each; empty when every golden case of every graph in `release` holds."""
    failures: list[str] = []
    for path, blob in sorted(release.files.items()):
        if path.startswith("models/") and path.endswith("/golden.json"):
            folder = path.removesuffix("/golden.json")
            failures += _check(folder, blob, release)
    return failures


def _check(folder: str, golden: Path, release: Files) -> list[str]:
    graph, tokenizer = release.files.get(f"{folder}/model.onnx"), release.files.get(f"{folder}/tokenizer.json")
    if graph is None or tokenizer is None:
        return [f"{folder}: golden.json without a graph and its tokenizer"]
    if golden.stat().st_size > MAX_GOLDEN_BYTES:
        return [f"{folder}: golden.json is larger than 1 MiB"]
    try:
        told, model = json.loads(golden.read_text("utf-8")), TextModel.open(graph, tokenizer)
        if not (0 < told["cosine"] <= 1 and 0 < told["cpu_ms"] < MOST_CPU_MS and told["cases"]):
            return [f"{folder}: golden.json asks nothing, or anything would do"]
        model.output(told["cases"][0]["text"])
        return [failure for case in told["cases"] for failure in _failures(folder, told, case, model)]
    except (InputError, ValueError, KeyError, TypeError, IndexError) as error:
        return [f"{folder}: {error}"]


def _failures(folder: str, told: dict[str, Any], case: dict[str, Any], model: TextModel) -> list[str]:
    start = time.thread_time()
    wrong = _wrong_label(case, model) if told["task"] == "classify" else _wrong_vector(told, case, model)
    took = (time.thread_time() - start) * 1e3
    if took > told["cpu_ms"]:
        wrong = [*wrong, f"took {took:.0f} ms of CPU, at most {told['cpu_ms']} are allowed"]
    return [f"{folder}: {case['text'][:40]!r}: {one}" for one in wrong]


def _wrong_label(case: dict[str, Any], model: TextModel) -> list[str]:
    label = Classify(model).run({"input": {"text": case["text"]}})["label"]
    return [] if label == case["label"] else [f"label {label}, expected {case['label']}"]


def _wrong_vector(told: dict[str, Any], case: dict[str, Any], model: TextModel) -> list[str]:
    import numpy as np

    found, expected = model.output(case["text"]), np.asarray(case["embedding"], dtype=np.float32)
    if found.shape != expected.shape:
        return [f"{found.shape[0]} dimensions, expected {expected.shape[0]}"]
    cosine = float(found @ expected / (np.linalg.norm(found) * np.linalg.norm(expected)))
    return [] if cosine >= told["cosine"] else [f"cosine {cosine:.4f}, at least {told['cosine']} is expected"]
