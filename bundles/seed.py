"""Writes and reads seed media: root of trust, site record, verifier and the script that sets it up, under one digest.

`SHA256SUMS` names every file, so two commands that every Linux has check it: `sha256sum -c SHA256SUMS`, and
`sha256sum SHA256SUMS` against the card that travelled separately. Nothing of the seed needs to run before that.
Then `INSTALL.sh` does the rest; `NEEDS` says, a line each, what the box must be.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles import wheels as wheel_files
from bundles.document import canonical, read
from bundles.errors import InputError, MediumError, TrustError
from bundles.nouns import SiteRecord
from bundles.store import CHUNK, sync_tree
from bundles.trust.reading import METADATA_CAP

SUMS = "SHA256SUMS"
NAMES = ("root.json", "site.json", "INSTALL.sh", "NEEDS")
_FIXED = r"root\.json|site\.json|INSTALL\.sh|NEEDS"
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_FIXED}|wheels/[\w.+-]+\.whl|python/[\w.+~%-]+\.deb)", re.ASCII)
SCRIPT = Path(__file__).with_name("INSTALL.sh")
CPU = {"x86_64": ("ssse3", "sse4_2", "popcnt"), "aarch64": ("asimd",)}
"""What numpy's and onnxruntime's wheels ask of a processor before they look closer."""
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
SPARE_BYTES = 32 * 1024 * 1024
_AGAIN = "do not use this seed; ask headquarters for it and its card again"


@dataclass(frozen=True)
class Seed:
    """A seed medium whose files agree with its own sums; trusted only once a card confirmed `digest`."""

    digest: str
    root: bytes
    site: SiteRecord


def write_seed(
    out: Path, root: bytes, site: SiteRecord, wheels: Iterable[Path] = (), python: Iterable[Path] = ()
) -> str:
    """Write a seed into the new folder `out` and return its digest, as the card shows it.

    Args:
        wheels: the verifier's; `python`: Debian packages of Python and its libraries, for a box that has none.

    Raises:
        InputError: `out` exists, or a package cannot be carried.
    """
    if out.exists():
        raise InputError("OUT", f"{out} exists", advice="choose another folder, or remove it first")
    files = {f"wheels/{path.name}": path for path in wheels} | {f"python/{_package(path)}": path for path in python}
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for folder in ("wheels", "python"):
        (part / folder).mkdir(parents=True)
    (part / "root.json").write_bytes(root)
    (part / "site.json").write_bytes(canonical(site))
    (part / "NEEDS").write_text(_needs(files))
    for name, file in {"INSTALL.sh": SCRIPT, **files}.items():
        shutil.copyfile(file, part / name)
    there = sorted(path for path in part.rglob("*") if path.is_file())
    sums = "".join(f"{_sha256(path)}  {path.relative_to(part).as_posix()}\n" for path in there)
    (part / SUMS).write_text(sums)
    sync_tree(part)
    part.rename(out)
    return "sha256:" + hashlib.sha256(sums.encode()).hexdigest()


def _package(path: Path) -> str:
    """Return the name of a Debian package on the seed; the C library is the box's own or nobody's."""
    if path.name.startswith("libc6_") or not _LINE.fullmatch(f"{'0' * 64}  python/{path.name}"):
        raise InputError("PYTHON", f"{path.name} cannot be carried",
                         advice="packages of Python and the libraries it needs, without libc6")  # fmt: skip
    return path.name


def _needs(files: Mapping[str, Path]) -> str:
    """Return what a box must be for these files: architecture, processor, C library, Python, room."""
    wheels = [path for name, path in files.items() if name.startswith("wheels/")]
    glibc, python = wheel_files.needs_of(wheels)
    python = python or f"cp{sys.version_info.major}{sys.version_info.minor}"
    arch = wheel_files.arch_of(wheels)
    others = {name for ours, name in DEBIAN.items() if ours != arch}
    foreign = [path.name for path in files.values() if path.stem.rpartition("_")[2] in others]
    if arch and foreign:
        raise InputError("PYTHON", f"{foreign[0]} is not for {arch}, as the wheels are",
                         advice="packages and wheels of one architecture")  # fmt: skip
    lines = [("arch", arch), ("glibc", glibc), ("python", python), *(("cpu", one) for one in CPU.get(arch or "", ()))]
    packed = sum(path.stat().st_size for path in files.values())
    room = packed + 5 * sum(path.stat().st_size for path in files.values() if path.suffix == ".deb")
    lines.append(("bytes", str(room + wheel_files.unpacked_size(wheels) + SPARE_BYTES)))
    return "".join(f"{what} {wanted}\n" for what, wanted in lines if wanted)


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
    if there != {*named, SUMS} or not set(NAMES) <= set(named):
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
