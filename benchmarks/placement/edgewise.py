"""EdgeWise's shape: one application of eleven components and fourteen flows on up to 512 nodes; seconds to the proof.

    python benchmarks/placement/edgewise.py [NODES …]      (default 64 128 256 512)

Regenerated after the published description (Massa, Forti, Brogi: "Declarative Secure Placement of FaaS Orchestrations",
and EdgeWise itself): a Barabási-Albert network of things, cabinets, access points, providers and clouds, prices that
depend on component and tier alone, a network that never binds. So times compare and costs do not. EdgeWise on two such
cores: 8.4 s at 512 nodes, its MILP 204 s; published 60.7 s.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from placement.engine import plan
from placement.problem import read_problem

TIERS = (("thing", 0.40, 2), ("access", 0.30, 4), ("cabinet", 0.15, 8), ("provider", 0.10, 32), ("cloud", 0.05, 128))
"""Name, share of the nodes, cpus of a node."""

PRICES = {"thing": 0.9, "access": 0.8, "cabinet": 0.7, "provider": 0.5, "cloud": 0.35}
FLOWS = {
    "c1": ("input",), "c2": ("c1",), "c3": ("c1",), "c4": ("c2",), "c5": ("c2", "c3"), "c6": ("c3",),
    "c7": ("c4", "c5"), "c8": ("c6",), "c9": ("c7", "c8"), "c10": ("c8",), "c11": ("c9", "c10"),
}  # fmt: skip
CPUS = {"c1": 1, "c2": 2, "c3": 1, "c4": 4, "c5": 8, "c6": 1, "c7": 16, "c8": 2, "c9": 2, "c10": 1, "c11": 1}
WIRES = 3
DIGEST = "sha256:" + "0" * 64
DAY = dt.date(2026, 12, 1)


def write(directory: Path, nodes: int, seed: int) -> None:
    """Write the application and its infrastructure as manifests."""
    draw = random.Random(seed)
    tiers = [name for name, share, _ in TIERS for _ in range(max(1, round(share * nodes)))][:nodes]
    tiers += ["thing"] * (nodes - len(tiers))
    draw.shuffle(tiers)
    ends = [0]
    for node, tier in enumerate(tiers):
        others = sorted({draw.choice(ends) for _ in range(WIRES)}) if node else []
        ends += [*others, *([node] * max(1, len(others)))]
        (directory / f"n{node:04}.yaml").write_text(_site(node, tier, others, draw))
    for name in FLOWS:
        (directory / f"{name}.yaml").write_text(_model(name))
    stages = "\n".join(
        f"    - {{name: {name}, task: transform, models: [{name}], after: [{', '.join(after)}], output: 10KiB}}"
        for name, after in FLOWS.items()
    )
    (directory / "application.yaml").write_text(
        "apiVersion: hybrid/v1\nkind: Pipeline\nmetadata: {name: application}\nspec:\n  origins: {first: here}\n"
        "  rate: 1/s\n  latency: 20s\n"
        "  input: {data: [system.operations], purposes: [essential.service], size: 10KiB}\n"
        f"  stages:\n{stages}\n"
    )
    (directory / "policy.yaml").write_text(
        "apiVersion: hybrid/v1\nkind: Policy\nmetadata: {name: open}\nspec:\n  packs: [eu-gdpr]\n  rules:\n"
        "    - {id: anywhere, effect: permit, data: all, activities: all, source: generated}\n"
    )


def _site(node: int, tier: str, others: list[int], draw: random.Random) -> str:
    cpus = next(cpus for name, _, cpus in TIERS if name == tier)
    links = "".join(
        f"\n      - {{to: n{other:04}, bandwidth: 1Gbit/s, rtt: {draw.randint(1, 25)}ms, price: 0 EUR/GB, transit: [], "
        "tls: passthrough}"
        for other in others
    )
    party = "{name: Provider, country: FR, controlledBy: []}"
    first = ", first: here" if node == 0 else ""
    return (
        f"apiVersion: hybrid/v1\nkind: Site\nmetadata: {{name: n{node:04}, labels: {{tier: {tier}{first}}}}}\nspec:\n"
        f"  location: FR\n  serves: any\n  parties: {{operator: {party}, owner: {party}, keyCustodian: {party}, "
        f"support: {party}}}\n  access: {{support: supervised}}\n  telemetry: none\n"
        f"  hardware: [{{name: box, count: 1, arch: x86_64, cpus: {cpus}, memory: {4 * cpus}GiB, disk: 1TB, "
        f"price: {PRICES[tier] * cpus:.3f} EUR/h}}]\n  connectivity:\n    mode: connected"
        + (f"\n    links:{links}\n" if links else "\n")
    )


def _model(name: str) -> str:
    return (
        f"apiVersion: hybrid/v1\nkind: Model\nmetadata: {{name: {name}}}\nspec:\n  task: transform\n"
        f'  source: {{package: generated, digest: "{DIGEST}"}}\n  licence: Apache-2.0\n  trainedOn: []\n'
        "  state: approved\n  approval: {by: Nobody (generated), on: 2026-11-20}\n  variants:\n"
        f'    - {{name: only, files: {{model.onnx: "{DIGEST}"}}, '
        f"needs: {{cpus: {CPUS[name]}, memory: 1GiB, disk: 1GB}}, "
        "speed: [{hardware: x86_64, service: 20ms, throughput: 10/s, measuredOn: generated}]}\n"
    )


def main() -> None:
    """Print the table."""
    print("plan: seconds on the wall; the first of a machine compiles")
    print(f"{'nodes':>6} {'read s':>7} {'plan s':>7} {'CPU s':>7} {'EUR/h':>9} {'gap %':>7}")
    for nodes in map(int, sys.argv[1:] or ("64", "64", "128", "256", "512")):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), nodes, seed=nodes)
            begun = time.perf_counter()
            problem = read_problem(Path(folder), DAY)
            read = time.perf_counter() - begun
            begun, cpu = time.perf_counter(), time.process_time()
            made = plan(problem)
            took, spent = time.perf_counter() - begun, time.process_time() - cpu
        gap = "unknown" if made.cost.gap is None else f"{100 * made.cost.gap:.4f}"
        print(f"{nodes:6} {read:7.2f} {took:7.2f} {spent:7.2f} {made.cost.per_hour:9.4f} {gap:>7}", flush=True)


if __name__ == "__main__":
    main()
