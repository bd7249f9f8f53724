"""Holds what is known of a model variant, and writes it as the model card of a CycloneDX 1.6 bill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SPDX = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")


@dataclass(frozen=True)
class ModelCard:
    """What the Model manifest states about one variant.

    Attributes:
        quality: metric -> value as it is written, e.g. `{"cosine": "0.9994"}`.
        measured_on: digest of the texts that it was measured with; `source` and `source_digest` name the weights.
        approved: who approved it and when; empty for a candidate.
        trained_on: what restricted data it was trained on; None is unknown.
    """

    task: str
    licence: str
    source: str
    source_digest: str
    quality: Mapping[str, str]
    measured_on: str = ""
    approved: str = ""
    trained_on: tuple[str, ...] | None = None

    def as_component(self) -> dict[str, Any]:
        """Return what a CycloneDX component says of it: licence, card, and where the weights come from."""
        metrics = [{"type": name, "value": value} for name, value in sorted(self.quality.items())]
        known = "unknown" if self.trained_on is None else ", ".join(self.trained_on) or "nothing restricted"
        said = {
            "approved": self.approved, "measuredOn": self.measured_on, "source": self.source,
            "sourceDigest": self.source_digest, "trainedOn": known,
        }  # fmt: skip
        return {
            "licenses": licences_of(self.licence),
            "modelCard": {
                "modelParameters": {"task": self.task},
                "quantitativeAnalysis": {"performanceMetrics": metrics},
                "properties": [{"name": f"hybrid:{name}", "value": value} for name, value in said.items() if value],
            },
        }


def licences_of(text: str) -> list[dict[str, Any]]:
    """Return a CycloneDX licence choice: an SPDX expression, or the words that the author used."""
    if _SPDX.fullmatch(text):
        return [{"expression": text}]
    return [{"license": {"name": text}}] if text else []
