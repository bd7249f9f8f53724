"""Remembers at headquarters every bundle that was finished, so that a receipt is held against what was sent."""

from __future__ import annotations

from pathlib import Path

from bundles.document import Noun, canonical, read
from bundles.nouns import BundleManifest, Moment, SiteName
from bundles.oci import Digest
from bundles.store import write_durably


class Shipped(Noun):
    """A finished bundle, by the three names that its receipt says again."""

    site: SiteName
    release: int
    bundle_digest: Digest
    nonce: str
    issued: Moment


def remember(repository: Path, manifest: BundleManifest, digest: str) -> None:
    """Keep the bundle in the trust repository's folder, before its carrier is written."""
    made = Shipped(site=manifest.site, release=manifest.number, bundle_digest=digest, nonce=manifest.nonce,
                   issued=manifest.issued)  # fmt: skip
    write_durably(repository / "builds" / made.site / f"{made.release}.json", canonical(made))


def shipped(repository: Path) -> dict[str, Shipped]:
    """Return nonce -> bundle of everything that was finished here."""
    files = sorted((repository / "builds").glob("*/*.json"))
    return {found.nonce: found for found in (read(Shipped, file.read_bytes(), what=str(file)) for file in files)}
