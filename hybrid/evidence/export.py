"""Evidence bundles: what leaves a site so that others can check it, with proofs, without bodies and without keys.

A bundle is three files, in a folder or one tar, the same bytes for the same log: `manifest.json`, `checkpoints.jsonl`
(each note with the consistency proof from the one before) and `records.jsonl` (each record's exact bytes, or null
where erased, its leaf, and its inclusion proof under the last checkpoint). Sending one is a `log` flow of its own.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hybrid.errors import EvidenceError
from hybrid.evidence import merkle, note, segments
from hybrid.evidence.audit import Audit, verify_log
from hybrid.evidence.recovery import read_leaves, read_notes

FORMAT = "hybrid-evidence/1"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: where, how many records under the last checkpoint, how many were not signed and stay."""

    path: Path
    origin: str
    size: int
    unsigned: int
    digest: str


def export(directory: Path, out: Path, expected: str | None = None) -> Exported:
    """Verify the log in `directory` and write its evidence bundle to `out`, a tar when it ends in `.tar`.

    Raises EvidenceError when the log does not hold, or nothing of it is signed.
    """
    audit = verify_log(directory, expected)
    if not audit.holds:
        raise EvidenceError(
            f"{directory}: {audit.findings[0].problem}",
            advice="see `hybrid audit verify`; what does not hold is not exported",
        )
    if not audit.signed:
        raise EvidenceError(f"{directory}: nothing is signed yet", advice="let the service sign a checkpoint first")
    notes = read_notes(directory)
    tree = merkle.Tree(map(merkle.leaf_hash, itertools.islice(read_leaves(directory), audit.signed)))
    files = {
        "checkpoints.jsonl": b"".join(_checkpoint_lines(notes, tree)),
        "records.jsonl": b"".join(_record_lines(directory, tree)),
    }
    files = {"manifest.json": _manifest(audit, tree, files), **files}
    write = _write_tar if out.suffix == ".tar" else _write_folder
    write(out, files)
    return Exported(out, audit.origin, audit.signed, audit.unsigned, _digest(files["manifest.json"]))


def _manifest(audit: Audit, tree: merkle.Tree, files: dict[str, bytes]) -> bytes:
    return _line({
        "format": FORMAT, "origin": audit.origin, "verifierKey": audit.verifier_key, "size": audit.signed,
        "root": _text(tree.root()), "unsigned": audit.unsigned,
        "files": {name: _digest(data) for name, data in files.items()},
    })  # fmt: skip


def _checkpoint_lines(notes: Iterable[str], tree: merkle.Tree) -> Iterator[bytes]:
    before = 0
    for text in notes:
        size = note.parse(text.partition("\n\n")[0] + "\n").size
        yield _line({"note": text, "consistency": [_text(node) for node in tree.consistency(before, size)]})
        before = size


def _record_lines(directory: Path, tree: merkle.Tree) -> Iterator[bytes]:
    pairs = zip(segments.read_records(directory), read_leaves(directory), strict=False)
    for (index, line), leaf in itertools.islice(pairs, tree.size):
        text = line[:-1].decode() or None
        proof = [_text(node) for node in tree.inclusion(index)]
        yield _line({"index": index, "leaf": _text(leaf), "record": text, "proof": proof})


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _digest(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()


def _write_folder(out: Path, files: dict[str, bytes]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        part = out / f"{name}.part"
        part.write_bytes(data)
        os.replace(part, out / name)


def _write_tar(out: Path, files: dict[str, bytes]) -> None:
    part = out.with_name(out.name + ".part")
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    os.replace(part, out)
