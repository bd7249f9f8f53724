"""Reading a log and believing nothing: every leaf, root and signature is derived again, and what is wrong is named.

One pass over the records in bounded memory. The result is a value; what to think of it is the caller's affair.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hybrid.errors import EvidenceError, InputError
from hybrid.evidence import commitment, merkle, note, record, segments
from hybrid.evidence.log import RESERVE
from hybrid.evidence.recovery import CHECKPOINTS, LEAVES, VERIFIER_KEY, read_leaves, read_notes

MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `index` is the record it concerns, None when it concerns none."""

    index: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What one reading of a log showed.

    Attributes:
        pinned: the key came from elsewhere; False means the log vouches for itself, which proves only its wholeness.
        unsigned: records after the last checkpoint, which could still be rewritten unseen.
        findings: the first is the first record that is wrong; at most `MOST_FINDINGS`.
    """

    origin: str
    verifier_key: str
    pinned: bool
    size: int = 0
    signed: int = 0
    checkpoints: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def unsigned(self) -> int:
        """Return how many records no checkpoint covers yet."""
        return self.size - self.signed

    @property
    def holds(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.findings


def verify_log(directory: Path, expected: str | None = None) -> Audit:
    """Read the log in `directory` and say what holds; `expected` is the verifier key it must be signed with.

    Raises EvidenceError when there is no log there, or its key is not the expected one: nothing else then counts.
    """
    own = read_verifier_key(directory)
    if expected is not None and expected.strip() != own.strip():
        raise EvidenceError(
            f"{directory}: the log is signed with another key than expected (it says {own.strip()})",
            advice="ask the site's custodian which log key was enrolled; do not use this evidence",
        )
    name, public = note.parse_verifier_key(own)
    reading = _Reading(directory)
    checkpoints = reading.checkpoints(name, public)
    reading.records(checkpoints)
    reading.side_files()
    ordered = sorted(reading.findings, key=lambda finding: (finding.index is None, finding.index or 0))
    return Audit(
        name, own.strip(), expected is not None, reading.size, checkpoints[-1].size if checkpoints else 0,
        len(checkpoints), checkpoints[0].at if checkpoints else None, checkpoints[-1].at if checkpoints else None,
        dict(sorted(reading.kinds.items())), reading.erased, tuple(ordered[:MOST_FINDINGS]),
    )  # fmt: skip


def read_verifier_key(directory: Path) -> str:
    """Return the verifier key a log directory states. Raises EvidenceError when there is none or it is damaged."""
    path = directory / VERIFIER_KEY
    if not path.is_file():
        raise EvidenceError(f"{directory}: no evidence log here ({VERIFIER_KEY} is missing)")
    text = path.read_bytes().decode("utf-8", "replace")
    name, public = note.parse_verifier_key(text)
    if text != note.verifier_key(name, public) + "\n":
        raise EvidenceError(f"{path}: not a verifier key on one line")
    return text


class _Reading:
    """One pass over one log, gathering findings."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.findings: list[Finding] = []
        self.kinds: Counter[str] = Counter()
        self.size = self.erased = 0

    def checkpoints(self, name: str, public: Ed25519PublicKey) -> list[note.Checkpoint]:
        """Return the checkpoints whose signatures hold, in order; sizes and times must not go back."""
        good: list[note.Checkpoint] = []
        for number, text in enumerate(self._notes()):
            try:
                checkpoint = note.verify(text, name, public)
            except EvidenceError as error:
                self._wrong(None, f"checkpoint {number}: {error}")
                continue
            if good and (checkpoint.size < good[-1].size or checkpoint.at < good[-1].at):
                self._wrong(None, f"checkpoint {number}: goes back from size {good[-1].size} at {good[-1].at}")
            good.append(checkpoint)
        return good

    def records(self, checkpoints: list[note.Checkpoint]) -> None:
        """Walk records and leaves side by side and hold every checkpoint's root against them."""
        roots = {size: list(group) for size, group in itertools.groupby(checkpoints, key=lambda c: c.size)}
        tree, previous, empty, named = merkle.Frontier(), 0, set[int](), set[int]()
        for index, line, leaf in self._pairs():
            self._record(index, line, leaf, empty, named)
            if leaf is not None:
                tree.append(merkle.leaf_hash(leaf))
            for checkpoint in roots.pop(tree.size, []) if tree.size == index + 1 else []:
                if checkpoint.root != tree.root():
                    self._wrong(None, f"records {previous} to {index} do not lead to the checkpoint of {checkpoint.at}")
                previous = checkpoint.size
        self.size = tree.size
        self.erased = len(empty)
        if self.size and not checkpoints:
            self._wrong(
                None, f"no checkpoint is left of a log of {self.size} records; a log signs its head as it begins"
            )
        for index in sorted(empty - named):
            self._wrong(index, f"record {index} was removed and no erasure record names it")
        if beyond := [size for size in roots if size > tree.size]:
            self._wrong(
                tree.size, f"record {tree.size} is missing: {max(beyond)} records were signed, {tree.size} are left"
            )

    def side_files(self) -> None:
        """Look at what is no evidence itself: the keys of bodies, the reserve."""
        for problem in commitment.damaged_keys(self.directory):
            self._wrong(None, problem)
        reserve = self.directory / RESERVE
        if reserve.exists() and any(reserve.read_bytes()):
            self._wrong(None, f"{RESERVE}: holds something, but is kept empty")
        leaves = self.directory / LEAVES
        if leaves.exists() and leaves.stat().st_size % merkle.HASH_BYTES:
            self._wrong(None, f"{LEAVES}: the last leaf is not whole")

    def _notes(self) -> list[str]:
        try:
            return read_notes(self.directory)
        except EvidenceError as error:
            self._wrong(None, f"{CHECKPOINTS}: {error}")
            return []

    def _pairs(self) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Yield (index, line or None, leaf or None) until both are used up."""
        lines = self._lines()
        for index, (line, leaf) in enumerate(itertools.zip_longest(lines, read_leaves(self.directory))):
            yield index, line, leaf

    def _lines(self) -> Iterator[bytes]:
        try:
            for _, line in segments.read_records(self.directory):
                yield line
        except (EvidenceError, FileNotFoundError) as error:
            self._wrong(None, str(error))

    def _record(self, index: int, line: bytes | None, leaf: bytes | None, empty: set[int], named: set[int]) -> None:
        """Judge one record against its leaf; gather erased lines and the indices that erasures name."""
        if line is None:
            self._wrong(index, f"record {index} is missing (its leaf is there)")
        elif leaf is None:
            self._wrong(
                index, f"record {index} has no leaf (a writer that was killed mends this when it opens the log)"
            )
        elif line == b"\n":
            empty.add(index)
        elif record.digest(line[:-1]) != leaf or line[-1:] != b"\n":
            self._wrong(index, f"record {index} is altered: it does not match its leaf{_moved(index, line)}")
        else:
            entry = _entry(line[:-1])
            if problem := form_problem(entry, line[:-1]):
                self._wrong(index, f"record {index} is signed and not of a record's form: {problem}")
                return
            self.kinds[entry["kind"]] += 1
            if entry["index"] != index:
                self._wrong(index, f"record {index} is out of order: it was written as record {entry['index']}")
            if entry["kind"] == "erasure":
                named.update(entry["erased"])

    def _wrong(self, index: int | None, problem: str) -> None:
        if len(self.findings) < 50 * MOST_FINDINGS:
            self.findings.append(Finding(index, problem))


def _entry(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def form_problem(entry: Any, line: bytes | None = None) -> str:
    """Return what makes `entry` no record, or `line` not its one canonical form; nothing when it is one.

    Whoever holds a log's key can sign anything: what is signed is not therefore a record.
    """
    if not isinstance(entry, dict):
        return "no JSON object"
    own = {name: value for name, value in entry.items() if name not in ("index", "salt")}
    whole = type(entry.get("index")) is int and isinstance(entry.get("salt"), str) and "at" in own
    erased = "erased" in own if own.get("kind") == "erasure" else True
    if not whole or not erased:
        return "index, salt, at or erased is missing"
    try:
        record.check(own)
        return "" if line is None or record.canonical(entry) == line else "not in its canonical form"
    except (InputError, TypeError, ValueError) as error:
        return str(error)


def _moved(index: int, line: bytes) -> str:
    """Return a remark when a line says that it belongs elsewhere."""
    try:
        own = json.loads(line)["index"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" (it was written as record {own})" if own != index else ""
