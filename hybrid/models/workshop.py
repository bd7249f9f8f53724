"""The workshop's folder: where each model, its variants, its evaluation and its manifest stand.

WORKSHOP/MODEL/source.json        what the model was made from
WORKSHOP/MODEL/VARIANT/…          the files of one variant: model.onnx and tokenizer.json, or a transformers folder
WORKSHOP/MODEL/evaluation.json    what was measured, and evaluation.html, the same as a picture
WORKSHOP/MODEL/model.yaml         the Model manifest
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import InputError

REFERENCE = "fp32"
VARIANT_ORDER = (REFERENCE, "fp16", "w8", "int8")


@dataclass(frozen=True)
class Source:
    """What a model was made from: a package or folder, its digest, and how it is to be used."""

    model: str
    task: str
    package: str
    digest: str
    licence: str
    embedder: str = ""
    data: str = ""
    data_digest: str = ""


@dataclass(frozen=True)
class Workshop:
    """A folder of models; every path in it is named here and nowhere else."""

    root: Path

    def folder(self, model: str) -> Path:
        """Return the folder of `model`; the name may not leave the workshop."""
        if not model or not model.replace("-", "").replace("_", "").replace(".", "").isalnum() or model[0] == ".":
            raise InputError(f"{model!r} is no name for a model", advice="use letters, digits and dashes")
        return self.root / model

    def variant(self, model: str, variant: str) -> Path:
        """Return the folder of one variant."""
        return self.folder(model) / variant

    def variants(self, model: str) -> list[str]:
        """Return the variants that are there, the reference first."""
        found = {path.name for path in self.folder(model).glob("*/") if (path / "tokenizer.json").is_file()}
        return sorted(
            found,
            key=lambda name: (
                name not in VARIANT_ORDER,
                VARIANT_ORDER.index(name) if name in VARIANT_ORDER else 0,
                name,
            ),
        )

    def files(self, model: str, variant: str) -> dict[str, Path]:
        """Return the files of a variant: name -> path.

        Raises:
            InputError: the variant is not there.
        """
        folder = self.variant(model, variant)
        found = {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}
        if not found:
            raise InputError(f"{folder}: no such variant", advice=f"hybrid model quantize {model} --variant {variant}")
        return found

    def manifest(self, model: str) -> Path:
        """Return where the Model manifest of `model` stands."""
        return self.folder(model) / "model.yaml"

    def models(self) -> list[str]:
        """Return the names of the models in the workshop."""
        return sorted(path.parent.name for path in self.root.glob("*/source.json"))

    def source(self, model: str) -> Source:
        """Read what `model` was made from; raises InputError when it was never exported."""
        path = self.folder(model) / "source.json"
        if not path.is_file():
            raise InputError(f"{path}: no such model in the workshop", advice=f"hybrid model export … --name {model}")
        return Source(**json.loads(path.read_text("utf-8")))

    def write_source(self, source: Source) -> None:
        """Record what a model was made from."""
        write_text(self.folder(source.model) / "source.json", json.dumps(asdict(source), indent=2) + "\n")

    def evaluation(self, model: str) -> dict[str, Any]:
        """Read what was measured last; raises InputError when nothing was."""
        path = self.folder(model) / "evaluation.json"
        if not path.is_file():
            raise InputError(f"{path}: {model} is not evaluated", advice=f"hybrid model evaluate {model}")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes `folder`'s place when the body succeeds, and vanishes when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        shutil.rmtree(folder, ignore_errors=True)
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to a neighbour of `path` and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def digest_of_folder(folder: Path) -> str:
    """Return `sha256:…` over the names and digests of every file under `folder`, in order of name."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{digest}  {path.relative_to(folder).as_posix()}\n".encode())
    return f"sha256:{total.hexdigest()}"
