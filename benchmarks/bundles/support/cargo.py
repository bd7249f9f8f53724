"""Builds bundles of a wanted size from random bytes, and measures what an act costs: wall and CPU seconds, bytes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundles.assembly import Cargo
from tests.support.bundles import BundleForge

MB = 10**6


@dataclass(frozen=True)
class Cost:
    """What an act cost: seconds of the clock and of the CPU (children too), and bytes given to `write`."""

    wall: float
    cpu: float
    written: int


def cost_of(act: Callable[[], object]) -> Cost:
    """Run `act` once."""
    os.sync()
    before, cpu, wall = _written(), _cpu(), time.perf_counter()
    act()
    return Cost(time.perf_counter() - wall, _cpu() - cpu, _written() - before)


def median(costs: list[Cost]) -> Cost:
    """Return the median of each number."""
    return Cost(
        statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs),
        int(statistics.median(cost.written for cost in costs)),
    )  # fmt: skip


def random_files(folder: Path, sizes: list[int], *, seed: int = 0) -> dict[str, Path]:
    """Write files of these sizes, in bytes, that nothing compresses; return logical path -> file."""
    import random

    made, found = random.Random(seed), {}
    for number, size in enumerate(sizes):
        path = f"models/large/w8/part-{number}.bin"
        found[path] = folder / f"{seed}-{number}.bin"
        folder.mkdir(parents=True, exist_ok=True)
        with found[path].open("wb") as file:
            for at in range(0, size, MB):
                file.write(made.randbytes(min(MB, size - at)))
    return found


def a_cargo(forge: BundleForge, files: dict[str, Path], **knobs: object) -> Cargo:
    """Return an honest cargo with `files` added, without the model of the tests."""
    honest = {path: file for path, file in forge.cargo().files.items() if not path.startswith("models/")}
    return forge.cargo(files=honest | files, **knobs)


def _cpu() -> float:
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def _written() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["wchar"])
