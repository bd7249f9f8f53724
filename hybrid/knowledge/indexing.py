"""Makes an index at the site, from documents and the release's own embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import InputError
from hybrid.knowledge.passages import cut
from hybrid.knowledge.store import Head, Index, digest_of, read_index, write_index

if TYPE_CHECKING:
    from hybrid.gateway.engines import Files

MAX_DOCUMENT_BYTES = 4 << 20
SUFFIXES = {".md", ".txt"}


@dataclass(frozen=True)
class Listed:
    """One line of `hybrid knowledge list`."""

    name: str
    documents: int
    passages: int
    embedder: str
    label: tuple[dict[str, Any], ...]
    bytes: int


def documents_in(folder: Path) -> dict[str, str]:
    """Read the markdown and text files under `folder`: path below it -> content.

    Raises:
        InputError: the folder is missing or holds none, or a file is too large or not UTF-8.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of documents", advice="name a folder of .md or .txt files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder}: no .md or .txt file in it", advice="name a folder of .md or .txt files")
    return {path.relative_to(folder).as_posix(): _read(path) for path in paths}


def documents_of(release: Files, name: str) -> dict[str, str]:
    """Read the documents that a release carries for the Knowledge `name`; empty when it carries none."""
    start = f"knowledge/{name}/"
    found = {path.removeprefix(start): blob for path, blob in release.files.items() if path.startswith(start)}
    return {path: _read(blob) for path, blob in sorted(found.items()) if Path(path).suffix in SUFFIXES}


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise InputError(f"{path}: larger than {MAX_DOCUMENT_BYTES >> 20} MiB", advice="split the document")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start})", advice="convert it"
        ) from error


def build_index(
    release: Files,
    name: str,
    documents: Mapping[str, str],
    *,
    knowledge: Path,
    model: str,
    variant: str,
    label: Sequence[Mapping[str, Any]] = (),
    advance: Callable[[float], None] = lambda units: None,
) -> Index:
    """Cut and embed `documents` and write `KNOWLEDGE/NAME.index`, replacing what was there.

    Args:
        release: where the embedder's files come from.
        name: the Knowledge's name.
        documents: path -> text.
        knowledge: the site's folder of indexes.
        model: the embedder's name.
        variant: its variant; w8 gives the same vector wherever it runs.
        label: the atoms of the store, as the plan states them; empty means unlabelled, which is most restrictive.
        advance: called with 1.0 after each passage, for a progress bar.

    Raises:
        InputError: the release lacks the embedder, or the documents hold no text.
    """
    import numpy as np

    from hybrid.gateway.engines import file_of
    from hybrid.gateway.engines.text import TextModel

    graph = file_of(release, model, variant, "model.onnx")
    embedder = TextModel.open(graph, file_of(release, model, variant, "tokenizer.json"))
    passages = tuple(passage for path, text in documents.items() for passage in cut(path, text))
    if not passages:
        raise InputError(f"the documents for {name} hold no text", advice="give it at least one paragraph")
    vectors = []
    for passage in passages:
        vectors.append(embedder.output(f"{passage.title}. {passage.text}"))
        advance(1.0)
    stacked = np.stack(vectors)
    atoms = tuple(dict(atom) for atom in label)
    index = Index(
        Head(name, atoms, model, variant, digest_of(graph), digests_of(documents), stacked.shape[1]), passages, stacked
    )
    write_index(knowledge / f"{name}.index", index)
    return index


def is_current(
    release: Files, name: str, *, knowledge: Path, model: str, variant: str, label: Sequence[Mapping[str, Any]]
) -> bool:
    """Return whether `KNOWLEDGE/NAME.index` was made from the release's documents, embedder and label as they are."""
    from hybrid.gateway.engines import file_of

    path = knowledge / f"{name}.index"
    if not path.is_file():
        return False
    head = read_index(path).head
    documents = digests_of(documents_of(release, name))
    embedder = digest_of(file_of(release, model, variant, "model.onnx"))
    return (head.documents, head.embedder, list(head.label)) == (documents, embedder, [dict(atom) for atom in label])


def digests_of(documents: Mapping[str, str]) -> dict[str, str]:
    """Return path -> `sha256:…` of each document's text."""
    return {path: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for path, text in documents.items()}


def list_indexes(knowledge: Path) -> list[Listed]:
    """Return what stands in the site's folder of indexes, by name; a damaged one raises EvidenceError."""
    listed = []
    for path in sorted(knowledge.glob("*.index")):
        head, passages = (index := read_index(path)).head, index.passages
        listed.append(
            Listed(
                head.name,
                len(head.documents),
                len(passages),
                f"{head.model}/{head.variant}",
                head.label,
                path.stat().st_size,
            )
        )
    return listed
