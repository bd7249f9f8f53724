"""Write the tables in `sites/tables/` from pycountry and fideslang; a test holds that they still agree.

Usage: make_tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pycountry
from fideslang.default_taxonomy import DEFAULT_TAXONOMY

TABLES = Path(__file__).parent.parent / "sites" / "tables"


def iso3166() -> dict[str, Any]:
    """Return country names by alpha-2 code, and the sorted ISO 3166-2 codes."""
    return {
        "countries": {c.alpha_2: c.name for c in sorted(pycountry.countries, key=lambda c: c.alpha_2)},
        "subdivisions": sorted(s.code for s in pycountry.subdivisions),
    }


def fides() -> dict[str, Any]:
    """Return the keys of the Fides taxonomy's data categories and data uses."""
    return {
        "dataClasses": sorted(str(c.fides_key) for c in DEFAULT_TAXONOMY.data_category),
        "purposes": sorted(str(u.fides_key) for u in DEFAULT_TAXONOMY.data_use),
    }


def main() -> None:
    """Write both tables."""
    for name, table in {"iso3166": iso3166(), "fides": fides()}.items():
        (TABLES / f"{name}.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
