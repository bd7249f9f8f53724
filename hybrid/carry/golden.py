"""Compares what the staged release answers with what headquarters' workshop answered, before it serves.

The bundle carries the texts, the answers and the tolerances (`models/<model>/<variant>/golden.json`). The comparison
runs in the staged runtime itself, in a process of its own, without a network where the kernel lets us take it away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundles.release import Release
    from hybrid.gateway.engines import Engine

TEXTS = (
    "The invoice of last month shows the wrong address.",
    "Ma fille a de la fièvre depuis trois jours, que dois-je faire ?",
    "Ich bekomme keine Luft und habe Schmerzen in der Brust.",
)
MILLION = 1_000_000
COSINE_FLOOR = 990_000
CEILING_MS = 5_000
PATIENCE_S = 120


@dataclass(frozen=True)
class _Files:
    files: Mapping[str, Path]


def make(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return logical path -> golden file for every text model among `files`, written below `folder`."""
    made = {}
    for model, variant in _text_models(files):
        engine = _engine(files, model, variant)
        answers = [_answer(engine, text) for text in TEXTS]
        golden = {"task": engine.task, "texts": list(TEXTS), "answers": answers, "cosineFloor": COSINE_FLOOR,
                  "ceilingMs": CEILING_MS}  # fmt: skip
        path = folder / model / variant / "golden.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(golden, ensure_ascii=False, sort_keys=True))
        made[f"models/{model}/{variant}/golden.json"] = path
    return made


def differences(files: Mapping[str, Path]) -> list[str]:
    """Return how the models among `files` answer otherwise than their golden files say; empty when they do not."""
    found = []
    for model, variant in _text_models(files):
        path = files.get(f"models/{model}/{variant}/golden.json")
        if path is not None:
            golden = json.loads(path.read_text())
            found += [f"{model}/{variant}: {what}" for what in _compare(_engine(files, model, variant), golden)]
    return found


def check(release: Release) -> list[str]:
    """Return the differences of a staged release, found by its own runtime in a process without a network."""
    if not any(path.endswith("/golden.json") for path in release.files):
        return []
    launcher = release.launcher
    start = [str(launcher), "-m"] if launcher else ["-m"]
    command = [*_without_network(), sys.executable, *(["-I", "-B"] if launcher else []), *start, "hybrid.carry.golden"]
    files = json.dumps({name: str(path) for name, path in release.files.items()})
    env = {"PATH": os.defpath, "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command, input=files, capture_output=True, text=True, env=env, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"no answer within {PATIENCE_S} s"]
    if done.returncode:
        return [f"the runtime does not start: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"]
    return [str(line) for line in json.loads(done.stdout)]


def _without_network() -> list[str]:
    """Return the prefix that takes the network away; empty where the kernel does not let us."""
    for prefix in (["unshare", "-n"], ["unshare", "-Urn"]):
        try:
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            return []
    return []


def _text_models(files: Iterable[str]) -> Sequence[tuple[str, str]]:
    there = set(files)
    pairs = {
        tuple(path.split("/")[1:3]) for path in there if path.startswith("models/") and path.endswith("/model.onnx")
    }
    return sorted((m, v) for m, v in pairs if f"models/{m}/{v}/tokenizer.json" in there)


def _engine(files: Mapping[str, Path], model: str, variant: str) -> Engine:
    from hybrid.gateway.engines.stages import Classify, Embed
    from hybrid.gateway.engines.text import TextModel

    folder = f"models/{model}/{variant}"
    opened = TextModel.open(files[f"{folder}/model.onnx"], files[f"{folder}/tokenizer.json"])
    return Classify(opened) if opened.task == "classify" else Embed(opened)


def _answer(engine: Engine, text: str) -> Any:
    """Return the label, or the embedding in millionths: golden files hold no floats."""
    found = engine.run({"input": {"text": text}})
    return found["label"] if engine.task == "classify" else [round(value * MILLION) for value in found["embedding"]]


def _compare(engine: Engine, golden: Mapping[str, Any]) -> list[str]:
    if engine.task != golden["task"]:
        return [f"is a model for {engine.task}, not {golden['task']}"]
    found = []
    for number, (text, wanted) in enumerate(zip(golden["texts"], golden["answers"], strict=True), start=1):
        start = time.perf_counter()
        answer = _answer(engine, text)
        took = round((time.perf_counter() - start) * 1000)
        if took > golden["ceilingMs"]:
            found.append(f"text {number} took {took} ms, ceiling {golden['ceilingMs']}")
        if engine.task == "classify" and answer != wanted:
            found.append(f"text {number} is {answer}, was {wanted}")
        if engine.task != "classify" and (cosine := _cosine(answer, wanted)) * MILLION < golden["cosineFloor"]:
            found.append(f"text {number}: cosine {cosine:.4f}, floor {golden['cosineFloor'] / MILLION}")
    return found


def _cosine(a: Sequence[int], b: Sequence[int]) -> float:
    norms = (sum(x * x for x in a) * sum(x * x for x in b)) ** 0.5
    return float(sum(x * y for x, y in zip(a, b, strict=True)) / norms) if norms else 0.0


def main() -> None:
    """Read logical path -> file from stdin as JSON; print the differences as JSON."""
    files = {name: Path(path) for name, path in json.load(sys.stdin).items()}
    print(json.dumps(differences(files)))


if __name__ == "__main__":
    main()
