"""Opens the engines that a table asks for, each file once and each encoder once.

A classifier's graph names the embedder that it stands on (`embedder`, the digest of its graph) and gives the
embedding beside its scores. Where a site serves both, one session answers both: half the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hybrid.errors import InputError
from hybrid.gateway.engines.decoder import Decoder, Generate
from hybrid.gateway.engines.stages import Classify, Embed, Quote, Retrieve
from hybrid.gateway.engines.text import TextModel

TAKES = {"classify": "classify", "embed": "embed", "retrieve": "embed"}


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
    """Open an engine for each of `wanted` from the files of `release`; stages share models and encoders.

    Args:
        release: the installed, verified release.
        wanted: what this site's table serves here.
        knowledge: the folder of the site's indexes (`ROOT/knowledge`).

    Raises:
        InputError: the release lacks a file, a model is not for the task, or an index is missing or out of date.
    """
    asked = list(dict.fromkeys(wanted))
    opening = _Opening(release, knowledge)
    # Classifiers first: an embedder may then find its encoder open already.
    found = {want: opening.engine(want) for want in sorted(asked, key=lambda want: want.task != "classify")}
    return {want: found[want] for want in asked}


def file_of(release: Files, model: str, variant: str, name: str) -> Path:
    """Return the file of a model's variant in `release`; raises InputError when it is not in there."""
    path = f"models/{model}/{variant}/{name}"
    found = release.files.get(path)
    if found is None:
        raise InputError(f"the release holds no {path}", advice="build the bundle from a plan that places it here")
    return found


@dataclass
class _Opening:
    release: Files
    knowledge: Path
    models: dict[tuple[str, str], TextModel] = field(default_factory=dict)

    def engine(self, want: Wanted) -> Engine:
        if want.task == "quote":
            return Quote()
        if want.model is None or want.variant is None:
            raise InputError(f"a {want.task} stage names no model", advice="only `quote` is built in; plan again")
        if want.task == "generate":
            return Generate(Decoder.open(*self.graph(want.model, want.variant)))
        model = self.model(want.model, want.variant)
        if TAKES.get(want.task) != model.task:
            raise InputError(
                f"{want.model}/{want.variant} is a model for {model.task}, and the stage's task is {want.task}",
                advice="name a model of that task in the Pipeline, or place the stage where its engine runs",
            )
        if want.task == "classify":
            return Classify(model)
        return Embed(model) if want.task == "embed" else self.retrieve(want, model)

    def model(self, model: str, variant: str) -> TextModel:
        key = (model, variant)
        if key not in self.models:
            self.models[key] = self.shared(*self.graph(model, variant)) or TextModel.open(*self.graph(model, variant))
        return self.models[key]

    def shared(self, graph: Path, tokenizer: Path) -> TextModel | None:
        """Return the encoder in `graph` as an open classifier already holds it, if one does."""
        from hybrid.knowledge.store import digest_of

        classifiers = [model for model in self.models.values() if model.embedder]
        if not classifiers:
            return None
        found = digest_of(graph)
        return next((model.as_embedder() for model in classifiers if model.embedder == found), None)

    def retrieve(self, want: Wanted, model: TextModel) -> Retrieve:
        from hybrid.knowledge.store import read_index

        if want.knowledge is None:
            raise InputError("a retrieve stage names no knowledge", advice="give the stage its `knowledge`; plan again")
        index = read_index(self.knowledge / f"{want.knowledge}.index")
        index.require_embedder(self.graph(str(want.model), str(want.variant))[0])
        return Retrieve(model, index)

    def graph(self, model: str, variant: str) -> tuple[Path, Path]:
        """Return the paths of a variant's graph and tokenizer."""
        found = [file_of(self.release, model, variant, name) for name in ("model.onnx", "tokenizer.json")]
        return found[0], found[1]
