"""The shipped tables are those of pycountry and fideslang, and quantities mean what they say."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import pytest

from sites.quantity import (
    Price,
    parse_bandwidth,
    parse_duration,
    parse_eighths,
    parse_hourly_price,
    parse_rate,
    parse_size,
    parse_traffic_price,
)  # fmt: skip

ROOT = Path(__file__).parents[2]


def test_tables_agree_with_their_sources() -> None:
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "tools" / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name, made in {"iso3166": tool.iso3166(), "fides": tool.fides()}.items():
        shipped = json.loads((ROOT / "sites" / "tables" / f"{name}.json").read_text(encoding="utf-8"))
        assert shipped == made, "run python tools/make_tables.py and read the difference"


def test_units_are_exact() -> None:
    assert parse_size("32GiB") == 32 * 2**30
    assert parse_size("1.5KB") == 1500
    assert parse_bandwidth("20Mbit/s") == 20_000_000
    assert parse_duration("2.7ms") == 2700
    assert parse_rate("12/h") == Fraction(1, 300)
    assert parse_hourly_price("73 EUR/month") == Price(Fraction(1, 10), "EUR")
    assert parse_traffic_price("0.02 EUR/GB") == Price(Fraction(1, 50), "EUR")
    assert [parse_eighths(value) for value in (1, "3/8", "1/2")] == [8, 3, 4]


@pytest.mark.parametrize("text", ["", "GiB", "32", "32 gib", "-1GiB", "1e3GB", "0.3B", "٣GiB", 32, None, ["1B"], True])
def test_other_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_size(text)


@pytest.mark.parametrize("value", [0, 2, "9/8", "1/3", "0/8", True, 0.5, None])
def test_other_shares_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="eighths"):
        parse_eighths(value)
