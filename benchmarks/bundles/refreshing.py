"""Print what refreshing metadata of 5,000 targets costs, beside python-tuf's client with as many, rounds interleaved.

    python benchmarks/bundles/refreshing.py [--targets 5000] [--rounds 9]

Ours verifies root, timestamp, snapshot, targets and three delegations, each with a whole quorum's signatures in two
families (the targets stand in one delegation); the peer verifies four roles with one Ed25519 signature each.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tuf.api.metadata import TargetFile

from benchmarks.bundles.support import stock
from benchmarks.bundles.support.cargo import cost_of, median
from bundles.inspection import look
from bundles.layout import delegation_paths
from bundles.trust.metadata import TrustedBundles
from tests.support.bundles import SITE, BundleForge


def many(count: int) -> dict[str, TargetFile]:
    """Return as many targets, as a catalogue of model variants has them."""
    names = [f"models/model-{number:05d}.w8.json" for number in range(count)]
    return {name: TargetFile(700, {"sha256": hashlib.sha256(name.encode()).hexdigest()}, name) for name in names}


def a_bundle(forge: BundleForge, count: int) -> Path:
    """Build a bundle whose repository has `count` other models too."""
    forge.build()
    repository = forge.repository
    models = repository.targets_of("models") | many(count)
    repository.draft_targets({"models": models}, repository.targets_of("targets"), repository.sites(), forge.clock.now)
    repository.sign(forge.signers())
    assert repository.publish()
    return forge.build(forge.cargo(table={"stages": ["quote"]}))


def refresh(files: dict[str, bytes], forge: BundleForge) -> None:
    trusted = TrustedBundles(files["1.root.json"], now=forge.clock.now, environment="production")
    trusted.update_timestamp(files["timestamp.json"])
    trusted.update_snapshot(files["snapshot.json"])
    trusted.update_targets(files["targets.json"])
    for role in delegation_paths(SITE):
        trusted.update_delegation(role, files[f"{role}.json"], SITE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        forge = BundleForge(place)
        files = look(a_bundle(forge, wanted.targets)).tuf
        root = stock.publish(place / "stock", many(wanted.targets))

        def peer() -> None:
            stock.client(place / "stock", place / "client", root).refresh()

        ours, theirs = [], []
        for _ in range(wanted.rounds):
            ours.append(cost_of(lambda: refresh(files, forge)))
            theirs.append(cost_of(peer))
            shutil.rmtree(place / "client")
    print(f"{wanted.targets} targets, {sum(map(len, files.values())):,} bytes of metadata, median of {wanted.rounds}")
    for what, costs in (("hybrid", ours), ("python-tuf's client", theirs)):
        print(f"{what:<22}{median(costs).wall * 1e3:8.1f} ms wall {median(costs).cpu * 1e3:8.1f} ms CPU")


if __name__ == "__main__":
    main()
