"""Shows what a medium says it holds, through the strict reader; what was verified before is shown as verified.

Of a medium that nobody verified, only index, OCI manifests and TUF envelopes are read. The bill of materials and the
site plan are opened once they are known to be what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bundles import layout, oci
from bundles.document import digest, parse, read
from bundles.errors import TrustError
from bundles.medium import Medium
from bundles.parts import Part
from bundles.signers import RoleSeen, roles_of
from bundles.trust.reading import METADATA_CAP
from bundles.verification import MANIFEST_CAP, VerifiedBundle


@dataclass
class Seen:
    """What a medium says.

    Attributes:
        files: logical path -> (digest, bytes); `tuf` the names and bytes of its TUF files.
        size: bytes of all blobs; of a split bundle, on every part together. Of an update, `files` names those too that
            do not travel.
        bundle: digest of the bundle manifest.
    """

    tags: list[str] = field(default_factory=list)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    tuf: dict[str, bytes] = field(default_factory=dict)
    size: int = 0
    part: Part | None = None
    bundle: str = ""

    def roles(self, now: datetime) -> list[RoleSeen]:
        """Return who signed, as the medium itself has it."""
        return roles_of(self.tuf, now)


@dataclass(frozen=True)
class Bill:
    """What a bill of materials comes to: models as `name/variant`, libraries as `name version`, other parts."""

    digest: str
    models: tuple[str, ...]
    libraries: tuple[str, ...]
    others: int
    licences: tuple[str, ...]


def look(path: Path) -> Seen:
    """Return what the medium at `path` says; nothing of it is verified.

    Raises:
        MediumError: it is no bundle, or holds what no bundle holds.
    """
    seen = Seen()
    with Medium(path) as medium:
        seen.size = sum(medium.survey().values())
        seen.part = medium.part
        index = read(oci.Index, medium.read("index.json", MANIFEST_CAP), what="index.json")
        for entry in index.manifests:
            tag = oci.tag_of(entry)
            seen.tags.append(tag)
            manifest = read(oci.Manifest, medium.blob(entry.digest, MANIFEST_CAP), what=tag, cap=MANIFEST_CAP)
            if tag == layout.BUNDLE_TAG:
                seen.bundle = manifest.config.digest
            for blob in manifest.layers:
                _note(seen, medium, tag, blob)
    return seen


def _note(seen: Seen, medium: Medium, tag: str, blob: oci.Descriptor) -> None:
    title = (blob.annotations or {}).get(layout.TITLE_ANNOTATION, "?")
    if tag == layout.TUF_TAG:
        seen.tuf[title] = medium.blob(blob.digest, METADATA_CAP)
    elif tag == layout.BUNDLE_TAG and blob.media_type == oci.MANIFEST:  # a component that does not travel whole
        manifest = read(oci.Manifest, medium.blob(blob.digest, MANIFEST_CAP), what=title, cap=MANIFEST_CAP)
        seen.files |= {layout.logical_path(title, one.path): (one.digest, one.size) for one in manifest.layers}
    elif blob.path and tag != layout.BUNDLE_TAG:
        seen.files[_logical(tag, blob.path)] = (blob.digest, blob.size)


def verified_roles(bundle: VerifiedBundle, now: datetime) -> list[RoleSeen]:
    """Return who signed what verification has just accepted."""
    version = bundle.versions["root"]
    return roles_of({**bundle.metadata, f"{version}.root.json": bundle.root}, now)


def verified_files(bundle: VerifiedBundle) -> dict[str, tuple[str, int]]:
    """Return logical path -> (digest, bytes) of every file of the release."""
    return {path: (blob.digest, blob.size) for path, blob in sorted(bundle.files.items())}


def bill_in(bundle: VerifiedBundle) -> Bill:
    """Return the bill of a verified bundle, its bytes compared with what was signed and parsed after that.

    Raises:
        TrustError: the medium now holds other bytes.
    """
    named = bundle.manifest.bill
    data = bundle.medium.blob(named.digest, min(named.size, MANIFEST_CAP))
    if digest(data) != named.digest:
        raise TrustError("BLOB", "the bill has other bytes than were signed", advice="fetch the medium again")
    parts = parse(data, what="bill of materials", cap=MANIFEST_CAP)["components"]
    return Bill(
        named.digest, tuple(f"{part['name']}/{part['version']}" for part in _of_type(parts, "machine-learning-model")),
        tuple(f"{part['name']} {part['version']}" for part in _of_type(parts, "library")),
        sum(part["type"] in ("data", "file") for part in parts),
        tuple(sorted({_licence(choice) for part in parts for choice in part.get("licenses", ())})),
    )  # fmt: skip


def _of_type(parts: list[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [part for part in parts if part["type"] == kind]


def _licence(choice: Mapping[str, Any]) -> str:
    named = choice.get("license", {})
    return str(choice.get("expression") or named.get("id") or named.get("name") or "?")


def _logical(tag: str, path: str) -> str:
    """Return the logical path that a component tagged `tag` gives `path`, as far as an unsigned index can tell."""
    first = tag.split(".")[0]
    return layout.logical_path(f"{first}/{tag.rsplit('.', 1)[-1]}.json", path)
