"""Print what installing from a hub costs, beside installing from the folder, in one run: two machines and a cable.

    python benchmarks/bundles/passing_on.py [DIRECTORY] [--megabytes 100] [--rounds 5]

The machines are two network namespaces joined by a veth pair (needs root); the hub is the command, without a limit to
its rate to speak of. Each install runs in a process of its own, rounds interleaved; its peak memory is that above what
the process had before it installed. The ratio is the median of the rounds' ratios to the folder of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bundles.support.cargo import MB, a_cargo, random_files
from bundles.trust.state import machine_id
from tests.support.bundles import SITE, ABox, BundleForge, FakeClock
from tests.support.wire import Network, a_cable

REPOSITORY = Path(__file__).parents[2]
TABLE = {"version": 1, "site": SITE, "since": "2026-01-01", "until": "2126-01-01", "atoms": [], "decisions": [],
         "workloads": {}}  # fmt: skip
CHILD = """
import json, os, sys, time
from pathlib import Path
from bundles.install import install, standing
from bundles.medium import Medium
from bundles.trust.clock import read_clock
from bundles.trust.state import machine_id
from hybrid.hub.calling import place_of
root = Path(sys.argv[1])
place = place_of(sys.argv[2], root)
def peak():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
here, start = standing(root, read_clock(), machine_id()), peak()
wall, cpu = time.perf_counter(), time.process_time()
with Medium(place) as medium:
    install(here, medium)
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "above": peak() - start}))
"""


@contextmanager
def a_hub(at: Network, root: Path, bundle: Path, *options: str) -> Iterator[tuple[int, str]]:
    """Run the hub's command; give its process id and the address that it prints."""
    command = at.inside(sys.executable, "-m", "hybrid", "site", "hub", bundle, "--listen", at.address, "--root", root,
                        "--rate", "100GB", "--output", "json", *options)  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=REPOSITORY) as hub:
        lines: list[str] = []
        assert hub.stdout is not None
        while not lines or lines[-1] != "}\n":
            lines.append(hub.stdout.readline())
        try:
            yield hub.pid, json.loads("".join(lines))["address"]
        finally:
            hub.kill()


def cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(process: int) -> int:
    fields = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def an_install(at: Network, box: ABox, where: object, hub: int | None) -> dict[str, Any]:
    """Install, in a process of its own; return its seconds and bytes, and the hub's CPU seconds."""
    before = cpu_of(hub) if hub else 0.0
    command = at.inside(sys.executable, "-c", CHILD, box.root, where)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    found: dict[str, Any] = json.loads(done.stdout)
    found["hub"] = cpu_of(hub) - before if hub else 0.0
    for name in ("store", "releases", "current", "runtimes"):
        path = box.root / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", default=None)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.directory) as name, a_cable() as (here, there):
        measure(Path(name), here, there, wanted.megabytes, wanted.rounds)


def a_box(forge: BundleForge, number: int) -> ABox:
    seed, card = forge.seed(SITE, boxId=f"{SITE}-{number}")
    return ABox(forge.folder / f"box-{number}", forge.clock, machine_id()).enrol(seed, card)


def measure(place: Path, here: Network, there: Network, megabytes: int, rounds: int) -> None:
    forge = BundleForge(place, FakeClock.here())
    first, second = a_box(forge, 1), a_box(forge, 2)
    keys = tuple(key for box in (first, second) if box.enrolled for key in box.enrolled.request.keys)
    files = random_files(place / "files", [megabytes * MB // 4] * 4)
    bundle = forge.build(a_cargo(forge, files, table=TABLE, keys=keys))
    with a_hub(here, first.root, bundle, "--plain", "--listen", f"{here.address}:8481") as plain, a_hub(
        here, first.root, bundle
    ) as tls:  # fmt: skip
        acts = {"from the folder": (bundle, None), "from a hub, --plain": plain[::-1], "from a hub, TLS": tls[::-1]}
        rows: dict[str, list[dict[str, Any]]] = {what: [] for what in acts}
        for number in range(rounds):
            order = list(acts)
            for what in order[number % 3 :] + order[: number % 3]:
                rows[what].append(an_install(there, second, *acts[what]))
        show(rows, megabytes, rounds)
        peaks = [f"{peak_of(process) / MB:.1f} MB {how}" for (process, _), how in ((plain, "plain"), (tls, "TLS"))]
        print(f"peak memory of the hub's process: {', '.join(peaks)}")


def show(rows: dict[str, list[dict[str, Any]]], megabytes: int, rounds: int) -> None:
    print(f"{megabytes} MB in four files, median of {rounds} interleaved rounds, {os.cpu_count()} cores")
    print(f"{'':<22}{'wall s':>8}{'x folder':>10}{'CPU s':>8}{'x folder':>10}{'hub CPU s':>11}{'MB memory':>11}")
    base = rows["from the folder"]
    for what, found in rows.items():
        of = {key: statistics.median(one[key] for one in found) for key in ("wall", "cpu", "hub", "above")}
        times = {key: statistics.median(one[key] / least[key] for one, least in zip(found, base, strict=True))
                 for key in ("wall", "cpu")}  # fmt: skip
        print(f"{what:<22}{of['wall']:8.2f}{times['wall']:10.2f}{of['cpu']:8.2f}{times['cpu']:10.2f}{of['hub']:11.2f}"
              f"{of['above'] / MB:11.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
