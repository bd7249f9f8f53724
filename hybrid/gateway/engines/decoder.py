"""A small generator at the edge: a decoder graph and its tokenizer, answered greedily without torch.

The graph gives logits (1, tokens, vocabulary) for the whole text each time, so an answer costs the square of its
length: meant for small models and short replies. Larger generators live in the region, behind Ray Serve.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from hybrid.gateway.engines.payload import prompt_of
from hybrid.gateway.engines.session import open_session, run
from hybrid.gateway.engines.text import open_tokenizer

MOST_TOKENS = 160


@dataclass(frozen=True)
class Decoder:
    """An open decoder graph; safe to call from several threads at once."""

    session: Any
    tokenizer: Any
    inputs: frozenset[str]
    ends: frozenset[int]
    max_tokens: int

    @classmethod
    def open(cls, model: Path, tokenizer: Path) -> Decoder:
        """Open a graph written by `hybrid model quantize`; raises InputError when it is no decoder of ours."""
        session = open_session(model)
        told: dict[str, str] = session.get_modelmeta().custom_metadata_map
        if told.get("task") != "generate" or not {"ends", "max_tokens"} <= told.keys():
            raise InputError(f"{model}: not a decoder graph", advice="make it with `hybrid model quantize`")
        names = frozenset(given.name for given in session.get_inputs())
        return cls(
            session,
            open_tokenizer(tokenizer, None),
            names,
            frozenset(json.loads(told["ends"])),
            int(told["max_tokens"]),
        )

    def generate_tokens(self, prompt: str, max_new_tokens: int = MOST_TOKENS) -> tuple[str, list[int]]:
        """Answer `prompt`: the text and its tokens, the end token among them; a long prompt loses its beginning."""
        ids: list[int] = self.tokenizer.encode(prompt).ids[-max(1, self.max_tokens - max_new_tokens) :]
        made: list[int] = []
        while len(made) < max_new_tokens and (not made or made[-1] not in self.ends):
            made.append(self._next(ids + made))
        return self.tokenizer.decode(made, skip_special_tokens=True).strip(), made

    def _next(self, ids: list[int]) -> int:
        import numpy as np

        tokens = np.asarray([ids], dtype=np.int64)
        every = {"attention_mask": np.ones_like(tokens), "position_ids": np.arange(len(ids), dtype=np.int64)[None]}
        feeds = {"input_ids": tokens} | {name: value for name, value in every.items() if name in self.inputs}
        (logits,) = run(self.session, ["logits"], feeds)
        return int(logits[0, -1].argmax())


@dataclass(frozen=True)
class Generate:
    """Drafts a text from the message, its label and the passages found for it."""

    decoder: Decoder
    task: str = "generate"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"text", "tokens": how many}`."""
        text, tokens = self.decoder.generate_tokens(prompt_of(inputs))
        return {"text": text, "tokens": len(tokens)}
