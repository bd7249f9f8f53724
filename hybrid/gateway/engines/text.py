"""A text model of the edge: one ONNX graph and its tokenizer, without transformers.

The graph says in its metadata what it is for (`task`), how long a text may be (`max_tokens`) and, for a classifier,
its `labels` and the digest of the `embedder` that it stands on. It takes `input_ids` and `attention_mask` of shape
(1, tokens), int64; one text at a time, since dynamic int8 depends on its batch and batching does not pay on two cores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import InputError
from hybrid.gateway.engines.session import open_session, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_WINDOWS = 8
EMBEDDING = "sentence_embedding"


@dataclass(frozen=True)
class TextModel:
    """An open graph with its tokenizer; safe to call from several threads at once."""

    session: Any
    tokenizer: Any
    task: str
    labels: tuple[str, ...]
    max_tokens: int
    output_name: str
    embedder: str = ""

    @classmethod
    def open(cls, model: Path, tokenizer: Path) -> TextModel:
        """Open a graph written by `hybrid model export`.

        Raises:
            InputError: a file is missing or no such thing, or the graph does not say what it is for.
        """
        session = open_session(model)
        properties: dict[str, str] = session.get_modelmeta().custom_metadata_map
        if not {"task", "max_tokens"} <= properties.keys():
            raise InputError(f"{model}: no `task` in its metadata", advice="export it with `hybrid model export`")
        max_tokens = int(properties["max_tokens"])
        return cls(
            session,
            open_tokenizer(tokenizer, max_tokens),
            properties["task"],
            tuple(json.loads(properties.get("labels", "[]"))),
            max_tokens,
            session.get_outputs()[0].name,
            properties.get("embedder", ""),
        )

    def as_embedder(self) -> TextModel:
        """Return the encoder below a classifier: the same session and tokenizer, asked for the embedding."""
        return replace(self, task="embed", labels=(), output_name=EMBEDDING, embedder="")

    def output(self, text: str) -> NDArray[np.float32]:
        """Return the graph's output for the first `max_tokens` tokens of `text`: a vector."""
        return self._run(self.tokenizer.encode(text).ids)

    def outputs(self, text: str) -> NDArray[np.float32]:
        """Return the output of each window of `max_tokens` tokens, at most eight: shape (windows, width)."""
        import numpy as np

        first = self.tokenizer.encode(text)
        windows = [first, *first.overflowing][:MAX_WINDOWS]
        return np.stack([self._run(window.ids) for window in windows])

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        import numpy as np

        tokens = np.asarray([ids], dtype=np.int64)
        (found,) = run(self.session, [self.output_name], {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        vector: NDArray[np.float32] = found[0]
        return vector


def open_tokenizer(path: Path, max_tokens: int | None) -> Any:
    """Open a `tokenizer.json` without padding, and with a length cap where there is one.

    Raises:
        InputError: the file is missing or is no tokenizer.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise InputError(f"{path}: no such tokenizer file", advice="it stands beside the model; export it again")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{path}: not a tokenizer: {error}", advice="export the model again") from error
    if max_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_tokens, stride=max_tokens // 8)
    tokenizer.no_padding()
    return tokenizer
