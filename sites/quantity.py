"""Text with units becomes exact numbers, or an error that shows the form expected.

Sizes are bytes, bandwidths bits per second, durations microseconds: integers. Rates (per second) and prices are
fractions, because `1/h` and `0.1 EUR/GB` have no exact binary value. Floats appear only where a solver needs them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema

HOURS_PER_MONTH = 730

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,12})?)"
_SIZE_UNITS = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_BANDWIDTH_UNITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9, "Tbit/s": 10**12}
_DURATION_UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_RATE_UNITS = {"/s": Fraction(1), "/min": Fraction(1, 60), "/h": Fraction(1, 3600), "/d": Fraction(1, 86400)}
_HOURLY_UNITS = {"h": Fraction(1), "month": Fraction(1, HOURS_PER_MONTH)}
_TRAFFIC_UNITS = {"GB": Fraction(1), "TB": Fraction(1, 1000), "GiB": Fraction(10**9, 2**30)}
_PRICE = re.compile(_NUMBER + r" ([A-Z]{3})/([A-Za-z]{1,5})")


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of one currency, per hour or per gigabyte as the field says.

    Attributes:
        amount: exact, never negative.
        currency: ISO 4217, three capitals.
    """

    amount: Fraction
    currency: str


def _pattern(units: dict[str, Any]) -> re.Pattern[str]:
    return re.compile(_NUMBER + " ?(" + "|".join(map(re.escape, units)) + ")")


_SIZE, _BANDWIDTH = _pattern(_SIZE_UNITS), _pattern(_BANDWIDTH_UNITS)
_DURATION, _RATE = _pattern(_DURATION_UNITS), _pattern(_RATE_UNITS)
_UNITS: dict[re.Pattern[str], dict[str, Any]] = {
    _SIZE: _SIZE_UNITS, _BANDWIDTH: _BANDWIDTH_UNITS, _DURATION: _DURATION_UNITS, _RATE: _RATE_UNITS,
}  # fmt: skip


@lru_cache(maxsize=8192)
def _amount(text: str, pattern: re.Pattern[str]) -> Fraction | None:
    """Return the exact amount in the base unit; a fleet repeats its texts, so answers are kept."""
    found = pattern.fullmatch(text)
    return Fraction(found[1]) * Fraction(_UNITS[pattern][found[2]]) if found else None


def _scaled(text: object, pattern: re.Pattern[str], example: str) -> Fraction:
    amount = _amount(text, pattern) if isinstance(text, str) else None
    if amount is None:
        raise ValueError(f"expected a quantity such as {example}, found {text!r}")
    return amount


def _whole(value: Fraction, what: str) -> int:
    if value.denominator != 1:
        raise ValueError(f"expected a whole number of {what}, found {value}")
    return value.numerator


def parse_size(text: object) -> int:
    """Return bytes for text such as `40MB` or `32GiB`. Raises ValueError."""
    return _whole(_scaled(text, _SIZE, "2KiB, 40MB or 32GiB"), "bytes")


def _some(size: int) -> int:
    if size == 0:
        raise ValueError("expected more than 0 bytes: give what there is, or leave out what has none")
    return size


def parse_bandwidth(text: object) -> int:
    """Return bits per second for text such as `20Mbit/s`. Raises ValueError."""
    return _whole(_scaled(text, _BANDWIDTH, "20Mbit/s"), "bits per second")


def parse_duration(text: object) -> int:
    """Return microseconds for text such as `2.7ms` or `3s`. Raises ValueError."""
    return _whole(_scaled(text, _DURATION, "18ms, 3s or 6h"), "microseconds")


def parse_rate(text: object) -> Fraction:
    """Return events per second for text such as `0.5/s` or `12/h`. Raises ValueError."""
    return _scaled(text, _RATE, "0.5/s or 12/h")


@lru_cache(maxsize=8192)
def _priced(text: str, per: str) -> Price | None:
    units = _HOURLY_UNITS if per == "hour" else _TRAFFIC_UNITS
    found = _PRICE.fullmatch(text)
    return Price(Fraction(found[1]) * units[found[3]], found[2]) if found and found[3] in units else None


def _price(text: object, per: str, example: str) -> Price:
    price = _priced(text, per) if isinstance(text, str) else None
    if price is None:
        raise ValueError(f"expected a price with its currency such as {example}, found {text!r}")
    return price


def parse_hourly_price(text: object) -> Price:
    """Return a price per hour for text such as `0.11 EUR/h` or `80 EUR/month` (730 h). Raises ValueError."""
    return _price(text, "hour", "0.11 EUR/h")


def parse_traffic_price(text: object) -> Price:
    """Return a price per 10^9 bytes for text such as `0.02 EUR/GB`. Raises ValueError."""
    return _price(text, "traffic", "0.02 EUR/GB")


def parse_eighths(value: object) -> int:
    """Return eighths of one accelerator for `3/8`, `1/2` or a whole number up to 1. Raises ValueError."""
    if isinstance(value, (int, str)) and not isinstance(value, bool) and re.fullmatch(r"1|[1-8]/[1248]", str(value)):
        eighths = Fraction(str(value)) * 8
        if eighths.denominator == 1 and 1 <= eighths <= 8:
            return eighths.numerator
    raise ValueError(f"expected a share of one accelerator in eighths such as 3/8, found {value!r}")


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "examples": [example]})


Bytes = Annotated[int, BeforeValidator(parse_size), _text(_SIZE.pattern, "32GiB")]
SomeBytes = Annotated[Bytes, AfterValidator(_some)]
"""A size that cannot be zero, such as the memory of a machine."""
BitsPerSecond = Annotated[int, BeforeValidator(parse_bandwidth), _text(_BANDWIDTH.pattern, "20Mbit/s")]
Microseconds = Annotated[int, BeforeValidator(parse_duration), _text(_DURATION.pattern, "18ms")]
PerSecond = Annotated[Fraction, PlainValidator(parse_rate), _text(_RATE.pattern, "0.5/s")]
PricePerHour = Annotated[Price, PlainValidator(parse_hourly_price), _text(_PRICE.pattern, "0.11 EUR/h")]
PricePerGB = Annotated[Price, PlainValidator(parse_traffic_price), _text(_PRICE.pattern, "0.02 EUR/GB")]
Eighths = Annotated[
    int,
    BeforeValidator(parse_eighths),
    WithJsonSchema({"anyOf": [{"const": 1}, {"type": "string", "pattern": "^[1-8]/[1248]$"}]}),
]
