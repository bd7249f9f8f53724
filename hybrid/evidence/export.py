"""Evidence bundles: what leaves a site so that others can check it, with proofs, without bodies and without keys.

A bundle is three files, in a folder or one tar, the same bytes for the same log: `manifest.json`, `checkpoints.jsonl`
(each note with the consistency proof from the one before) and `records.jsonl` (each record's exact bytes, or null
where erased, its leaf, and its inclusion proof under the last checkpoint). Sending one is a `log` flow of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
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
from hybrid.evidence.verifier import FILES

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
    tree = merkle.Tree(map(merkle.leaf_hash, itertools.islice(read_leaves(directory), audit.signed)))
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        files = {
            "checkpoints.jsonl": _write(part / "checkpoints.jsonl", _checkpoint_lines(read_notes(directory), tree)),
            "records.jsonl": _write(part / "records.jsonl", _record_lines(directory, tree)),
        }
        digest = _write(part / "manifest.json", [_manifest(audit, tree, files)])
        (_as_tar if out.suffix == ".tar" else _as_folder)(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(out, audit.origin, audit.signed, audit.unsigned, digest)


def _manifest(audit: Audit, tree: merkle.Tree, files: dict[str, str]) -> bytes:
    return _line({
        "format": FORMAT, "origin": audit.origin, "verifierKey": audit.verifier_key, "size": audit.signed,
        "root": _text(tree.root()), "unsigned": audit.unsigned,
        "files": files,
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


def _write(path: Path, lines: Iterable[bytes]) -> str:
    """Write lines to a file and return its digest."""
    digest = sha256()
    with open(path, "wb") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
    return "sha256:" + digest.hexdigest()


def _as_folder(part: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        os.replace(part / name, out / name)


def _as_tar(part: Path, out: Path) -> None:
    """Pack the files with nothing of this machine or moment in their headers."""
    packed = part / "packed"
    with tarfile.open(packed, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in FILES:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = (part / name).stat().st_size, 0o644
            with open(part / name, "rb") as file:
                tar.addfile(entry, file)
    os.replace(packed, out)
