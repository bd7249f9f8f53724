"""Quantities in the words of the manifests, for people: rounded so that what is said is still enough."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_BANDWIDTHS = ((10**12, "Tbit/s"), (10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s"))
_TIMES = ((10**6, "s"), (10**3, "ms"))


def _up(value: Fraction) -> str:
    """Return a number of three or four digits that is not smaller."""
    scale = 1000 if value < 10 else 100 if value < 100 else 10 if value < 1000 else 1
    return f"{float(Fraction(ceil(value * scale), scale)):.10g}"


def size(count: int) -> str:
    """Return at least `count` bytes: `1.5 GiB`."""
    return next((f"{_up(Fraction(count, unit))} {name}" for unit, name in _SIZES if count >= unit), f"{count} B")


def bandwidth(bits: int) -> str:
    """Return at least `bits` per second: `40 Mbit/s`."""
    return next((f"{_up(Fraction(bits, u))} {name}" for u, name in _BANDWIDTHS if bits >= u), f"{bits} bit/s")


def duration(us: int) -> str:
    """Return at least `us` microseconds: `3.6 s`."""
    return next((f"{_up(Fraction(us, unit))} {name}" for unit, name in _TIMES if us >= unit), f"{us} us")


def rate(per_second: Fraction) -> str:
    """Return at most that many per second: `12/s`, `0.5/h`."""
    for unit, factor in (("s", 1), ("min", 60), ("h", 3600), ("d", 86400)):
        if per_second * factor >= 1 or unit == "d":
            value = per_second * factor
            scale = 1000 if value < 10 else 10
            return f"{float(Fraction(floor(value * scale), scale)):.10g}/{unit}"
    raise AssertionError(per_second)


def counted(number: int, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def any_of(names: list[str]) -> str:
    """Return `a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
