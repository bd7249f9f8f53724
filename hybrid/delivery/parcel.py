"""The files of a bundle, hashed once, in the order in which a cut delivery can never look complete.

Blobs travel first and `index.json` last: until it arrives nothing at the far end points at a new blob.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import EvidenceError, InputError

BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
PART = ".part"
LAST = "index.json"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """One file: its path here, its name below the destination, its bytes and its SHA-256 in hex."""

    path: Path
    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A bundle to deliver: `name` is the directory, or the single file, that it becomes at the far end."""

    name: str
    single: bool
    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(item.size for item in self.items)


def read_parcel(bundle: Path, advance: Callable[[float], None] = lambda _: None) -> Parcel:
    """Hash the files of an OCI-layout directory, or one `.tar`.

    Raises:
        InputError: no bundle, or something in it that is neither file nor folder, or has a name no stick could carry.
        EvidenceError: a blob whose bytes are not those of its name.
    """
    if bundle.is_file():
        if not NAME.fullmatch(bundle.name):
            raise InputError(f"{bundle.name!r}: unusual characters in the name", advice="rename the file")
        return Parcel(bundle.name, True, (_item(bundle, bundle.name, advance),))
    if not (bundle / "index.json").is_file() or not (bundle / "oci-layout").is_file():
        raise InputError(
            f"{bundle}: no bundle (expected index.json and oci-layout, or one .tar)",
            advice="make one with `hybrid bundle build`",
        )
    names = sorted(_names(bundle), key=lambda name: (name == LAST, name))
    return Parcel(bundle.resolve().name, False, tuple(_item(bundle / name, name, advance) for name in names))


def _names(bundle: Path) -> list[str]:
    names = []
    for path in bundle.rglob("*"):
        name = path.relative_to(bundle).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode) or not NAME.fullmatch(name) or name.endswith(PART):
            raise InputError(f"{path}: no file that a bundle may hold", advice="remove it, or build the bundle again")
        names.append(name)
    return names


def _item(path: Path, name: str, advance: Callable[[float], None]) -> Item:
    size, digest = digest_of(path, advance=advance)
    blob = BLOB.fullmatch(name)
    if blob and blob[1] != digest:
        raise EvidenceError(f"{path}: the bytes are not those of its name", advice="build or copy the bundle again")
    return Item(path, name, size, digest)


def digest_of(
    path: Path, *, length: int | None = None, advance: Callable[[float], None] = lambda _: None
) -> tuple[int, str]:
    """Return bytes read and the SHA-256 in hex of the first `length` bytes of a file (all when None)."""
    hasher, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while length is None or done < length:
            chunk = file.read(CHUNK if length is None else min(CHUNK, length - done))
            if not chunk:
                break
            hasher.update(chunk)
            done += len(chunk)
            advance(len(chunk))
    return done, hasher.hexdigest()
