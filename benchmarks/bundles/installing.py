"""Print what verifying and installing a bundle costs, beside the floors and the peers, in one run, rounds interleaved.

    python benchmarks/bundles/installing.py [DIRECTORY] [--megabytes 1000] [--rounds 7] [--model-signing PYTHON]

Floors: hashing the same files with SHA-256, and copying them in one pass with hash, fsync and rename. Peers:
model_signing's verify (of a Python that has it; else it is left out) and python-tuf's client, which does not fsync.
A ratio is the median of the rounds' ratios to the floor of the same round; each round has an order of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tuf.api.metadata import TargetFile

from benchmarks.bundles.support import stock
from benchmarks.bundles.support.cargo import MB, Cost, a_cargo, cost_of, median, random_files
from bundles.layout import Box
from bundles.medium import Medium
from bundles.verification import Trust, verify
from tests.support.bundles import BundleForge

CHUNK = 1024 * 1024


def pieces(path: Path) -> Iterator[bytes]:
    handle, at = os.open(path, os.O_RDONLY), 0
    while piece := os.pread(handle, CHUNK, at):
        at += len(piece)
        yield piece
    os.close(handle)


def hash_all(files: list[Path]) -> None:
    for path in files:
        sha = hashlib.sha256()
        for piece in pieces(path):
            sha.update(piece)


def copy_all(files: list[Path], into: Path) -> None:
    """Copy in one pass, as little as can be done: hash, write, fsync, rename, fsync of the folder."""
    into.mkdir()
    for path in files:
        sha, temp = hashlib.sha256(), into / ".part"
        with temp.open("wb", buffering=0) as target:
            for piece in pieces(path):
                sha.update(piece)
                target.write(piece)
            os.fsync(target.fileno())
        temp.rename(into / sha.hexdigest())
        handle = os.open(into, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


MODEL_SIGNING = """
import sys, pathlib, time, os
from model_signing import signing, verifying
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import serialization as s
model, place, act = map(pathlib.Path, sys.argv[1:4])
if str(act) == "sign":
    key = ec.generate_private_key(ec.SECP256R1())
    (place / "key").write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    (place / "pub").write_bytes(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    signing.Config().use_elliptic_key_signer(private_key=place / "key").sign(model, place / "model.sig")
else:
    wall, cpu = time.perf_counter(), time.process_time()
    verifying.Config().use_elliptic_key_verifier(public_key=place / "pub").verify(model, place / "model.sig")
    print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def by_model_signing(python: str, model: Path, place: Path, act: str) -> Cost:
    command = [python, "-c", MODEL_SIGNING, str(model), str(place), act]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Cost(float(words[0]), float(words[1]), 0) if words else Cost(0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", default=None)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model-signing")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.directory) as name:
        rows, facts = measure(Path(name), wanted.megabytes, wanted.rounds, wanted.model_signing)
    show(rows, wanted.megabytes, wanted.rounds)
    print("\n".join(facts))


def measure(
    place: Path, megabytes: int, rounds: int, model_signing: str | None
) -> tuple[dict[str, list[Cost]], list[str]]:  # fmt: skip
    forge = BundleForge(place)
    files = random_files(place / "files", [megabytes * MB // 4] * 4)
    bundle = forge.build(a_cargo(forge, files))
    largest = sorted((bundle / "blobs" / "sha256").iterdir(), key=lambda path: -path.stat().st_size)[:4]
    trust = Trust(forge.repository.roots()[0].read_bytes(), "production", forge.clock.now)
    targets = {path.name: TargetFile.from_file(path.name, str(path)) for path in largest}
    root = stock.publish(place / "stock", targets)
    (place / "stock" / "targets").mkdir()
    (place / "models").mkdir()
    for path in largest:
        os.link(path, place / "stock" / "targets" / path.name)
        os.link(path, place / "models" / path.name)

    def verified() -> None:
        with Medium(bundle) as medium:
            verify(medium, trust).check_blobs()

    acts: dict[str, Callable[[], Cost]] = {
        "SHA-256 alone (floor)": lambda: cost_of(lambda: hash_all(largest)),
        "hybrid bundle verify": lambda: cost_of(verified),
    }
    if model_signing:
        by_model_signing(model_signing, place / "models", place, "sign")
        acts["model_signing verify"] = lambda: by_model_signing(model_signing, place / "models", place, "verify")
    acts |= {
        "one-pass copy and hash (floor)": lambda: _once(place / "copied", lambda at: copy_all(largest, at)),
        "hybrid site install": lambda: _install(forge, bundle),
        "python-tuf's client": lambda: _once(
            place / "client", lambda at: stock.download(place / "stock", at, root, list(targets))
        ),
    }
    found: dict[str, list[Cost]] = {what: [] for what in acts}
    for number in range(rounds):
        order = list(acts)
        random.Random(number).shuffle(order)  # who writes first after others have read pays for fresh memory
        for what in order:
            found[what].append(acts[what]())
    return found, _written(forge, bundle, place, files)


def _once(at: Path, act: Callable[[Path], None]) -> Cost:
    cost = cost_of(lambda: act(at))
    shutil.rmtree(at)
    return cost


def _install(forge: BundleForge, bundle: Path) -> Cost:
    box = forge.box()
    cost = cost_of(lambda: box.install(bundle))
    shutil.rmtree(box.root)
    return cost


def _written(forge: BundleForge, bundle: Path, place: Path, files: dict[str, Path]) -> list[str]:
    """Return what an install writes, and what another writes of which one model of four has changed."""
    box = forge.box()
    first = cost_of(lambda: box.install(bundle)).written
    new = sum(path.stat().st_size for root in (Box(box.root).store, Box(box.root).runtimes) for path in root.rglob("*")
              if path.is_file())  # fmt: skip
    forge.clock.pass_(days=1)
    size = next(iter(files.values())).stat().st_size
    second = forge.build(a_cargo(forge, files | random_files(place / "again", [size], seed=9)))
    again = cost_of(lambda: box.install(second))
    return [
        f"bytes written by an install: {first:,} = {first / new:.4f} x (new blobs + unpacked wheels)",
        f"reinstall, one model of four changed: {again.written:,} bytes = {again.written / size:.4f} x the changed, "
        f"{again.wall:.2f} s, {again.cpu:.2f} CPU-s",
    ]


def show(rows: dict[str, list[Cost]], megabytes: int, rounds: int) -> None:
    print(f"{megabytes} MB in four files, median of {rounds} interleaved rounds, {os.cpu_count()} cores")
    print(f"{'':<32}{'wall s':>8}{'CPU s':>8}{'MB/s':>8}{'x floor wall':>14}{'x floor CPU':>13}{'MB written':>12}")
    floor = next(iter(rows.values()))
    for what, costs in rows.items():
        floor, cost = costs if "floor" in what else floor, median(costs)
        wall = statistics.median(one.wall / least.wall for one, least in zip(costs, floor, strict=True))
        cpu = statistics.median(one.cpu / least.cpu for one, least in zip(costs, floor, strict=True))
        print(
            f"{what:<32}{cost.wall:8.2f}{cost.cpu:8.2f}{megabytes / cost.wall:8.0f}{wall:14.2f}{cpu:13.2f}"
            f"{cost.written / MB:12.1f}"
        )


if __name__ == "__main__":
    main()
