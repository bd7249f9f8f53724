"""One index is one file: what it was made from, its label, its passages and their vectors, sealed by a digest.

Layout: a magic line, one line of JSON (the head), the vectors as little-endian float32, and the SHA-256 of all that.
It is written beside its place, fsynced and renamed, so that a power cut leaves the old index or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import EvidenceError, InputError
from hybrid.knowledge.passages import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"hybrid-index/1\n"
SEAL_BYTES = 32
MAX_INDEX_BYTES = 2 << 30
AGAIN = "index the documents again with `hybrid knowledge add`"


@dataclass(frozen=True)
class Head:
    """What an index says about itself; `label` holds atoms as a plan does, and empty means unlabelled."""

    name: str
    label: tuple[dict[str, Any], ...]
    model: str
    variant: str
    embedder: str
    documents: dict[str, str]
    dimensions: int


@dataclass(frozen=True)
class Index:
    """An opened index: passages and their vectors, shape (passages, dimensions), each of length 1."""

    head: Head
    passages: tuple[Passage, ...]
    vectors: NDArray[np.float32]

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[tuple[Passage, float]]:
        """Return the `count` passages of highest cosine with `vector`, best first, ties by position."""
        import numpy as np

        scores = self.vectors @ vector
        order = np.argsort(-scores, kind="stable")[:count]
        return [(self.passages[at], float(scores[at])) for at in order]

    def require_embedder(self, model: Path) -> None:
        """Raise InputError unless the index was made with exactly the graph in `model`."""
        found, made = digest_of(model), self.head.embedder
        if found != made:
            raise InputError(
                f"the index {self.head.name} was made with another embedder ({made[:19]}…, not {found[:19]}…)",
                advice=AGAIN,
            )


def digest_of(path: Path) -> str:
    """Return `sha256:…` of a file, read once in pieces."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def write_index(path: Path, index: Index) -> None:
    """Write `index` to `path` in one step, readable by its owner alone."""
    head = asdict(index.head) | {"passages": [asdict(passage) for passage in index.passages]}
    line = json.dumps(head, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    content = MAGIC + line + index.vectors.astype("<f4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + hashlib.sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_index(path: Path) -> Index:
    """Open an index after its seal is verified.

    Raises:
        InputError: there is none at `path`.
        EvidenceError: its bytes do not match its seal, or it is no index.
    """
    import numpy as np

    if not path.is_file():
        raise InputError(f"{path}: no such index", advice=AGAIN)
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise EvidenceError(f"{path}: larger than an index may be", advice=AGAIN)
    data = path.read_bytes()
    content, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
    if not data.startswith(MAGIC) or hashlib.sha256(content).digest() != seal:
        raise EvidenceError(f"{path}: damaged, its digest does not match", advice=AGAIN)
    line, _, vectors = content[len(MAGIC) :].partition(b"\n")
    head = json.loads(line)
    passages = tuple(Passage(**passage) for passage in head.pop("passages"))
    told = Head(**{**head, "label": tuple(head["label"])})
    return Index(told, passages, np.frombuffer(vectors, dtype="<f4").reshape(len(passages), told.dimensions))
