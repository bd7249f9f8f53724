"""Countries (ISO 3166), blocs, and whether a place lies within them, in three values.

A place is a country (`FR`) or a subdivision (`FR-69`). A subdivision lies within its country; whether a country lies
within one of its own subdivisions is unknown, because the fact is coarser than the question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator

from sites.noun import Described

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
        "GP",
        "MQ",
        "GF",
        "RE",
        "YT",
        "MF",
        "AX",
    ]
)
"""The Union with its outermost regions that have ISO codes of their own (TFEU Art. 355(1)) and Åland."""

BLOCS: dict[str, frozenset[str]] = {"EU": EU, "EEA": EU | {"IS", "LI", "NO"}}

OWN_CODE = {
    **{f"FR-{code}": code for code in ("BL", "MF", "NC", "PF", "PM", "TF", "WF")},
    **dict(zip(("FR-971", "FR-972", "FR-973", "FR-974", "FR-976"), ("GP", "MQ", "GF", "RE", "YT"), strict=True)),
    **{f"NL-{code}": code for code in ("AW", "CW", "SX")},
    **dict.fromkeys(("NL-BQ1", "NL-BQ2", "NL-BQ3"), "BQ"),
    **dict.fromkeys(("NO-21", "NO-22"), "SJ"),
    **{f"US-{code}": code for code in ("AS", "GU", "MP", "PR", "UM", "VI")},
    **{f"CN-{code}": code for code in ("HK", "MO", "TW")},
    "FI-01": "AX",
}
"""Subdivisions that have a country code too. Many lie outside the law of the country that lists them (TFEU Art. 355(2):
New Caledonia is no part of the Union, Réunion is), so only the country's code says where that is."""

Truth = bool | None
"""True, false, or unknown (None)."""


@cache
def _table() -> tuple[dict[str, str], frozenset[str]]:
    table = json.loads((files("sites") / "tables" / "iso3166.json").read_text(encoding="utf-8"))
    return table["countries"], frozenset(table["subdivisions"])


def is_country(code: str) -> bool:
    """Return whether `code` is an ISO 3166-1 alpha-2 code."""
    return code in _table()[0]


def country_name(code: str) -> str:
    """Return the English short name of a country. Raises KeyError for an unknown code."""
    return _table()[0][code]


def country_of(place: str) -> str:
    """Return the country of a place."""
    return place[:2]


def _meant(code: str) -> str:
    """Return a hint for what people write in place of a code: UK, EL, lower case, or a country's name."""
    names = {name.upper(): key for key, name in _table()[0].items()}
    upper = code.upper()
    meant = {"UK": "GB", "EL": "GR"}.get(upper) or names.get(upper) or (upper if is_country(upper) else None)
    return f": did you mean {meant}?" if meant else ""


_PLACE = "[A-Z]{2}(-[A-Z0-9]{1,3})?"


def _country(code: str) -> str:
    if not is_country(code):
        raise ValueError(f"{code!r} is no ISO 3166-1 country code (two capitals such as FR){_meant(code)}")
    return code


def _place(code: str) -> str:
    if not is_country(code) and code not in _table()[1]:
        raise ValueError(
            f"{code!r} is neither an ISO 3166-1 country (FR) nor an ISO 3166-2 subdivision (FR-69){_meant(code)}"
        )
    if code in OWN_CODE:
        raise ValueError(f"{code!r} has a country code of its own: write {OWN_CODE[code]}")
    return code


def _region(code: str) -> str:
    return code if code in BLOCS else _place(code)


CountryCode = Annotated[str, AfterValidator(_country), Described(lambda _: {"enum": sorted(_table()[0])})]
Place = Annotated[str, AfterValidator(_place), Described(lambda plain: {**plain, "pattern": f"^{_PLACE}$"})]
Region = Annotated[str, AfterValidator(_region), Described(lambda plain: {**plain, "pattern": f"^(EU|EEA|{_PLACE})$"})]
"""A country, a subdivision or a bloc, as rules name them."""


def members(regions: Iterable[str]) -> frozenset[str]:
    """Return the places that `regions` name, blocs resolved to their countries."""
    return frozenset(place for region in regions for place in BLOCS.get(region, (region,)))


def within(place: str | None, regions: Iterable[str]) -> Truth:
    """Return whether `place` lies within any of `regions`; None when it cannot be told."""
    if place is None:
        return None
    return _within(place, tuple(regions))


@lru_cache(maxsize=65536)
def _within(place: str, regions: tuple[str, ...]) -> Truth:
    """Remember: a policy names a handful of sets of regions, and a plan asks about them a million times."""
    named = members(regions)
    if place in named or country_of(place) in named:
        return True
    if place == country_of(place) and any(region.startswith(place + "-") for region in named):
        return None
    return False
