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


def collect(wheelhouse: Path, lock: Path, own: str = "sovereign-hybrid") -> list[Path]:
    """Return the wheels of the lock and our own from `wheelhouse`, by name; others there are left out.

    Raises:
        InputError: a pin without its wheel, or a missing wheel of our own.
        TrustError: a wheel whose hash the lock does not name.
    """
    there: dict[str, list[Path]] = {}
    for wheel in sorted(wheelhouse.glob("*.whl")):
        there.setdefault(normal(wheel.name.split("-")[0]), []).append(wheel)
    chosen = []
    for pin in read_lock(lock):
        matching = [wheel for wheel in there.get(pin.name, []) if wheel.name.split("-")[1] == pin.version]
        if len(matching) != 1:
            raise InputError("WHEELHOUSE", f"{wheelhouse} holds {len(matching)} wheels of {pin.name} {pin.version}",
                             advice="fill it where there is a network: hybrid bundle wheelhouse")  # fmt: skip
        if _sha256(matching[0]) not in pin.hashes:
            raise TrustError("WHEEL", f"{matching[0].name} is not the file that the lock names",
                             advice="delete it from the wheelhouse and download it again")  # fmt: skip
        chosen.append(matching[0])
    ours = there.get(own, [])
    if len(ours) != 1:
        raise InputError("WHEELHOUSE", f"{wheelhouse} holds {len(ours)} wheels of {own}, not one",
                         advice="remove the old one, or build it: hybrid bundle wheelhouse")  # fmt: skip
    return sorted([*chosen, ours[0]], key=lambda wheel: wheel.name)


def fill(wheelhouse: Path, lock: Path, source: Path, own: str = "sovereign_hybrid") -> None:
    """Download the lock's wheels into `wheelhouse` and build our own from `source`; needs a network, once.

    Raises:
        SpaceError: pip or hatchling failed; their output is in the message.
    """
    wheelhouse.mkdir(parents=True, exist_ok=True)
    try:
        collect(wheelhouse, lock)
    except InputError:
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps",
              "--only-binary=:all:", "-r", str(lock), "-d", str(wheelhouse)], Path.cwd())  # fmt: skip
    for old in wheelhouse.glob(f"{own}-*.whl"):
        old.unlink()
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheelhouse.resolve())], source)


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


def unpacked_size(wheels: list[Path]) -> int:
    """Return the bytes the wheels take once unpacked."""
    total = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            total += sum(entry.file_size for entry in archive.infolist())
    return total


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SpaceError("WHEELHOUSE", f"{' '.join(command[1:4])} failed: {' '.join(last)}",
                         advice="run it where the packages can be reached")  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
