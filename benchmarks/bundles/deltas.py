"""Print the size and cost of deltas of a really fine-tuned model, beside bsdiff4 and the full file, in one run.

    python benchmarks/bundles/deltas.py [--models DIRECTORY] [--steps 40]

The model is all-MiniLM-L6-v2, tuned on pairs of neighbouring sentences of our documentation and quantised as the
workshop does; made anew unless DIRECTORY has it. bsdiff4 is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bundles.support.cargo import a_cargo
from benchmarks.bundles.support.finetuned import a_pair
from bundles.delta.decoding import rebuilt
from bundles.delta.encoding import encode
from bundles.delta.tensors import tensors_in
from bundles.document import canonical
from bundles.inspection import look
from tests.support.bundles import BundleForge

MB = 10**6


def timed(act: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    found = act()
    return time.process_time() - began, found


def ours(before: Path, after: Path) -> tuple[int, float, float, float]:
    """Return (bytes, CPU seconds to make, to apply; share of the full file), the result compared byte by byte."""
    body = io.BytesIO()

    def make() -> object:
        first, second = (tensors_in(path.name, {path.name: path}) for path in (before, after))
        return encode(before, after, first, second, body)

    making, document = timed(make)
    full = after.stat().st_size
    if document is None:
        return full, making, 0.0, 1.0
    with before.open("rb") as base:
        applying, result = timed(lambda: rebuilt(document, base, io.BytesIO(body.getvalue())).read())
    assert result == after.read_bytes()
    size = len(body.getvalue()) + len(canonical(document))
    return size, making, applying, size / full


def theirs(before: Path, after: Path) -> tuple[int, float, float, float] | None:
    try:
        import bsdiff4
    except ImportError:
        return None
    old, new = before.read_bytes(), after.read_bytes()
    making, patch = timed(lambda: bsdiff4.diff(old, new))
    applying, result = timed(lambda: bsdiff4.patch(old, patch))
    assert result == new
    return len(patch), making, applying, len(patch) / len(new)


def updates(before: Path, after: Path) -> list[tuple[str, int, int]]:
    """Return (what changed, bytes on the medium, of them signed metadata) for bundles of a site."""
    with tempfile.TemporaryDirectory() as name:
        forge = BundleForge(Path(name))
        path = "models/minilm/w8/model.onnx"
        first = forge.build(a_cargo(forge, {path: before}))
        forge.clock.pass_(days=1)
        second = forge.build(a_cargo(forge, {path: after}, base=first))
        (policy := Path(name) / "policy.yaml").write_text("kind: Policy\nversion: 2\n")
        forge.clock.pass_(days=1)
        third = forge.build(a_cargo(forge, {path: after, "policy/policy.yaml": policy}, base=second))
        bundles = (("everything", first), ("a tuned model", second), ("a policy", third))
        return [(what, look(bundle).size, sum(map(len, look(bundle).tuf.values()))) for what, bundle in bundles]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pairs = a_pair(wanted.models or Path(name), Path(__file__).parents[2] / "docs", steps=wanted.steps)
        print(f"all-MiniLM-L6-v2 after {wanted.steps} steps of fine-tuning, one run, one process")
        print(f"{'':<8}{'full MB':>9}{'':<10}{'MB':>8}{'of full':>9}{'make CPU-s':>12}{'apply CPU-s':>13}")
        for variant, (before, after) in pairs.items():
            mine, peer = ours(before, after), theirs(before, after) if variant != "fp32" else None
            for what, found in (("hybrid", mine), ("bsdiff4", peer)):
                if found is not None:
                    size, making, applying, share = found
                    print(f"{variant:<8}{after.stat().st_size / MB:9.1f}  {what:<8}{size / MB:8.2f}{share:9.1%}"
                          f"{making:12.2f}{applying:13.2f}")  # fmt: skip
            if peer:
                print(f"{'':<8}ours is {mine[0] / peer[0]:.2f} x its size, 1/{peer[1] / mine[1]:.0f} of its CPU")
        print("bytes of a bundle on its medium, where this changed:")
        for what, size, metadata in updates(*pairs["w8"]):
            print(f"  {what:<16}{size:>12,}  (of them {metadata:,} signed metadata)")


if __name__ == "__main__":
    main()
