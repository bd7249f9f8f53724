"""What the stages hand to one another, read in one place: which text, which passages, which prompt.

A stage receives `{name in after: payload}`; the pipeline's input is under `input`. A payload is known by its fields,
not by the name of the stage that made it: `text`, `label`, `passages`, `embedding`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hybrid.errors import InputError

PASSAGE_CHARACTERS = 240


class PayloadError(InputError):
    """A stage did not receive what its task needs."""


def _payloads(inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    first = inputs.get("input")
    if isinstance(first, Mapping):
        yield first
    for name, payload in inputs.items():
        if name != "input" and isinstance(payload, Mapping):
            yield payload


def text_of(inputs: Mapping[str, Any]) -> str:
    """Return the text to work on: the pipeline's input where the stage receives it, else the first text.

    Raises:
        PayloadError: no payload has a non-empty string `text`.
    """
    for payload in _payloads(inputs):
        text = payload.get("text")
        if isinstance(text, str) and text.strip():
            return text
    raise PayloadError(
        f"no text among what the stage received ({', '.join(sorted(inputs)) or 'nothing'})",
        advice='send {"text": "…"} as the input, and name `input` in the stage\'s `after`',
    )


def label_of(inputs: Mapping[str, Any]) -> str:
    """Return the first label that a classify stage gave; empty when there is none."""
    return next((p["label"] for p in _payloads(inputs) if isinstance(p.get("label"), str)), "")


def passages_of(inputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the passages that a retrieve stage gave, best first; empty when there is none."""
    found: list[Any] = next((p["passages"] for p in _payloads(inputs) if isinstance(p.get("passages"), list)), [])
    return [passage for passage in found if isinstance(passage, Mapping)]


def excerpt(text: str, characters: int = PASSAGE_CHARACTERS) -> str:
    """Cut `text` at a sentence, else a word, so that it has at most `characters`."""
    flat = " ".join(text.split())
    if len(flat) <= characters:
        return flat
    cut = flat[:characters]
    sentence = cut.rfind(". ")
    return cut[: sentence + 1] if sentence > characters // 3 else cut[: cut.rfind(" ")] + " …"


def prompt_of(inputs: Mapping[str, Any]) -> str:
    """Return the prompt of a generator: message, label and the best passage, in the form that it was trained on."""
    lines = [f"Message: {' '.join(text_of(inputs).split())}"]
    if label := label_of(inputs):
        lines.append(f"Kind: {label}")
    lines += [f"Source: {excerpt(str(passage.get('text', '')))}" for passage in passages_of(inputs)[:1]]
    return "\n".join([*lines, "Reply:"])
