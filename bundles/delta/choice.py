"""Chooses what an update bundle carries in full, what as a delta, and what the site keeps; at headquarters.

The earlier bundle says what the site has. A file whose bytes it has does not travel; a large file of the same path,
whose tensors can be told, travels as a delta if that is small enough; everything else travels in full.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from bundles import oci
from bundles.delta.encoding import encode
from bundles.delta.nouns import Base, Bytes, Delta
from bundles.delta.tensors import tensors_in
from bundles.document import canonical, digest
from bundles.errors import InputError
from bundles.inspection import Seen, look

LEAST = 64 * 1024
"""A file smaller than this travels in full: its delta would need as many documents."""


@dataclass(frozen=True)
class Earlier:
    """A bundle that the site was given before, in its folder."""

    folder: Path
    seen: Seen

    def blob(self, name: str) -> Path:
        """Return where its blob `name` lies, or would."""
        return self.folder / "blobs" / "sha256" / name.removeprefix("sha256:")

    def beside(self, path: str) -> dict[str, Path]:
        """Return the files in the folder of logical path `path`, by name, as far as this bundle carries them."""
        folder = path.rpartition("/")[0] + "/"
        return {
            other.removeprefix(folder): self.blob(name)
            for other, (name, _) in self.seen.files.items()
            if other.startswith(folder) and self.blob(name).is_file()
        }


@dataclass(frozen=True)
class Chosen:
    """What an update bundle is signed with, and the documents of its deltas."""

    base: Base
    documents: tuple[bytes, ...]


def earlier_bundle(folder: Path) -> Earlier:
    """Return the earlier bundle in `folder`.

    Raises:
        InputError: it is no folder, or not the whole of a bundle.
    """
    if not folder.is_dir():
        raise InputError("DELTA-FROM", f"{folder} is no folder", advice="name the folder of the bundle the site has")
    seen = look(folder)
    if seen.part is not None or not seen.bundle:
        raise InputError("DELTA-FROM", f"{folder} is not the whole of a bundle", advice="name the whole bundle")
    return Earlier(folder, seen)


def choose(
    earlier: Earlier, files: Mapping[str, oci.Descriptor], sources: Mapping[str, Path],
    keep_body: Callable[[Path], oci.Descriptor],
) -> Chosen:  # fmt: skip
    """Return what a bundle of `files` need not carry where `earlier` was installed.

    Args:
        files: logical path -> blob of the new release; `sources` where its bytes lie.
        keep_body: puts the body of a delta among the blobs of the carrier.
    """
    had = {name for name, _ in earlier.seen.files.values()}
    kept = sorted({blob.digest for blob in files.values()} & had)
    made: dict[str, Delta] = {}
    documents: list[bytes] = []
    for path, blob in sorted(files.items()):
        if blob.digest in had or blob.digest in made or blob.size < LEAST or path not in earlier.seen.files:
            continue
        if found := _delta(earlier, path, sources, keep_body):
            made[blob.digest] = found[0]
            documents.append(found[1])
    base = Base(bundle=earlier.seen.bundle, kept=tuple(kept), deltas=tuple(made.values()))
    return Chosen(base, tuple(documents))


def _delta(
    earlier: Earlier, path: str, sources: Mapping[str, Path], keep_body: Callable[[Path], oci.Descriptor]
) -> tuple[Delta, bytes] | None:
    """Return the delta of file `path` and its document; None where the full file is the better choice."""
    folder, _, name = path.rpartition("/")
    ours = {other.rpartition("/")[2]: file for other, file in sources.items() if other.rpartition("/")[0] == folder}
    theirs = earlier.beside(path)
    after, before = tensors_in(name, ours), tensors_in(name, theirs) if name in theirs else {}
    if not after or not before:
        return None
    with tempfile.NamedTemporaryFile(dir=sources[path].parent, prefix=".delta-") as body:
        document = encode(theirs[name], ours[name], before, after, cast("BinaryIO", body))
        if document is None:
            return None
        if document.base.digest != earlier.seen.files[path][0]:
            raise InputError("DELTA-FROM", f"{path} in {earlier.folder} is damaged", advice="name another copy of it")
        body.flush()
        blob = keep_body(Path(body.name))
    data = canonical(document)
    return Delta(base=document.base, result=document.result, document=Bytes(digest=digest(data), size=len(data)),
                 body=Bytes(digest=blob.digest, size=blob.size)), data  # fmt: skip
