"""Writes a variant's golden cases, which every site repeats before the variant serves there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hybrid.gateway.engines.stages import Classify
from hybrid.gateway.engines.text import TextModel
from hybrid.models.workshop import write_text

CASES = 6
LEAST_COSINE = 0.98
MOST_CPU_MS = 1000
DECIMALS = 4
CLEAR = 0.6


def write(folder: Path, task: str, texts: Sequence[str]) -> None:
    """Write `golden.json` into a graph's folder: its own answers to a few of `texts`, spread over them.

    A classifier's cases are texts whose label is clear (a score of 0.6 or more), so that the last bit of another
    processor does not decide. A generator has none: its answers are compared in the workshop, token
    by token.
    """
    if task not in {"embed", "classify"}:
        return
    model = TextModel.open(folder / "model.onnx", folder / "tokenizer.json")
    spread = list(texts)[:: max(1, len(texts) // (CASES * 4))]
    cases = [case for text in spread if (case := _case(model, task, text)) is not None][
        :: 4 if task != "classify" else 1
    ]
    told = {"task": task, "cosine": LEAST_COSINE, "cpu_ms": MOST_CPU_MS, "cases": cases[:CASES]}
    write_text(folder / "golden.json", json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")


def _case(model: TextModel, task: str, text: str) -> dict[str, Any] | None:
    if task == "classify":
        found = Classify(model).run({"input": {"text": text}})
        return {"text": text, "label": found["label"]} if max(found["scores"].values()) >= CLEAR else None
    return {"text": text, "embedding": [round(float(value), DECIMALS) for value in model.output(text)]}
