"""Print the memory of an install, above that of the same command before it starts, for a full bundle and for a delta.

    python benchmarks/bundles/memory.py [DIRECTORY] [--megabytes 2000]

Each act runs in a process of its own; $TMPDIR is an empty folder that must stay as it is. The bundle is installed from
its folder and from one tar; then an update makes a model of the same size from a delta.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bundles.support.cargo import MB, a_cargo, random_files
from bundles.packing import pack
from tests.support.bundles import BundleForge

CHILD = """
import json, sys
from datetime import datetime
from pathlib import Path
from bundles.install import install, standing
from bundles.delta import source
from bundles.medium import Medium
from bundles.trust.clock import Reading
root, bundle, now, machine = sys.argv[1:]
def peak():  # ru_maxrss would be the parent's own peak after a fork
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
here = standing(Path(root), Reading(datetime.fromisoformat(now), 1000, "boot-1"), machine)
start = peak()
with Medium(Path(bundle)) as medium:
    written = install(here, medium).record.written
print(json.dumps({"start": start, "above": peak() - start, "written": written}))
"""


def install_in_a_process(forge: BundleForge, root: Path, bundle: Path, temp: Path) -> dict[str, int]:
    """Install `bundle` and return the bytes of memory at the start, above it, and written."""
    from tests.support.bundles import MACHINE_ID

    temp.mkdir(exist_ok=True)
    before = temp.stat().st_mtime_ns
    command = [sys.executable, "-c", CHILD, root, bundle, forge.clock.now.isoformat(), MACHINE_ID]
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(temp)}
    )
    found: dict[str, int] = json.loads(done.stdout)
    found["touched"] = temp.stat().st_mtime_ns != before or any(temp.iterdir())
    return found


def a_tuned_pair(folder: Path, megabytes: int) -> tuple[dict[str, Path], dict[str, Path]]:
    """Write two safetensors of this size, the second with one weight in twenty moved by one; tensors of 100 MB."""
    folder.mkdir(parents=True)
    size, count = 100 * MB, max(1, megabytes // 100)
    names = {f"layer.{n}": {"dtype": "I8", "shape": [size], "data_offsets": [n * size, (n + 1) * size]}
             for n in range(count)}  # fmt: skip
    header = json.dumps(names).encode()
    make, files = np.random.default_rng(0), (folder / "before", folder / "after")
    with files[0].open("wb") as before, files[1].open("wb") as after:
        for file in (before, after):
            file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(count * 10):
            weights = make.integers(-100, 100, size // 10, np.int8)
            before.write(weights.tobytes())
            weights[make.random(size // 10, np.float32) < 0.05] += 1
            after.write(weights.tobytes())
    path = "models/large/w8/model.safetensors"
    return {path: files[0]}, {path: files[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", default=None)
    parser.add_argument("--megabytes", type=int, default=2000)
    wanted = parser.parse_args()
    rows: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(dir=wanted.directory) as name:
        place = Path(name)
        forge = BundleForge(place)
        bundle = forge.build(a_cargo(forge, random_files(place / "files", [wanted.megabytes * MB])))
        shutil.rmtree(place / "files")
        rows["install, a folder"] = once(forge, bundle, place)
        pack(bundle, place / "bundle.tar")
        shutil.rmtree(bundle)
        rows["install, one tar"] = once(forge, place / "bundle.tar", place)
        (place / "bundle.tar").unlink()
        first, second = a_tuned_pair(place / "pair", wanted.megabytes)
        before, box = forge.build(a_cargo(forge, first)), forge.box()
        box.install(before)
        forge.clock.pass_(days=1)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        floor = _peak()
        update = forge.build(a_cargo(forge, second, base=before))
        encoding = _peak() - floor
        rows["update, by a delta"] = install_in_a_process(forge, box.root, update, place / "tmp")
        size = sum(file.stat().st_size for file in (update / "blobs" / "sha256").iterdir())
    print(f"{wanted.megabytes} MB in one file; memory is the peak of the process")
    for what, found in rows.items():
        touched = "touched" if found["touched"] else "untouched"
        print(f"{what:<20} start {found['start'] / MB:6.1f} MB  above it {found['above'] / MB:6.1f} MB  "
              f"written {found['written'] / MB:8.1f} MB  $TMPDIR {touched}")  # fmt: skip
    print(f"headquarters, building that update: {encoding / MB:.1f} MB above what it had")
    print(f"the update on its medium: {size / MB:.1f} MB, {size / wanted.megabytes / MB:.1%} of the model")


def _peak() -> int:
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def once(forge: BundleForge, bundle: Path, place: Path) -> dict[str, int]:
    box = forge.box()
    found = install_in_a_process(forge, box.root, bundle, place / "tmp")
    shutil.rmtree(box.root)
    return found


if __name__ == "__main__":
    main()
