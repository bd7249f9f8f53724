"""Collects the blobs of a carrier under construction, each under its digest, hashed while it is copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bundles import layout, oci
from bundles.store import CHUNK, Hashing


@dataclass
class Blobs:
    """The blobs of a carrier under construction."""

    folder: Path
    sha384: bool
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, data: bytes, media_type: str, **annotations: str) -> oci.Descriptor:
        """Put a document in and return its descriptor."""
        blob = oci.describe(data, media_type, **annotations)
        if blob.digest not in self.sizes:
            self._path(blob.digest).write_bytes(data)
            self.sizes[blob.digest] = blob.size
        return blob

    def copy(self, source: Path, media_type: str, advance: Callable[[float], None] | None) -> oci.Descriptor:
        """Copy a file in, hashing on the way; with SHA-384 too where the profile asks for it."""
        sha, size, temp = Hashing("" if self.sha384 else None), 0, self.folder / ".copy"
        with source.open("rb") as file, temp.open("wb") as target:
            while piece := file.read(CHUNK):
                sha.update(piece)
                target.write(piece)
                size += len(piece)
                if advance:
                    advance(len(piece))
        more = {layout.SHA384_ANNOTATION: sha.sha384} if self.sha384 else None
        blob = oci.Descriptor(media_type=media_type, digest=sha.digest, size=size, annotations=more)
        temp.rename(self._path(blob.digest))
        self.sizes[blob.digest] = size
        return blob

    def remove(self, name: str) -> None:
        """Take a blob out again, which the site has or makes."""
        self._path(name).unlink()
        del self.sizes[name]

    def read(self, name: str) -> bytes:
        """Return a small blob that was added."""
        return self._path(name).read_bytes()

    def _path(self, name: str) -> Path:
        return self.folder / name.removeprefix("sha256:")
