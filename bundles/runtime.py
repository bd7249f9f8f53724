"""Unpacks verified wheels into a runtime that one launcher starts: no pip, no build, no scripts, no `.pth`.

A runtime is named by the digest of its wheels and appears under that name only when it is whole, so it is never
unpacked twice and never half. It holds what the wheels hold and nothing else: no bytecode (ADR 0021).

Who checks whom. The card checked the verifier. The verifier hashed the wheels against what the quorum signed, and
while it unpacked them it wrote `files.json`, the digest of every file here, `run.py` among them; the digest of that
list stands in the release's record. Before the verifier starts a service it holds every file against the list and the
list against the record, and only then runs `run.py`: what is checked never checks itself. Verifier, record and
runtime are root's; whoever is root on the box is not defended against.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundles.document import canonical, digest, parse
from bundles.errors import MediumError, StateError, TrustError
from bundles.layout import Box
from bundles.store import CHUNK, make_folders, sync_folder

LISTING = "files.json"
LISTING_CAP = 32 * 1024 * 1024
LAUNCHER = '''"""Starts `hybrid` from the wheels beside this file alone: python -I -B run.py [-m MODULE] ..."""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site-packages")
sys.path[:] = [here] + [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]

if sys.argv[1:2] == ["-m"]:
    import runpy

    sys.argv[:3] = sys.argv[2:3]
    runpy.run_module(sys.argv[0], run_name="__main__")
else:
    from hybrid.cli import main

    sys.argv[0] = "hybrid"
    main()
'''
_AGAIN = "install the bundle again from its medium; the damaged runtime is unpacked anew"


@dataclass(frozen=True)
class Unpacked:
    """A runtime as it stands: the bytes written for it now, and the digest of the list of its files."""

    written: int
    files: str


def runtime_digest(wheels: Mapping[str, str]) -> str:
    """Return the digest that names the runtime of these wheels (file name -> digest)."""
    return digest(canonical(dict(wheels)))


def unpack(
    box: Box, wheels: Mapping[str, Path], name: str, *, cap: int, known: Collection[str] = (),
    advance: Callable[[float], None] | None = None,
) -> Unpacked:  # fmt: skip
    """Unpack `wheels` (file name -> verified blob) as runtime `name`, unless it is there and sound.

    Args:
        cap: the bytes that were signed as their unpacked size; more is refused before anything is written.
        known: digests of its list of files that releases of this box recorded; without one it is unpacked anew.

    Raises:
        TrustError: a wheel holds a script hook, a link, a path outside, a file of another, or more than `cap`.
    """
    folder = box.runtime(name)
    for files in known:
        if not differences(folder, files):
            return Unpacked(0, files)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        make_folders(part / "site-packages")
        _within(wheels, cap)
        found = {"run.py": digest(LAUNCHER.encode())}
        (part / "run.py").write_text(LAUNCHER)
        for wheel, blob in sorted(wheels.items()):
            found |= _extract(blob, wheel, part, advance)
        listing = canonical(found)
        (part / LISTING).write_bytes(listing)
        written = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        os.sync()
        discard(folder)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return Unpacked(written, digest(listing))


def discard(folder: Path) -> None:
    """Remove a runtime: in one step no longer under its name, so that a cut leaves it whole or gone."""
    if not os.path.lexists(folder):
        return
    leaving = folder.with_name(f".{folder.name}.leaving.part")
    shutil.rmtree(leaving, ignore_errors=True)
    folder.rename(leaving)
    sync_folder(folder.parent)
    shutil.rmtree(leaving, ignore_errors=True)


def intact(folder: Path, files: str | None) -> None:
    """Refuse a runtime that is no longer what was unpacked; `files` is the digest of its list of files.

    Raises:
        StateError: a file is changed, missing or additional, or the list itself is.
    """
    wrong = differences(folder, files)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise StateError("RUNTIME", f"runtime {folder.name[:12]}: {wrong[0]}{more}", advice=_AGAIN,
                         safe="nothing is started from it")  # fmt: skip


def differences(folder: Path, files: str | None) -> list[str]:
    """Return what in the runtime is otherwise than its list says, sorted; the list is held against `files` first."""
    try:
        listing = (folder / LISTING).read_bytes()
        expected = parse(listing, what=LISTING, cap=LISTING_CAP)
    except (OSError, MediumError):
        return [f"{LISTING} is missing or damaged"]
    if digest(listing) != files:
        return [f"{LISTING} is not the one that was recorded"]
    found = dict(_digests(folder))
    changed = [path for path in expected.keys() & found.keys() if expected[path] != found[path]]
    return sorted(
        [f"{path} has changed" for path in changed]
        + [f"{path} is missing" for path in expected.keys() - found.keys()]
        + [f"{path} was added" for path in found.keys() - expected.keys() - {LISTING}]
    )


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every name below `folder` with its digest; of what is no regular file, its kind."""
    for place, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(place, name)))]:
            path = os.path.join(place, name)
            kind = os.lstat(path).st_mode
            yield os.path.relpath(path, folder), _sha256(path) if stat.S_ISREG(kind) else "no regular file"


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _within(wheels: Mapping[str, Path], cap: int) -> None:
    total = 0
    for wheel, blob in wheels.items():
        with zipfile.ZipFile(blob) as archive:
            total += sum(entry.file_size for entry in archive.infolist())
        if total > cap:
            raise TrustError("WHEEL", f"{wheel} unpacks to more than the {cap} bytes that were signed",
                             advice="build the bundle again")  # fmt: skip


def _extract(blob: Path, wheel: str, part: Path, advance: Callable[[float], None] | None) -> dict[str, str]:
    """Write the wheel's files below `site-packages` and return their digests by path."""
    found: dict[str, str] = {}
    with zipfile.ZipFile(blob) as archive:
        for entry in archive.infolist():
            target = None if entry.is_dir() else _place(entry, wheel)
            if target is None:
                continue
            name = (PurePosixPath("site-packages") / target).as_posix()
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            found[name] = _write(archive, entry, part / name, wheel)
            if advance:
                advance(entry.file_size)
    return found


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, wheel: str) -> str:
    sha = hashlib.sha256()
    try:
        with archive.open(entry) as source, path.open("xb") as copy:
            while piece := source.read(CHUNK):
                sha.update(piece)
                copy.write(piece)
    except FileExistsError:
        raise TrustError("WHEEL", f"{wheel} holds {entry.filename!r}, which is there already",
                         advice="build the bundle without one of the two packages") from None  # fmt: skip
    path.chmod(0o644)
    return "sha256:" + sha.hexdigest()


def _place(entry: zipfile.ZipInfo, wheel: str) -> PurePosixPath | None:
    """Return where an entry goes below site-packages; None for scripts, headers and data, which no site runs."""
    path = PurePosixPath(entry.filename)
    odd = path.is_absolute() or ".." in path.parts or "\\" in entry.filename
    if odd or stat.S_ISLNK(entry.external_attr >> 16) or (path.suffix.lower() == ".pth"):
        raise TrustError("WHEEL", f"{wheel} holds {entry.filename!r}, which no bundle may carry",
                         advice="build the bundle without this package")  # fmt: skip
    if path.parts[0].endswith(".data"):
        return PurePosixPath(*path.parts[2:]) if path.parts[1] in ("purelib", "platlib") else None
    return path
