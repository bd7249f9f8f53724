"""Reads a bundle without trusting what it lies on: only the names a bundle has, only regular files, nothing too large.

A carrier is opened once. Of a split bundle the medium is every part: what lies on another part is asked for when it is
needed, and a part of another bundle is never taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import BinaryIO

from bundles.carrier import Place, open_carrier
from bundles.carrier.nouns import Carrier, Entry, Kind, refuse
from bundles.document import read as read_document
from bundles.errors import MediumError
from bundles.parts import PARTS_CAP, PARTS_FILE, Change, Part

BLOB_CAP = 4 * 1024**3 - 1
COUNT_CAP = 20_000
_FILES = {"oci-layout", "index.json"}
_FOLDERS = {"blobs", "blobs/sha256"}
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
_CODES: dict[Kind, str] = {"symlink": "SYMLINK", "device": "DEVICE", "folder": "EXTRA"}
_STICKS_OWN = ("System Volume Information", "$RECYCLE.BIN", ".Trash", ".fseventsd", ".Spotlight", "lost+found", "._")


class Medium:
    """A bundle on a carrier; of a split one, the part at hand.

    Attributes:
        part: which part it is, known after `survey`; None where the bundle is whole.
    """

    def __init__(self, path: Place, change: Change | None = None) -> None:
        """Open the folder or `.tar` at `path`, or the hub there; `change` is asked when another part is needed.

        Raises:
            MediumError: a link, a device or a pipe.
            FileNotFoundError: nothing is there.
        """
        self.path = path
        self.part: Part | None = None
        self._change = change
        self._sizes: dict[str, int] = {}
        self._here: set[str] = set()
        self._carrier: Carrier = open_carrier(path)

    def close(self) -> None:
        """Let go of the carrier."""
        self._carrier.close()

    def __enter__(self) -> Medium:
        """Return the open medium."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def survey(self) -> dict[str, int]:
        """Return `sha256:<hex>` -> size of every blob, after judging every name and type on the carrier.

        Of a split bundle the blobs of the other parts are in it, as `parts.json` names them.

        Raises:
            MediumError: anything that is not `oci-layout`, `index.json`, `parts.json` or `blobs/sha256/<hex>`.
        """
        files: dict[str, int] = {}
        for entry in self._carrier.entries():
            _judge(entry)
            if entry.kind == "file":
                files[entry.name] = entry.size
            if len(files) > COUNT_CAP:
                raise refuse("COUNT", f"more than {COUNT_CAP} files")
        if absent := _FILES - set(files):
            raise refuse("MISSING", f"{', '.join(sorted(absent))} missing; this is no bundle")
        sizes = {f"sha256:{name[-64:]}": size for name, size in files.items() if _BLOB.fullmatch(name)}
        self._here = set(sizes)
        if PARTS_FILE in files:
            self.part = read_document(Part, self.read(PARTS_FILE, PARTS_CAP), what=PARTS_FILE, cap=PARTS_CAP)
            sizes |= _elsewhere(self.part, sizes)
        self._sizes = sizes
        return sizes

    def read(self, name: str, cap: int) -> bytes:
        """Return the bytes of file `name`, at most `cap`.

        Raises:
            MediumError: missing, longer than `cap`, or not a regular file.
        """
        with self._carrier.open(name) as file:
            data = file.read(cap + 1)
        if len(data) > cap:
            raise refuse("SIZE", f"{name} is longer than {cap} bytes")
        return data

    def blob(self, digest: str, cap: int) -> bytes:
        """Return the (small) blob `digest`; its bytes are not compared with the digest here."""
        return self.read(_blob_name(digest), cap)

    @property
    def at_hand(self) -> dict[str, int]:
        """`sha256:<hex>` -> size of the blobs on the carrier at hand, as the last survey found them."""
        return {name: size for name, size in self._sizes.items() if name in self._here}

    def here(self, digest: str) -> bool:
        """Return whether blob `digest` lies on the carrier at hand."""
        return digest in self._here

    def has(self, digest: str) -> bool:
        """Return whether blob `digest` lies on the carrier at hand or on another part."""
        return digest in self._sizes

    def in_order(self, digests: Iterable[str]) -> list[str]:
        """Return `digests` in the order that changes media least: the part at hand first, then the others, rising."""
        part = self.part
        if part is None:
            return list(digests)
        return sorted(digests, key=lambda digest: (not self.here(digest), part.where(digest)))

    def open_blob(self, digest: str) -> BinaryIO:
        """Open the blob `digest` for one pass of reading, after asking for its part where that is another.

        Raises:
            MediumError: it is missing, or lies on a part that nobody could be asked for.
        """
        if self.part is not None and not self.here(digest):
            self._turn_to(self.part, self.part.where(digest))
        return self._carrier.open(_blob_name(digest))

    def _turn_to(self, part: Part, number: int) -> None:
        """Ask for part `number` until it is there, and go on reading from it."""
        if self._change is None:
            raise MediumError("MEDIUM-PART", f"this is part {part.part} of {part.count}; part {number} is needed now",
                              advice=f"insert part {number} and repeat the command",
                              safe="what was copied is kept and not read again; what runs goes on running")  # fmt: skip
        why = ""
        while True:
            path, other = self._change(number, part.count, why), None
            try:
                other = Medium(path)
                why = _wrong(other, part, number, self._sizes)
            except (MediumError, OSError) as error:
                why = str(error)
            if other is not None and not why:
                self._carrier.close()
                self.path, self.part, self._carrier, self._here = other.path, other.part, other._carrier, other._here
                return
            if other is not None:
                other.close()


def _wrong(other: Medium, part: Part, number: int, sizes: dict[str, int]) -> str:
    """Return why `other` is not part `number` of the same bundle; empty when it is."""
    found = other.survey()
    if other.part is None:
        return f"{other.path} is a whole bundle, not part {number} of this one"
    if (other.part.bundle, other.part.cargo) != (part.bundle, part.cargo):
        return f"{other.path} is a part of another bundle ({other.part.bundle[:19]})"
    if found != sizes:
        return f"{other.path} holds other files than part {part.part} says"
    return "" if other.part.part == number else f"{other.path} is part {other.part.part}"


def _elsewhere(part: Part, here: dict[str, int]) -> dict[str, int]:
    """Return the blobs of the other parts; what this part should hold is here, and nothing of theirs."""
    for number, blobs in enumerate(part.cargo, 1):
        wrong = set(blobs) - set(here) if number == part.part else set(blobs) & set(here)
        if wrong:
            verb = "lacks" if number == part.part else "holds, though it is another part's,"
            raise refuse("PART", f"part {part.part} {verb} blob {min(wrong)[:19]}")
    return {name: size for number, blobs in enumerate(part.cargo, 1) if number != part.part
            for name, size in blobs.items()}  # fmt: skip


def _judge(entry: Entry) -> None:
    """Refuse what no bundle has."""
    name = entry.name
    if entry.kind == "folder" and name in _FOLDERS:
        return
    if entry.kind != "file":
        raise _stranger(_CODES[entry.kind], name, f"{name} is no regular file")
    if name not in (*_FILES, PARTS_FILE) and not _BLOB.fullmatch(name):
        code = "CASE" if _BLOB.fullmatch(name.lower()) or name.lower() in _FILES else "EXTRA"
        raise _stranger(code, name, f"{name} does not belong to a bundle")
    if entry.size > BLOB_CAP:
        raise refuse("SIZE", f"{name} has {entry.size} bytes, more than {BLOB_CAP}")


def _stranger(code: str, name: str, why: str) -> MediumError:
    if name.startswith(_STICKS_OWN):
        return refuse(code, why, advice="the stick keeps files of its own there: put the bundle into a folder on it")
    return refuse(code, why)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
