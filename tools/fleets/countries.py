"""Where the sites of a generated fleet lie: forty countries of three blocs on a map of half an hour's accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

EARTH_KM = 6371
KM_PER_MS = 100
"""Kilometres that a round trip covers in a millisecond: light in glass, there and back."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country with the place that its sites scatter around; `bloc` is whose law it shares."""

    code: str
    bloc: str
    latitude: float
    longitude: float


COUNTRIES = tuple(
    Country(code, bloc, latitude, longitude)
    for bloc, places in {
        "europe": (
            ("FR", 47, 2), ("DE", 51, 10), ("IT", 43, 12), ("ES", 40, -4), ("PL", 52, 19), ("NL", 52, 5), ("BE", 51, 4),
            ("SE", 60, 16), ("AT", 47, 14), ("CZ", 50, 15), ("PT", 39, -8), ("GR", 39, 22), ("HU", 47, 19),
            ("FI", 62, 26), ("DK", 56, 10), ("IE", 53, -8), ("RO", 46, 25), ("BG", 43, 25), ("HR", 45, 16),
            ("SK", 49, 19), ("CH", 47, 8), ("GB", 53, -2), ("NO", 61, 9),
        ),
        "americas": (
            ("US", 39, -95), ("CA", 50, -97), ("BR", -14, -52), ("MX", 23, -102), ("AR", -34, -64), ("CL", -33, -71),
            ("CO", 4, -73), ("UY", -33, -56),
        ),
        "pacific": (
            ("JP", 36, 138), ("KR", 36, 128), ("AU", -25, 134), ("NZ", -41, 174), ("SG", 1, 104), ("IN", 21, 78),
            ("MY", 3, 102), ("TH", 15, 101), ("PH", 13, 122),
        ),
    }.items()
    for code, latitude, longitude in places
)  # fmt: skip
"""The first few of each bloc come first when a fleet is too small for all."""

PACKED = frozenset(c.code for c in COUNTRIES if c.bloc == "europe")
"""Countries whose law is a shipped pack: eu-gdpr, ch-fadp, uk-gdpr."""


def of_fleet(count: int) -> tuple[Country, ...]:
    """Return the countries of a fleet of so many sites: a third from each bloc while they are few."""
    wanted = max(3, min(len(COUNTRIES), count // 5))
    by_bloc = [[c for c in COUNTRIES if c.bloc == bloc] for bloc in ("europe", "americas", "pacific")]
    rounds = max(len(places) for places in by_bloc)
    mixed = [places[i] for i in range(rounds) for places in by_bloc if i < len(places)]
    return tuple(mixed[:wanted])


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the way over ground between two (latitude, longitude)."""
    (la, lo), (lb, ob) = ((radians(x), radians(y)) for x, y in (a, b))
    half = sin((lb - la) / 2) ** 2 + cos(la) * cos(lb) * sin((ob - lo) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, half)))


def round_trip_ms(a: tuple[float, float], b: tuple[float, float]) -> int:
    """Return the round trip between two places: light in glass over a way half as long again, and two for the rest."""
    return 2 + round(1.5 * kilometres(a, b) / KM_PER_MS)
