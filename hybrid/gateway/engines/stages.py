"""The stages of the edge in process: classify, embed, retrieve and quote, each an engine with one `run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hybrid.gateway.engines.payload import PayloadError, excerpt, passages_of, text_of
from hybrid.gateway.engines.text import TextModel

if TYPE_CHECKING:
    from hybrid.knowledge.store import Index

PASSAGES = 4
QUOTED = 2
CLOSE_ENOUGH = 0.25


@dataclass(frozen=True)
class Classify:
    """Gives one of the labels that stand in the graph's metadata, with the score of each."""

    model: TextModel
    task: str = "classify"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"label", "scores": {label: probability}}`.

        A long text is read in windows and each label keeps its highest score, so that an urgent sentence at the end
        of a long message counts as much as one at its start; the scores are then normalised to sum to 1.
        """
        scores = self.model.outputs(text_of(inputs)).max(axis=0)
        scores = scores / scores.sum()
        by_label = {label: round(float(score), 6) for label, score in zip(self.model.labels, scores, strict=True)}
        return {"label": self.model.labels[int(scores.argmax())], "scores": by_label}


@dataclass(frozen=True)
class Embed:
    """Gives the embedding of a text, of length 1."""

    model: TextModel
    task: str = "embed"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"embedding": [float]}`; what lies beyond the model's length cap is not read."""
        return {"embedding": [float(value) for value in self.model.output(text_of(inputs))]}


@dataclass(frozen=True)
class Retrieve:
    """Finds the passages of the site's own documents that are closest to a text."""

    model: TextModel
    index: Index
    task: str = "retrieve"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"passages": [{"id", "title", "text", "score"}]}`, best first; score is the cosine."""
        found = self.index.nearest(self.model.output(text_of(inputs)), PASSAGES)
        return {
            "passages": [
                {"id": chunk.id, "title": chunk.title, "text": chunk.text, "score": round(score, 6)}
                for chunk, score in found
            ]
        }


@dataclass(frozen=True)
class Quote:
    """Answers without a model: quotes the best passages with their sources, and claims nothing of its own."""

    task: str = "quote"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"text", "sources": [id]}`.

        Raises:
            PayloadError: the stage received no passages field at all.
        """
        if not any("passages" in payload for payload in inputs.values() if isinstance(payload, Mapping)):
            raise PayloadError("quote received no passages", advice="name a retrieve stage in its `after`")
        close = [p for p in passages_of(inputs) if float(p.get("score", 0.0)) >= CLOSE_ENOUGH][:QUOTED]
        return {"text": _quotation(close), "sources": [str(passage.get("id", "")) for passage in close]}


OPENING = "Your message was received. This is an automatic reply; a member of our team will read your message."
URGENT = "If you feel this is an emergency, do not wait for a reply: call the emergency number now."
NOTHING = "We found nothing in our own documents that answers it."


def _quotation(passages: list[Mapping[str, Any]]) -> str:
    quoted = [
        f'[{number}] From "{passage.get("title", "")}": {excerpt(str(passage.get("text", "")), 420)}'
        for number, passage in enumerate(passages, start=1)
    ]
    middle = ["Meanwhile, this is what our own documents say:", *quoted] if quoted else [NOTHING]
    return "\n".join([OPENING, *middle, URGENT])
