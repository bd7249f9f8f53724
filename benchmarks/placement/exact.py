"""Seconds that the exact engine takes to a proven optimum, by number of connected sites; a table on stdout.

python benchmarks/placement/exact.py [SITES …]      (default 10 20 30)

Fleets are seeded: a tenth of the sites are regions with accelerators, every clinic has two wires, two pipelines of one
and three stages. CPU seconds, one thread; the peer to run beside is greedy filter-and-score, which comes with search.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from placement.engine import plan
from placement.instance import instance_of
from placement.problem import Problem
from sites.noun import Noun
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_link


def fleet(count: int, seed: int) -> Problem:
    """Return a problem of `count` connected sites."""
    draw = random.Random(seed)
    regions = [f"dc-{index}" for index in range(max(2, count // 10))]
    nouns: list[Noun] = [_region(draw, name, regions) for name in regions]
    for index in range(count - len(regions)):
        links = [a_link(name, rtt=f"{draw.randint(5, 60)}ms") for name in draw.sample(regions, 2)]
        box = a_box(cpus=draw.choice((2, 8)), price=f"0.{draw.randint(10, 40)} EUR/h")
        nouns.append(a_clinic(f"clinic-{index}", draw.choice(("FR", "DE", "CH")), links=links, hardware=[box]))
    draft = a_stage("draft", models=["big"], after=["input", "one"], output="1KiB")
    nouns += [
        a_model("small"),
        a_model("big", *_sizes(draw)),
        a_pipeline("sort", a_stage(**{"async": True}), rate="2/s"),
        a_pipeline("reply", a_stage("one"), draft, a_stage("two", after=["draft"]), latency="3s", rate="0.3/s"),
    ]
    return a_problem(*nouns)


def _region(draw: random.Random, name: str, regions: list[str]) -> Noun:
    devices = {"kind": "l4", "count": 4, "memory": "24GiB"}
    rack = a_box(
        name="gpu", count=4, cpus=64, memory="256GiB", price=f"{draw.randint(3, 6)} EUR/h", accelerators=devices
    )
    ahead = [a_link(other, bandwidth="1Gbit/s") for other in regions if other > name]
    return a_region(
        name, draw.choice(("FR", "US")), hardware=[rack], connectivity={"mode": "connected", "links": ahead}
    )


def _sizes(draw: random.Random) -> list[dict[str, Any]]:
    gpu = [{"hardware": "l4", "service": "700ms", "throughput": "4/s"}]
    cpu = [{"hardware": "x86_64", "service": "900ms", "throughput": "1/s"}]
    return [
        a_variant("fp16", needs={"cpus": 2, "accelerator": "3/8"}, speed=gpu),
        a_variant("w8", needs={"cpus": 4, "memory": "8GiB"}, speed=cpu),
    ]


def main() -> None:
    """Print the table."""
    print(f"{'sites':>6} {'workloads':>9} {'filter s':>9} {'plan s':>8} {'EUR/h':>10} {'gap %':>7} {'unplaced':>8}")
    for count in map(int, sys.argv[1:] or ("10", "20", "30")):
        problem = fleet(count, seed=count)
        begun = time.process_time()
        workloads = len(instance_of(problem).workloads)
        filtered = time.process_time()
        made = plan(problem)
        took = time.process_time() - filtered
        gap = 100 * (made.cost.gap or 0)
        row = f"{count:6} {workloads:9} {filtered - begun:9.2f} {took:8.2f} {made.cost.per_hour:10.4f} {gap:7.3f}"
        print(f"{row} {len(made.unplaced):8}", flush=True)


if __name__ == "__main__":
    main()
