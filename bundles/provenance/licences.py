"""Reads the licence that a wheel declares in its metadata, at headquarters."""

from __future__ import annotations

import email.parser
import zipfile
from pathlib import Path

_SPDX_OF = {
    "Apache 2.0": "Apache-2.0", "MIT License": "MIT", "3-Clause BSD License": "BSD-3-Clause", "ISC License": "ISC",
    "OSI Approved :: Apache Software License": "Apache-2.0", "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: ISC License (ISCL)": "ISC",
}  # fmt: skip
METADATA_CAP = 4 * 1024 * 1024


def licence_of(wheel: Path) -> str:
    """Return the licence of `wheel`: its SPDX expression where it gives one, else its own words; empty for none."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        if not names:
            return ""
        with archive.open(names[0]) as file:
            fields = email.parser.BytesHeaderParser().parsebytes(file.read(METADATA_CAP))
    if expression := fields.get("License-Expression"):
        return str(expression).strip()
    classifiers = [str(line).removeprefix("License :: ") for line in fields.get_all("Classifier", [])
                   if str(line).startswith("License :: ")]  # fmt: skip
    words = str(fields.get("License") or "").strip()
    said = [words] if words and "\n" not in words and len(words) < 60 else classifiers
    return " AND ".join(sorted({_SPDX_OF.get(one, one) for one in said}))
