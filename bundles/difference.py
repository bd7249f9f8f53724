"""Tells what a bundle would change at a site: files new, changed, unchanged and gone, and the bytes to copy.

A site is known by its box, by the record of one of its releases, or by the bundle it was given before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles.document import read
from bundles.errors import InputError
from bundles.inspection import look
from bundles.layout import Box
from bundles.nouns import ReleaseRecord
from bundles.release import current_number
from bundles.store import Store
from bundles.verification import MANIFEST_CAP


@dataclass(frozen=True)
class Known:
    """What a site has: logical path -> digest, every blob it keeps; `box` where it can be asked itself."""

    what: str
    files: Mapping[str, str]
    blobs: frozenset[str]
    box: Box | None = None

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is there."""
        return Store(self.box).has(digest, size) if self.box else digest in self.blobs


@dataclass(frozen=True)
class Difference:
    """What a bundle changes, by logical path; `bytes_to_copy` counts each blob once."""

    against: str
    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    blobs_to_copy: int
    bytes_to_copy: int


def known_at(place: Path) -> Known:
    """Return what is known at `place`: a box's folder, a `release.json`, or a bundle (folder or `.tar`).

    Raises:
        InputError: it is none of these.
    """
    box = Box(place)
    if box.releases.is_dir() or box.trust.is_dir():
        number = current_number(box)
        found = _recorded(box.release(number)) if number is not None else Known("", {}, frozenset())
        return Known(f"release {number}" if number is not None else "an empty box", found.files, found.blobs, box)
    if place.is_dir() or place.suffix == ".tar":
        seen = look(place)
        files = {path: digest for path, (digest, _) in seen.files.items()}
        return Known(f"bundle {place.name}", files, frozenset(files.values()))
    if not place.is_file():
        raise InputError("AGAINST", f"{place} is no box, release record or bundle", advice="name one of these")
    return _recorded(place)


def difference(files: Mapping[str, tuple[str, int]], known: Known, besides: Mapping[str, int]) -> Difference:
    """Return what `files` (logical path -> digest, bytes) and the documents `besides` change where `known` is."""
    both = set(files) & set(known.files)
    same = {path for path in both if files[path][0] == known.files[path]}
    blobs = {**dict(files.values()), **besides}
    missing = {name: size for name, size in blobs.items() if not known.has(name, size)}
    return Difference(
        known.what, tuple(sorted(set(files) - both)), tuple(sorted(both - same)), tuple(sorted(same)),
        tuple(sorted(set(known.files) - both)), len(missing), sum(missing.values()),
    )  # fmt: skip


def _recorded(file: Path) -> Known:
    record = read(ReleaseRecord, file.read_bytes(), what=str(file), cap=MANIFEST_CAP)
    files = {path: one.digest for path, one in {**record.files, **record.wheels}.items()}
    documents = {record.site_plan.digest, record.bill.digest, record.bundle_digest}
    return Known(f"release {record.number} of {record.site}", files, frozenset({*files.values(), *documents}))
