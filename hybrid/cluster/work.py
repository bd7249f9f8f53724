"""What a replica runs: the engine of its task, opened from files whose digests the signed catalogue names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.cluster.schema import StageArgs
from hybrid.errors import EvidenceError, InputError
from hybrid.gateway.engines import Engine, Wanted, engines_for, prompt_of

MOST_TOKENS = 160


@dataclass(frozen=True, slots=True)
class Generate:
    """Writes a text with a causal language model; the whole prompt is built from what the stage received."""

    generator: Any
    task: str = "generate"

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return `{"text", "tokens"}`."""
        text, tokens = self.generator.generate(prompt_of(inputs), MOST_TOKENS)
        return {"text": text, "tokens": tokens}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of verified files in the form that `engines_for` takes."""

    files: Mapping[str, Path]


def open_engine(args: StageArgs) -> Engine:
    """Open the engine of a pool once every file has the digest that the plan's catalogue names.

    Raises:
        EvidenceError: a file's bytes are not those of the catalogue.
        InputError: a file is missing, or no engine takes the model.
    """
    directory = Path(args.directory)
    for name, digest in args.files.items():
        _verify(directory / name, digest)
    if args.task == "generate":
        from hybrid.models.generator import load_generator

        return Generate(load_generator(directory))
    wanted = Wanted(args.task, args.model, args.variant)
    files = {f"models/{args.model}/{args.variant}/{name}": directory / name for name in args.files}
    return engines_for(Folder(files), [wanted], knowledge=directory)[wanted]


def _verify(path: Path, digest: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file", advice="put the model's files below --models, as MODEL/VARIANT/")
    with path.open("rb") as file:
        found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise EvidenceError(f"{path}: {found[:19]}… is not the {digest[:19]}… of the catalogue", advice="copy it again")
