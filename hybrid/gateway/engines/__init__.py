"""The engines of the edge: the stages of a release, in process on onnxruntime.

Lives here: sessions, text models, the stages, and `engines_for`. May import `hybrid.knowledge` and numpy,
onnxruntime, tokenizers; never transformers or torch, and never the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hybrid.errors import InputError
from hybrid.gateway.engines.payload import PayloadError, prompt_of
from hybrid.gateway.engines.stages import Classify, Embed, Quote, Retrieve
from hybrid.gateway.engines.text import TextModel

__all__ = ["Engine", "PayloadError", "Wanted", "engines_for", "prompt_of"]


class Engine(Protocol):
    """One stage's work, synchronous and CPU-bound: call it on a worker thread."""

    @property
    def task(self) -> str:
        """The task of a Pipeline's stage: classify, embed, retrieve, generate or quote."""

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Turn what the stage's `after` names into its payload; raises PayloadError when the payloads do not fit."""


class Files(Protocol):
    """What an installed release gives: logical path -> verified file (`bundles.release.Release` has it)."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Paths such as `models/minilm/w8/model.onnx`."""


@dataclass(frozen=True)
class Wanted:
    """One engine that a decision table asks for; `model` and `variant` are None for what is built in."""

    task: str
    model: str | None = None
    variant: str | None = None
    knowledge: str | None = None


def engines_for(release: Files, wanted: Iterable[Wanted], *, knowledge: Path) -> dict[Wanted, Engine]:
    """Open an engine for each of `wanted` from the files of `release`; stages with the same model share it.

    Args:
        release: the installed, verified release.
        wanted: what this site's table serves here.
        knowledge: the folder of the site's indexes (`ROOT/knowledge`).

    Raises:
        InputError: the release lacks a file, a model is not for the task, or an index is missing or out of date.
    """
    models: dict[tuple[str, str], TextModel] = {}
    engines: dict[Wanted, Engine] = {}
    for want in wanted:
        if want not in engines:
            engines[want] = _engine(release, want, models, knowledge)
    return engines


def _engine(release: Files, want: Wanted, models: dict[tuple[str, str], TextModel], knowledge: Path) -> Engine:
    if want.task == "quote":
        return Quote()
    if want.model is None or want.variant is None:
        raise InputError(f"a {want.task} stage names no model", advice="only `quote` is built in; plan again")
    key = (want.model, want.variant)
    if key not in models:
        models[key] = _open(release, *key)
    model = models[key]
    takes = {"classify": "classify", "embed": "embed", "retrieve": "embed"}
    if takes.get(want.task) != model.task:
        raise InputError(
            f"{want.model}/{want.variant} is a model for {model.task}, and the stage's task is {want.task}",
            advice="name a model of that task in the Pipeline, or place the stage where its engine runs",
        )
    if want.task == "classify":
        return Classify(model)
    return Embed(model) if want.task == "embed" else _retrieve(release, want, model, knowledge)


def _retrieve(release: Files, want: Wanted, model: TextModel, knowledge: Path) -> Retrieve:
    from hybrid.knowledge.store import read_index

    if want.knowledge is None:
        raise InputError("a retrieve stage names no knowledge", advice="give the stage its `knowledge`; plan again")
    index = read_index(knowledge / f"{want.knowledge}.index")
    index.require_embedder(file_of(release, str(want.model), str(want.variant), "model.onnx"))
    return Retrieve(model, index)


def _open(release: Files, model: str, variant: str) -> TextModel:
    return TextModel.open(
        file_of(release, model, variant, "model.onnx"), file_of(release, model, variant, "tokenizer.json")
    )


def file_of(release: Files, model: str, variant: str, name: str) -> Path:
    """Return the file of a model's variant in `release`; raises InputError when it is not in there."""
    path = f"models/{model}/{variant}/{name}"
    found = release.files.get(path)
    if found is None:
        raise InputError(f"the release holds no {path}", advice="build the bundle from a plan that places it here")
    return found
