"""Unpacks verified wheels into a runtime that one launcher starts: no pip, no build, no scripts, no `.pth`.

A runtime is named by the digest of its wheels and appears under that name only when it is whole, so it is never
unpacked twice and never half.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from bundles.document import canonical, digest
from bundles.errors import TrustError
from bundles.layout import Box
from bundles.store import make_folders, sync_folder

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


def runtime_digest(wheels: Mapping[str, str]) -> str:
    """Return the digest that names the runtime of these wheels (file name -> digest)."""
    return digest(canonical(dict(wheels)))


def unpack(box: Box, wheels: Mapping[str, Path], name: str, advance: Callable[[float], None] | None = None) -> int:
    """Unpack `wheels` (file name -> verified blob) as runtime `name`; return the bytes written, 0 if it is there.

    Raises:
        TrustError: a wheel holds a script hook, a link or a path outside.
    """
    folder = box.runtime(name)
    if folder.is_dir():
        return 0
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    packages = part / "site-packages"
    make_folders(packages)
    try:
        for wheel, blob in sorted(wheels.items()):
            _extract(blob, wheel, packages, advance)
        (part / "run.py").write_text(LAUNCHER)
        _compile(part, folder)
        written = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        os.sync()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return written


def _compile(part: Path, folder: Path) -> None:
    """Compile once; `unchecked-hash` files never look at the source again, and carry the final path.

    In this process alone: when a pool's worker or its parent is killed, the other waits for ever.
    """
    compileall.compile_dir(
        part, quiet=2, stripdir=str(part), prependdir=str(folder), workers=1,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip


def _extract(blob: Path, wheel: str, packages: Path, advance: Callable[[float], None] | None) -> None:
    with zipfile.ZipFile(blob) as archive:
        for entry in archive.infolist():
            target = None if entry.is_dir() else _place(entry, wheel)
            if target is None:
                continue
            path = packages.joinpath(*target.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, path.open("xb") as copy:
                shutil.copyfileobj(source, copy, 1024 * 1024)
            path.chmod(0o644)
            if advance:
                advance(entry.file_size)


def _place(entry: zipfile.ZipInfo, wheel: str) -> PurePosixPath | None:
    """Return where an entry goes below site-packages; None for scripts, headers and data, which no site runs."""
    path = PurePosixPath(entry.filename)
    odd = path.is_absolute() or ".." in path.parts or "\\" in entry.filename
    if odd or stat.S_ISLNK(entry.external_attr >> 16) or (path.suffix == ".pth"):
        raise TrustError("WHEEL", f"{wheel} holds {entry.filename!r}, which no bundle may carry",
                         advice="build the bundle without this package")  # fmt: skip
    if path.parts[0].endswith(".data"):
        return PurePosixPath(*path.parts[2:]) if path.parts[1] in ("purelib", "platlib") else None
    return path
