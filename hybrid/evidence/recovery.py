"""What a log directory holds after a crash: the whole records, their leaves, and the head that was last signed.

Anything promised is there or the log refuses. A torn last record or checkpoint is cut off (its writer was never told
that it stands); a leaf that is missing or zeroed is derived from its record again; everything else that does not fit
is somebody's doing and is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hybrid.errors import EvidenceError
from hybrid.evidence import merkle, note, record, segments

LEAVES, CHECKPOINTS, VERIFIER_KEY = "leaves", "checkpoints", "log.vkey"
RESTORE = "keep the directory as it is for an investigation; restore the site's evidence from its last export"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A mended directory: `signed` records stand under the last checkpoint, `size` in all; `new` has no checkpoint."""

    directory: Path
    size: int
    signed: int
    new: bool

    @property
    def leaf_hashes(self) -> Iterator[bytes]:
        """Read the leaf hashes, from the first."""
        return map(merkle.leaf_hash, read_leaves(self.directory))


def recover(directory: Path, origin: str, public: Ed25519PublicKey, head: tuple[int, bytes] | None) -> Recovered:
    """Mend `directory` and return what it holds; `head` is a size and root remembered elsewhere.

    Raises EvidenceError when the log is shorter than what was signed, or does not lead to it.
    """
    last = _last_checkpoint(directory, origin, public)
    if last is None and segments.cut_torn_tail(directory):
        raise EvidenceError(
            f"{directory}: records, and no checkpoint: a log signs its head as it begins", advice=RESTORE
        )
    heads = [(last.size, last.root)] if last else []
    heads += [head] if head else []
    signed = max((size for size, _ in heads), default=0)
    size = _mend_leaves(directory, segments.cut_torn_tail(directory), signed)
    if size < signed:
        raise EvidenceError(f"{directory}: the log holds {size} records, but {signed} were signed", advice=RESTORE)
    _hold_heads(directory, heads)
    return Recovered(directory, size, last.size if last else 0, last is None)


def read_leaves(directory: Path) -> Iterator[bytes]:
    """Yield the 32-byte data of every leaf, in order; a torn last one is left out."""
    path = directory / LEAVES
    if not path.exists():
        return
    with open(path, "rb") as file:
        while block := file.read(merkle.HASH_BYTES * 2048):
            whole = len(block) - len(block) % merkle.HASH_BYTES
            yield from (block[at : at + merkle.HASH_BYTES] for at in range(0, whole, merkle.HASH_BYTES))


def read_notes(directory: Path) -> list[str]:
    """Return the signed notes of the log, the oldest first. Raises EvidenceError when the last one is torn."""
    path = directory / CHECKPOINTS
    text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
    if text and not text.endswith("\n\n"):
        raise EvidenceError("the last checkpoint is not whole")
    parts = text.removesuffix("\n\n").split("\n\n") if text else []
    if len(parts) % 2:
        raise EvidenceError("the checkpoints are not notes: a text without signatures")
    return [f"{text}\n\n{signatures}\n" for text, signatures in zip(parts[::2], parts[1::2], strict=True)]


def _last_checkpoint(directory: Path, origin: str, public: Ed25519PublicKey) -> note.Checkpoint | None:
    """Cut a torn checkpoint off and return the last whole one, verified."""
    path = directory / CHECKPOINTS
    if path.exists():
        raw = path.read_bytes()
        whole = raw if raw.endswith(b"\n\n") else raw[: raw.rfind(b"\n\n") + 2] if b"\n\n" in raw else b""
        if whole.count(b"\n\n") % 2:
            whole = whole[: whole.rfind(b"\n\n", 0, -2) + 2] if whole.count(b"\n\n") > 1 else b""
        if whole != raw:
            os.truncate(path, len(whole))
    notes = read_notes(directory)
    return note.verify(notes[-1], origin, public) if notes else None


def _mend_leaves(directory: Path, records: int, signed: int) -> int:
    """Make the leaves agree with the whole records and return their number.

    The last segment's digests are compared (the rest is `hybrid audit verify`'s work): a leaf that is missing or zero
    is written again, one without a record was never promised and goes, a different one refuses.
    """
    path = directory / LEAVES
    path.touch(mode=0o640)
    leaves = path.stat().st_size // merkle.HASH_BYTES
    if records < signed:
        return records
    os.truncate(path, min(leaves, records) * merkle.HASH_BYTES)
    begin = min(leaves, records - 1 if records else 0)
    with open(path, "r+b") as file:
        for index, line in segments.read_records(directory, begin):
            file.seek(index * merkle.HASH_BYTES)
            have = file.read(merkle.HASH_BYTES)
            if line == b"\n" and any(have):
                continue
            data = record.digest(line.removesuffix(b"\n"))
            if (have != data and any(have)) or (have != data and line == b"\n"):
                raise EvidenceError(
                    f"{directory}: record {index} is not the one whose leaf stands in the log", advice=RESTORE
                )
            if have != data:
                file.seek(index * merkle.HASH_BYTES)
                file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return records


def _hold_heads(directory: Path, heads: list[tuple[int, bytes]]) -> None:
    """Raise EvidenceError unless the leaves lead to every remembered head."""
    wanted: dict[int, set[bytes]] = {}
    for size, root in heads:
        wanted.setdefault(size, set()).add(root)
    tree = merkle.Frontier()
    for data in read_leaves(directory):
        if tree.size in wanted and wanted.pop(tree.size) != {tree.root()}:
            break
        if not wanted:
            return
        tree.append(merkle.leaf_hash(data))
    if any(roots != {tree.root()} or size != tree.size for size, roots in wanted.items()):
        raise EvidenceError(f"{directory}: the leaves do not lead to the signed head", advice=RESTORE)
