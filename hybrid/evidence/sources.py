"""Evidence as the report reads it: a log directory at hand, or a bundle that travelled, each verified before use.

What does not verify is kept as a source with a `problem` and no records: it is listed, and nothing rests on it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import EvidenceError, InputError
from hybrid.evidence import note, segments, verifier
from hybrid.evidence.audit import form_problem, read_verifier_key, verify_log
from hybrid.evidence.recovery import VERIFIER_KEY, read_notes

Record = dict[str, Any]
Records = Callable[[], Iterator[tuple[int, Record | None]]]


@dataclass(frozen=True, slots=True)
class Source:
    """One site's evidence up to its last checkpoint.

    Attributes:
        imported: it came as a bundle; that is never a local observation.
        pinned: its key was given from elsewhere.
        size: records under the last checkpoint; `unsigned` more stand after it and are not evidence.
        root: of the last checkpoint, base64.
        days: on which the log signed a head, so that a quiet day is told from a silent one.
        problem: why it is not believed; empty when it holds.
        records: reads (index, record) anew on every call; None stands for one that was erased.
    """

    site: str
    origin: str
    verifier_key: str
    pinned: bool
    imported: bool
    size: int
    unsigned: int
    root: str
    days: frozenset[dt.date]
    problem: str
    records: Records

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of the source."""
        return {
            "site": self.site, "origin": self.origin, "verifierKey": self.verifier_key, "pinned": self.pinned,
            "imported": self.imported, "size": self.size, "unsigned": self.unsigned, "root": self.root,
            "problem": self.problem,
        }  # fmt: skip


def read_sources(paths: list[Path], pins: Mapping[str, str]) -> list[Source]:
    """Return every source at `paths`, by site: log directories, bundles, or folders with bundles directly inside.

    `pins` maps a site to the verifier key of its log. Raises InputError when a path holds no evidence, or two sources
    are of one site.
    """
    found = [source for path in paths for source in _read_place(path, pins)]
    sites = [source.site for source in found]
    if twice := sorted({site for site in sites if sites.count(site) > 1}):
        raise InputError(f"two sources of evidence for {', '.join(twice)}", advice="give one for each site")
    return sorted(found, key=lambda source: source.site)


def pins_of(site_plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the log keys that a site plan's registry admits, as verifier keys by site; a log's origin is its site.

    The newest key of a site counts. Raises KeyError, TypeError or ValueError when this is no site plan.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    pins = {}
    for entry in sorted(site_plan["keys"], key=lambda entry: str(entry["from"])):
        if entry["use"] == "log":
            public = load_pem_public_key(entry["publicKey"].encode())
            if not isinstance(public, Ed25519PublicKey):
                raise ValueError(f"the log key of {entry['site']} is not Ed25519")
            pins[entry["site"]] = note.verifier_key(entry["site"], public)
    return pins


def _read_place(path: Path, pins: Mapping[str, str]) -> Iterator[Source]:
    if (path / VERIFIER_KEY).is_file():
        yield _of_log(path, pins)
        return
    for place in verifier.find_bundles(path):
        if (place.suffix != ".tar" and not place.is_dir()) or not place.exists():
            raise InputError(f"{place}: no evidence here", advice="give a log directory or what `audit export` wrote")
        yield _of_bundle(place, pins)


def _of_log(directory: Path, pins: Mapping[str, str]) -> Source:
    own = read_verifier_key(directory).strip()
    origin = own.split("+")[0]
    site = origin.split("/")[0]
    try:
        audit = verify_log(directory, pins.get(site))
        problem = audit.findings[0].problem if audit.findings else "" if audit.signed else "nothing is signed"
    except EvidenceError as error:
        problem = str(error)
    if problem:
        return _unbelieved(site, origin, own, problem, imported=False)
    heads = [note.parse(text.partition("\n\n")[0] + "\n") for text in read_notes(directory)]
    return Source(
        site, origin, own, audit.pinned, False, audit.signed, audit.unsigned, b64encode(heads[-1].root).decode(),
        frozenset(head.at.date() for head in heads), "", _reader(directory, audit.signed),
    )  # fmt: skip


def _reader(directory: Path, size: int) -> Records:
    def read() -> Iterator[tuple[int, Record | None]]:
        for index, line in itertools.islice(segments.read_records(directory), size):
            yield index, json.loads(line) if line != b"\n" else None

    return read


def _of_bundle(path: Path, pins: Mapping[str, str]) -> Source:
    try:
        bundle = verifier.open_bundle(path, dict(pins))
    except verifier.Refused as error:
        return _unbelieved(path.stem, path.stem, "", str(error), imported=True)
    head = bundle.heads[-1]
    for index, record in enumerate(bundle.records):
        if record is not None and (problem := form_problem(record)):
            return _unbelieved(bundle.site, bundle.origin, bundle.key, f"record {index}: {problem}", imported=True)
    return Source(
        bundle.site, bundle.origin, bundle.key, bundle.site in pins, True, head.size, bundle.unsigned,
        b64encode(head.root).decode(), frozenset(head.at.date() for head in bundle.heads), "",
        lambda: enumerate(bundle.records),
    )  # fmt: skip


def _unbelieved(site: str, origin: str, key: str, problem: str, *, imported: bool) -> Source:
    return Source(site, origin, key, False, imported, 0, 0, "", frozenset(), problem, lambda: iter(()))
