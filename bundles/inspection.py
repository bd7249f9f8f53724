"""Shows what a medium says it holds, through the strict reader, and believes none of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bundles import layout, oci
from bundles.document import read
from bundles.medium import Medium
from bundles.verification import MANIFEST_CAP


@dataclass
class Seen:
    """What a medium says: tags, files by the path they claim, names of its TUF files, bytes of all blobs."""

    tags: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    tuf: list[str] = field(default_factory=list)
    size: int = 0


def look(folder: Path) -> Seen:
    """Return what the medium in `folder` says; nothing of it is verified.

    Raises:
        MediumError: it is no bundle, or holds what no bundle holds.
    """
    seen = Seen()
    with Medium(folder) as medium:
        seen.size = sum(medium.survey().values())
        index = read(oci.Index, medium.read("index.json", MANIFEST_CAP), what="index.json")
        for entry in index.manifests:
            tag = oci.tag_of(entry)
            seen.tags.append(tag)
            manifest = read(oci.Manifest, medium.blob(entry.digest, MANIFEST_CAP), what=tag, cap=MANIFEST_CAP)
            for blob in manifest.layers:
                if blob.path:
                    seen.files[f"{tag.split('.')[0]}: {blob.path}"] = blob.size
                elif tag == layout.TUF_TAG:
                    seen.tuf.append((blob.annotations or {}).get(layout.TITLE_ANNOTATION, "?"))
    return seen
