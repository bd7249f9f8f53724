"""Writes and reads seed media: the root of trust, the site record, and the verifier's wheels, under one digest.

`SHA256SUMS` names every file, so two commands that every Linux has check it: `sha256sum -c SHA256SUMS`, and
`sha256sum SHA256SUMS` against the card that travelled separately. Nothing of the seed needs to run before that.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bundles.document import canonical, read
from bundles.errors import InputError, MediumError, TrustError
from bundles.nouns import SiteRecord
from bundles.store import CHUNK, sync_tree
from bundles.trust.metadata import METADATA_CAP

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (root\.json|site\.json|wheels/[\w.+-]+\.whl)")
_AGAIN = "do not use this seed; ask headquarters for it and its card again"


@dataclass(frozen=True)
class Seed:
    """A seed medium whose files agree with its own sums; trusted only once a card confirmed `digest`."""

    digest: str
    root: bytes
    site: SiteRecord


def write_seed(out: Path, root: bytes, site: SiteRecord, wheels: Iterable[Path] = ()) -> str:
    """Write a seed into the new folder `out` and return its digest, as the card shows it.

    Raises:
        InputError: `out` exists.
    """
    if out.exists():
        raise InputError("OUT", f"{out} exists", advice="choose another folder, or remove it first")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "wheels").mkdir(parents=True)
    (part / "root.json").write_bytes(root)
    (part / "site.json").write_bytes(canonical(site))
    for wheel in wheels:
        shutil.copyfile(wheel, part / "wheels" / wheel.name)
    files = sorted(path for path in part.rglob("*") if path.is_file())
    sums = "".join(f"{_sha256(path)}  {path.relative_to(part).as_posix()}\n" for path in files)
    (part / SUMS).write_text(sums)
    sync_tree(part)
    part.rename(out)
    return "sha256:" + hashlib.sha256(sums.encode()).hexdigest()


def open_seed(folder: Path) -> Seed:
    """Return the seed in `folder` after comparing every file with the sums.

    Raises:
        MediumError: a link, or a file that the sums do not name.
        TrustError: a file has other bytes than the sums say.
    """
    sums = _bytes(folder / SUMS)
    named: dict[str, str] = {}
    for line in sums.decode("utf-8", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if not found or found[2] in named:
            raise MediumError("SEED", f"{SUMS}: {line[:80]!r}", advice=_AGAIN)
        named[found[2]] = found[1]
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    if there != {*named, SUMS} or not {"root.json", "site.json"} <= set(named):
        raise MediumError("SEED", f"files and sums differ: {', '.join(sorted(there ^ {*named, SUMS}))}", advice=_AGAIN)
    small = {name: _bytes(folder / name) for name in ("root.json", "site.json")}
    for name, wanted in named.items():
        held = hashlib.sha256(small[name]).hexdigest() if name in small else _sha256(_regular(folder / name))
        if held != wanted:
            raise TrustError("SEED", f"{name} has other bytes than {SUMS} says", advice=_AGAIN)
    site = read(SiteRecord, small["site.json"], what="site.json")
    return Seed("sha256:" + hashlib.sha256(sums).hexdigest(), small["root.json"], site)


def _bytes(path: Path) -> bytes:
    """Return a small file, read once: a stick may give other bytes when it is asked again."""
    with _regular(path).open("rb") as file:
        data = file.read(METADATA_CAP + 1)
    if len(data) > METADATA_CAP:
        raise MediumError("SEED", f"{path.name} is longer than {METADATA_CAP} bytes", advice=_AGAIN)
    return data


def _regular(path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise MediumError("SEED", f"{path.name} is missing or no regular file", advice=_AGAIN)
    return path


def _sha256(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            sha.update(piece)
    return sha.hexdigest()
