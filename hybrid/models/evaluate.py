"""Evaluates every variant of a model against its own fp32, side by side, each in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import HybridError, InputError
from hybrid.gateway.engines.session import VNNI_FLAGS, cpu_flags
from hybrid.knowledge.store import digest_of
from hybrid.models import golden, metrics
from hybrid.models.classifier import Labelled, read_labelled
from hybrid.models.offline import SWITCHES
from hybrid.models.training import read_replies
from hybrid.models.workshop import REFERENCE, Workshop, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROBE_SECONDS = 300
MAX_NEW_TOKENS = 120
PROMPTS = 40


@dataclass(frozen=True)
class Measured:
    """What one variant showed: numbers of its process, and its quality against the reference."""

    variant: str
    files: dict[str, str]
    bytes: int
    cost: dict[str, Any]
    quality: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All variants of one model on one machine and one set of texts."""

    model: str
    task: str
    texts: str
    texts_digest: str
    count: int
    hardware: str
    cpu: str
    variants: tuple[Measured, ...]
    labels: dict[str, dict[str, float]]


def evaluate(
    model: str, workshop: Workshop, texts: Path, *, advance: Callable[[float], None] = lambda units: None
) -> Evaluation:
    """Measure every variant of `model` on `texts` and write their golden cases.

    Args:
        model: a model of the workshop with an fp32 variant.
        workshop: where it stands.
        texts: labelled texts for embedders and classifiers, replies for generators (JSON lines).
        advance: called with 1.0 after each variant.

    Raises:
        InputError: there is no reference, or the texts do not fit the model's task.
        HybridError: a variant could not be run.
    """
    source, variants = workshop.source(model), workshop.variants(model)
    if REFERENCE not in variants:
        raise InputError(f"{model} has no {REFERENCE} variant to compare with", advice=f"export {model} again")
    if not texts.is_file():
        raise InputError(f"{texts}: no such file of texts", advice="name a file of JSON lines with --texts")
    compare = TASKS.get(source.task)
    if compare is None:
        raise InputError(
            f"{model} is for {source.task}, which cannot be evaluated", advice=f"one of {', '.join(TASKS)}"
        )
    given = compare.texts(texts)
    outputs, costs = {}, {}
    for variant in variants:
        outputs[variant], costs[variant] = probe(workshop.variant(model, variant), source.task, given)
        advance(1.0)
    qualities = {variant: compare.quality(texts, outputs[REFERENCE], outputs[variant]) for variant in variants}
    for variant in variants:
        golden.write(workshop.variant(model, variant), source.task, given)
    return Evaluation(
        model, source.task, texts.name, digest_of(texts), len(given), hardware(), cpu_name(),
        tuple(_measured(workshop, model, variant, costs[variant], qualities[variant]) for variant in variants),
        {variant: compare.labels(texts, outputs[variant]) for variant in variants},
    )  # fmt: skip


def _measured(
    workshop: Workshop, model: str, variant: str, cost: dict[str, Any], quality: dict[str, float]
) -> Measured:
    files = workshop.files(model, variant)
    digests = {name: digest_of(path) for name, path in files.items()}
    return Measured(variant, digests, sum(path.stat().st_size for path in files.values()), cost, quality)


def probe(folder: Path, task: str, texts: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Measure one variant in a fresh process: its outputs, and its numbers.

    Raises:
        HybridError: the process failed; its last line is in the message.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as scratch:
        request, out = Path(scratch, "request.json"), Path(scratch, "out.npy")
        request.write_text(json.dumps({"task": task, "texts": list(texts), "max_new_tokens": MAX_NEW_TOKENS}), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "hybrid.models.probe", str(folder), str(request), str(out)],
            capture_output=True, text=True, timeout=PROBE_SECONDS, env={**os.environ, **SWITCHES}, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise HybridError(f"{folder} could not be measured: {last}", advice="make the variant again")
        numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if task != "generate":
            return np.load(out), numbers
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()], numbers


def hardware() -> str:
    """Return this machine as a key of `speed[].hardware`: the architecture, with its best instruction set."""
    flags = cpu_flags()
    best = next((flag for flag in (*sorted(VNNI_FLAGS), "avx512f", "avx2") if flag in flags), "")
    return f"{platform.machine()}-{best}" if best else platform.machine()


def cpu_name() -> str:
    """Return the processor's name as the machine tells it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@dataclass(frozen=True)
class Task:
    """How one task is compared: its texts, its quality and, for a classifier, the recall of each label."""

    texts: Callable[[Path], list[str]]
    quality: Callable[[Path, Any, Any], dict[str, float]]
    labels: Callable[[Path, Any], dict[str, float]]


def _embed_quality(texts: Path, reference: NDArray[np.float32], variant: NDArray[np.float32]) -> dict[str, float]:
    import numpy as np

    found = metrics.cosines(reference, variant)
    left, right = metrics.similarities(reference), metrics.similarities(variant)
    return {
        "cosine": float(found.mean()),
        "cosineP1": float(np.percentile(found, 1)),
        "cosineMin": float(found.min()),
        "top10": metrics.top_overlap(left, right),
        "hardPairs": metrics.hard_pairs(left, right),
    }


def _tested(texts: Path, scores: NDArray[np.float32]) -> tuple[list[str], list[str], list[str]]:
    """Return the true and the given labels of the test split, and the given labels of all texts."""
    labelled = read_labelled(texts)
    labels = sorted({one.label for one in labelled})
    given = [labels[at] for at in scores.argmax(axis=1)]
    pairs = [(one.label, got) for one, got in zip(labelled, given, strict=True) if one.split == "test"]
    return [true for true, _ in pairs], [got for _, got in pairs], given


def _classify_quality(texts: Path, reference: NDArray[np.float32], variant: NDArray[np.float32]) -> dict[str, float]:
    truth, given, everything = _tested(texts, variant)
    _, _, as_reference = _tested(texts, reference)
    recalls = [metrics.recall(label, truth, given) for label in sorted(set(truth))]
    return {
        "accuracy": metrics.accuracy(truth, given),
        "recallLowest": min(recalls),
        "agreement": metrics.accuracy(as_reference, everything),
        "scoreDifference": float(abs(reference - variant).max()),
    }


def _recalls(texts: Path, scores: NDArray[np.float32]) -> dict[str, float]:
    truth, given, _ = _tested(texts, scores)
    return {label: metrics.recall(label, truth, given) for label in sorted(set(truth))}


def _generate_quality(texts: Path, reference: list[list[int]], variant: list[list[int]]) -> dict[str, float]:
    return {
        "greedyTokens": metrics.token_agreement(reference, variant),
        "sameAnswers": sum(map(lambda a, b: a == b, reference, variant)) / len(reference),
    }


def _labelled_texts(path: Path) -> list[str]:
    found: list[Labelled] = read_labelled(path)
    return [one.text for one in found]


def _prompts(path: Path) -> list[str]:
    return [one.prompt for one in read_replies(path)[:: max(1, len(read_replies(path)) // PROMPTS)]][:PROMPTS]


def _none(texts: Path, outputs: Any) -> dict[str, float]:
    return {}


TASKS = {
    "embed": Task(_labelled_texts, _embed_quality, _none),
    "classify": Task(_labelled_texts, _classify_quality, _recalls),
    "generate": Task(_prompts, _generate_quality, _none),
}


def keep(evaluation: Evaluation, workshop: Workshop) -> Path:
    """Write the evaluation beside the model as JSON and return its path."""
    from dataclasses import asdict

    path = workshop.folder(evaluation.model) / "evaluation.json"
    write_text(path, json.dumps(asdict(evaluation), indent=2) + "\n")
    return path
