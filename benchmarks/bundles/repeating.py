"""Print whether the same input gives the same bundle: in another folder, on another day, with another hash seed.

    python benchmarks/bundles/repeating.py

Number, time and nonce of a bundle come from the repository, which is copied; each build runs in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = """
import sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bundles.packing import pack
from bundles.document import digest
from bundles.trust.repository import Repository
from bundles.assembly import assemble
from tests.support.bundles import BundleForge, FakeClock
from tests.support import bundles as support
place, days = Path(sys.argv[2]), int(sys.argv[3])
forge = BundleForge.__new__(BundleForge)
forge.folder, forge.clock, forge.code, forge.demo = place, FakeClock(), {}, False
forge.people, forge.count = dict(support.PEOPLE), 0
forge.repository = Repository(place / "trust")
built = assemble(forge.cargo(), forge.repository, place / "out", issued=forge.clock.now + timedelta(days=days),
                 signers=forge.signers())
pack(place / "out", place / "out.tar")
print(built.digest, digest((place / "out.tar").read_bytes()))
"""


def main() -> None:
    here = Path(__file__).parents[2]
    sys.path.insert(0, str(here))
    from tests.support.bundles import BundleForge

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        forge = BundleForge(place / "first")
        forge.build()
        rows = []
        for number, (days, seed) in enumerate(((0, "0"), (1, "1"), (90, "12345"))):
            folder = place / f"another-{number}" / "deeper"
            shutil.copytree(place / "first", folder)
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(here), str(folder), str(days)], check=True, capture_output=True,
                text=True, env={**os.environ, "PYTHONHASHSEED": seed},
            )  # fmt: skip
            rows.append((days, seed, *done.stdout.split()))
    for days, seed, digest, tar in rows:
        print(f"{days:>3} days later, hash seed {seed:<6} bundle {digest[:23]}  tar {tar[:23]}")
    print(
        f"{len({row[2] for row in rows})} digest of {len(rows)} builds; {len({row[3] for row in rows})} of their tars"
    )


if __name__ == "__main__":
    main()
