"""Knows which wheels a site runs: the edge lock's, each with a hash the lock names, and our own."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bundles.errors import InputError, SpaceError, TrustError

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_GLIBC = re.compile(r"manylinux_2_(\d+)_")
ARCHES = ("x86_64", "aarch64")
_LEGACY = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}


@dataclass(frozen=True)
class Pin:
    """One package of the lock: its normal name, version and accepted SHA-256 (hex)."""

    name: str
    version: str
    hashes: frozenset[str]


def normal(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(lock: Path) -> list[Pin]:
    """Return the pins of a hashed requirements file.

    Raises:
        InputError: a pin without a hash.
    """
    text = lock.read_text()
    starts = list(_PIN.finditer(text))
    pins = []
    for here, after in zip(starts, [*starts[1:], None], strict=True):
        hashes = frozenset(_HASH.findall(text[here.end() : after.start() if after else len(text)]))
        if not hashes:
            raise InputError("LOCK", f"{lock}: {here[1]} has no hash", advice="make the lock again, with hashes")
        pins.append(Pin(normal(here[1]), here[2], hashes))
    return pins


def collect(wheelhouse: Path, lock: Path) -> list[Path]:
    """Return the wheels of the lock from `wheelhouse`, by name; others there are left out.

    Raises:
        InputError: a pin without its wheel.
        TrustError: a wheel whose hash the lock does not name.
    """
    there: dict[tuple[str, str], list[Path]] = {}
    for wheel in sorted(wheelhouse.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        there.setdefault((normal(name), version), []).append(wheel)
    chosen = []
    for pin in read_lock(lock):
        matching = there.get((pin.name, pin.version), [])
        if len(matching) != 1:
            raise InputError(
                "WHEELHOUSE", f"{wheelhouse} holds {len(matching)} wheels of {pin.name} {pin.version}, not one",
                advice=f"where there is a network: pip download --require-hashes --no-deps -r {lock} -d {wheelhouse}",
            )  # fmt: skip
        if _sha256(matching[0]) not in pin.hashes:
            raise TrustError("WHEEL", f"{matching[0].name} is not the file that the lock names",
                             advice="delete it from the wheelhouse and download it again")  # fmt: skip
        chosen.append(matching[0])
    return chosen


def build_own(source: Path, out: Path) -> Path:
    """Build the wheel of the project in `source` into `out`, without a network, and return it.

    Raises:
        SpaceError: hatchling failed; its last line is in the message.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out.resolve())]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    built = sorted(out.glob("*.whl"))
    if done.returncode or len(built) != 1:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SpaceError("OWN-WHEEL", f"hatchling built no wheel in {source}: {' '.join(last)}",
                         advice="pip install hatchling, or name a wheel")  # fmt: skip
    return built[0]


def needs_of(wheels: list[Path]) -> tuple[str | None, str | None]:
    """Return (least glibc, Python ABI tag) that these wheels ask for; None where none asks."""
    minors, pythons = [], set()
    for wheel in wheels:
        python, abi, platform = wheel.stem.split("-")[-3:]
        found = [int(minor) for minor in _GLIBC.findall(platform + "_")]
        found += [minor for tag, minor in _LEGACY.items() if f"{tag}_" in platform]
        if found:
            minors.append(min(found))
        if abi == python and abi.startswith("cp"):
            pythons.add(abi)
    if len(pythons) > 1:
        raise InputError("WHEELHOUSE", f"wheels for {', '.join(sorted(pythons))} at once", advice="use one Python")
    return (f"2.{max(minors)}" if minors else None), (pythons.pop() if pythons else None)


def arch_of(wheels: list[Path]) -> str | None:
    """Return the one architecture that these wheels were built for; None where all are pure Python.

    Raises:
        InputError: wheels of several architectures.
    """
    tags = {tag for wheel in wheels for tag in wheel.stem.split("-")[-1].split(".") if tag != "any"}
    found = {arch for tag in tags for arch in ARCHES if tag.endswith(f"_{arch}")}
    if len(found) > 1:
        raise InputError("WHEELHOUSE", f"wheels for {', '.join(sorted(found))} at once",
                         advice="a wheelhouse holds one architecture's wheels")  # fmt: skip
    return found.pop() if found else None


def unpacked_size(wheels: list[Path]) -> int:
    """Return the bytes the wheels take once unpacked."""
    total = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            total += sum(entry.file_size for entry in archive.infolist())
    return total


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
