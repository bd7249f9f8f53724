"""The sites of a generated fleet, and the directory that holds everything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

from tools.fleets import models, pipelines
from tools.fleets.countries import Country, of_fleet, round_trip_ms
from tools.fleets.law import policy

SITES_PER_REGION, FEWEST_REGIONS = 20, 2
LARGE = 10
"""One leaf in so many is large."""
DISCONNECTED, INTERMITTENT = 0.10, 0.15
NEIGHBOURS = 4
"""Regions that each region is wired to: the nearest, and the next in a ring so that all are joined."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A site's name, country and place."""

    name: str
    country: Country
    at: tuple[float, float]


def write_fleet(directory: Path, count: int, seed: int) -> str:
    """Write a fleet of `count` sites into a new directory and say what is in it. Raises FileExistsError."""
    directory.mkdir(parents=True)
    draw = random.Random(seed)
    countries = of_fleet(count)
    regions = _spots("region", max(FEWEST_REGIONS, count // SITES_PER_REGION), countries, draw)
    leaves = _spots("site", count - len(regions), countries, draw)
    ahead = _ahead(regions)
    sites = [_region(index, regions, ahead, draw) for index in range(len(regions))]
    sites += [_leaf(index, spot, regions, draw) for index, spot in enumerate(leaves)]
    _write(directory / "sites", sites)
    _write(directory / "models", [(name, models.manifest(name)) for name in models.MODELS])
    labels = {pair for index in range(len(leaves)) for pair in _labels(index).items()}
    made = [pipelines.manifest(index, draw, labels) for index in range(pipelines.COUNT)]
    _write(directory / "pipelines", [(f"p{index:02}", text) for index, text in enumerate(made) if text is not None])
    (directory / "policy.yaml").write_text(policy({country.bloc for country in countries}))
    return f"{count} sites, {len(regions)} of them regions, in {len(countries)} countries"


def _write(directory: Path, files: Sequence[tuple[str, str]]) -> None:
    directory.mkdir()
    for name, text in files:
        (directory / f"{name}.yaml").write_text(text)


def _spots(kind: str, count: int, countries: Sequence[Country], draw: random.Random) -> list[Spot]:
    """Return places, countries in turn so that none is without, with a name that sorts as it counts."""
    found = []
    for index in range(count):
        country = countries[index % len(countries)] if kind == "region" else draw.choice(countries)
        at = country.latitude + draw.uniform(-2, 2), country.longitude + draw.uniform(-2, 2)
        found.append(Spot(f"{kind}-{country.code.lower()}-{index:05}", country, at))
    return found


def _site(spot: Spot, labels: str, serves: str, operator: str, mode: str, hardware: str, links: Sequence[str]) -> str:
    own = f"{{name: Fleet {spot.country.code}, country: {spot.country.code}, controlledBy: []}}"
    lines = [
        "apiVersion: hybrid/v1",
        "kind: Site",
        f"metadata: {{name: {spot.name}, labels: {{{labels}}}}}",
        "spec:",
        f"  location: {spot.country.code}",
        f"  serves: {serves}",
        "  parties:",
        f"    operator: {operator}",
        f"    owner: {operator}",
        f"    keyCustodian: {own}",
        f"    support: {own}",
        "  access: {support: supervised}",
        "  telemetry: none",
        f"  hardware: [{hardware}]",
        "  connectivity:",
        f"    mode: {mode}",
    ]
    if links:
        lines += ["    links:", *(f"      - {link}" for link in links)]
    return "\n".join(lines) + "\n"


def _link(a: Spot, b: Spot, bandwidth: str, price: str) -> str:
    rtt = round_trip_ms(a.at, b.at)
    return (
        f"{{to: {b.name}, bandwidth: {bandwidth}, rtt: {rtt}ms, price: {price} EUR/GB, transit: [], tls: passthrough}}"
    )


def _near(spot: Spot, others: Sequence[Spot], count: int) -> list[Spot]:
    return nsmallest(count, (o for o in others if o is not spot), key=lambda o: (round_trip_ms(spot.at, o.at), o.name))


def _region(
    index: int, regions: Sequence[Spot], ahead: Sequence[Sequence[int]], draw: random.Random
) -> tuple[str, str]:
    """Return a region: half are run by a local company, half by one that somebody in the US controls."""
    spot = regions[index]
    code = spot.country.code
    parent = "{name: Global Cloud Inc, country: US, controlledBy: []}"
    operator = (
        f"{{name: Cloud {code}, country: {code}, controlledBy: []}}"
        if draw.random() < 0.5
        else f"{{name: Global Cloud {code}, country: {code}, controlledBy: [{parent}]}}"
    )
    # A link is declared at one end: the one with the smaller index.
    links = [
        _link(spot, regions[other], "10Gbit/s", f"{draw.randint(1, 5) / 100}")
        for other in ahead[index]
        if other > index or index not in ahead[other]
    ]
    price = f"{draw.randint(25, 60) / 10}"
    hardware = (
        f"{{name: gpu, count: {draw.randint(2, 5)}, arch: x86_64, isa: [avx2], cpus: 48, memory: 256GiB, disk: 4TB, "
        f"price: {price} EUR/h, accelerators: {{kind: l4, count: 4, memory: 24GiB}}}}, "
        f"{{name: cpu, count: {draw.randint(2, 6)}, arch: x86_64, isa: [avx2], cpus: 32, memory: 128GiB, disk: 2TB, "
        f"price: {draw.randint(8, 16) / 10} EUR/h}}"
    )
    return spot.name, _site(spot, "role: region", "any", operator, "connected", hardware, links)


def _ahead(regions: Sequence[Spot]) -> list[list[int]]:
    """Return the regions that each is wired to."""
    place = {spot.name: index for index, spot in enumerate(regions)}
    near = [{place[other.name] for other in _near(spot, regions, NEIGHBOURS)} for spot in regions]
    return [sorted({(index + 1) % len(regions)} | others) for index, others in enumerate(near)]


def _labels(index: int) -> dict[str, str]:
    """Return a leaf's labels, in turn so that none is missing from a fleet that is not tiny."""
    size = "large" if index % LARGE == LARGE - 1 else "medium" if index % 2 else "small"
    return {"role": pipelines.ROLES[index % 4], "area": pipelines.AREAS[index // 4 % 4], "size": size}


def _leaf(index: int, spot: Spot, regions: Sequence[Spot], draw: random.Random) -> tuple[str, str]:
    kind = draw.random()
    mode = (
        "disconnected" if kind < DISCONNECTED else "intermittent" if kind < DISCONNECTED + INTERMITTENT else "connected"
    )
    bandwidth = draw.choice(("2Mbit/s", "5Mbit/s") if mode == "intermittent" else ("20Mbit/s", "100Mbit/s", "1Gbit/s"))
    near = [] if mode == "disconnected" else _near(spot, regions, draw.choice((1, 2, 2, 3)))
    links = [_link(spot, other, bandwidth, f"{draw.randint(2, 9) / 100}") for other in near]
    arch = draw.choice(("x86_64", "x86_64", "x86_64", "aarch64"))
    cpus, memory, price = draw.choice(((4, 8, 0.06), (8, 32, 0.12), (16, 64, 0.25), (16, 64, 0.30)))
    hardware = (
        f"{{name: box, count: {draw.choice((1, 1, 2))}, arch: {arch}, cpus: {cpus}, memory: {memory}GiB, disk: 500GiB, "
        f"price: {price} EUR/h}}"
    )
    labels = ", ".join(f"{key}: {value}" for key, value in _labels(index).items())
    operator = f"{{name: Fleet {spot.country.code}, country: {spot.country.code}, controlledBy: []}}"
    return spot.name, _site(spot, labels, "own", operator, mode, hardware, links)
