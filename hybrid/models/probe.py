"""Measures one variant in a process of its own: cold start, memory, CPU time per shape, and the outputs themselves.

Run as `python -m hybrid.models.probe FOLDER REQUEST OUT`. REQUEST is JSON: `{"task", "texts", "max_new_tokens"}`. A
graph is measured with what the edge has, and with nothing else imported; a transformers folder with torch. The
numbers go to stdout as JSON, the outputs to OUT (`.npy` for a graph, JSON lines of tokens for a generator).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hybrid.gateway.engines.text import TextModel

SHAPES = ((1, 20), (1, 64), (1, 256), (8, 64))
REPEATS = 7
BATCH = 16


def memory_bytes(field: str) -> int:
    """Return this process's memory in bytes: `VmRSS` is resident now, `VmHWM` the most that ever was.

    (`getrusage` would tell the parent's peak too: it survives exec.)
    """
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024


def graph(folder: Path, texts: list[str], out: Path) -> dict[str, Any]:
    """Measure an ONNX graph: `cold_cpu_s` counts from the start of the process to its first output."""
    from hybrid.gateway.engines.text import TextModel

    model = TextModel.open(folder / "model.onnx", folder / "tokenizer.json")
    model.output(texts[0])
    cold, settled = time.process_time(), memory_bytes("VmRSS")

    import numpy as np

    start = time.process_time()
    outputs = np.stack([model.output(text) for text in texts])
    service = (time.process_time() - start) / len(texts)
    serving = memory_bytes("VmRSS")
    np.save(out, outputs)
    return {
        "cold_cpu_s": cold,
        "resident_cold_bytes": settled,
        "resident_bytes": serving,
        "service_ms": service * 1e3,
        "batch": _batch_cosine(model, texts[:BATCH], outputs[:BATCH]),
        "cpu_ms": {f"{rows}x{tokens}": _cpu_ms(model, rows, tokens) for rows, tokens in SHAPES},
        "peak_bytes": memory_bytes("VmHWM"),
    }


def _feeds(ids: Any, mask: Any) -> dict[str, Any]:
    return {"input_ids": ids, "attention_mask": mask}


def _cpu_ms(model: TextModel, rows: int, tokens: int) -> float:
    """Return the median CPU milliseconds of one run on `rows` texts of `tokens` tokens."""
    import numpy as np

    from hybrid.gateway.engines.session import run

    ids = np.random.default_rng(0).integers(1000, model.tokenizer.get_vocab_size(), (rows, tokens), dtype=np.int64)
    name = model.session.get_outputs()[0].name
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        run(model.session, [name], _feeds(ids, np.ones_like(ids)))
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:]) * 1e3


def _batch_cosine(model: TextModel, texts: list[str], alone: Any) -> float:
    """Return the least cosine between a text's output alone and in one padded batch with the others."""
    import numpy as np

    from hybrid.gateway.engines.session import run

    encoded = [model.tokenizer.encode(text).ids for text in texts]
    width = max(map(len, encoded))
    ids = np.array([line + [0] * (width - len(line)) for line in encoded], dtype=np.int64)
    mask = np.array([[1] * len(line) + [0] * (width - len(line)) for line in encoded], dtype=np.int64)
    (together,) = run(model.session, [model.session.get_outputs()[0].name], _feeds(ids, mask))
    norms = np.linalg.norm(together, axis=1) * np.linalg.norm(alone, axis=1)
    return float(((together * alone).sum(axis=1) / norms).min())


class Answers(Protocol):
    """What both kinds of generator do."""

    def generate_tokens(self, prompt: str, max_new_tokens: int) -> tuple[str, list[int]]:
        """Answer a prompt greedily: the text and its tokens."""


def opened_generator(folder: Path) -> Answers:
    """Open a decoder graph with what the edge has, or a transformers folder with torch on one thread."""
    if (folder / "model.onnx").is_file():
        from hybrid.gateway.engines.decoder import Decoder

        return Decoder.open(folder / "model.onnx", folder / "tokenizer.json")
    import torch

    from hybrid.models.generator import load_generator

    torch.set_num_threads(1)
    return load_generator(folder)


def generator(folder: Path, texts: list[str], max_new_tokens: int, out: Path) -> dict[str, Any]:
    """Measure a generator on prompts: tokens of each answer, CPU time per answer and per token."""
    opened = opened_generator(folder)
    opened.generate_tokens(texts[0], max_new_tokens)
    cold, settled = time.process_time(), memory_bytes("VmRSS")
    start = time.process_time()
    answers = [opened.generate_tokens(text, max_new_tokens)[1] for text in texts]
    taken = time.process_time() - start
    out.write_text("".join(json.dumps(tokens) + "\n" for tokens in answers), "utf-8")
    return {
        "cold_cpu_s": cold,
        "resident_cold_bytes": settled,
        "resident_bytes": memory_bytes("VmRSS"),
        "service_ms": taken / len(texts) * 1e3,
        "cpu_ms": {"token": taken / max(1, sum(map(len, answers))) * 1e3},
        "peak_bytes": memory_bytes("VmHWM"),
    }


def main(folder: str, request: str, out: str) -> None:
    """Measure what stands in `folder` and print the numbers."""
    asked = json.loads(Path(request).read_text("utf-8"))
    if asked["task"] == "generate":
        found = generator(Path(folder), asked["texts"], asked["max_new_tokens"], Path(out))
    else:
        found = graph(Path(folder), asked["texts"], Path(out))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
