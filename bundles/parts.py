"""Names which part of a split bundle a medium is, and what lies on the others.

Every part carries the index, the metadata and every manifest, so that each can be verified alone and in any order;
only the cargo is shared out. `parts.json` is not signed: it says where to look. What it says is held against what was
signed, and every blob against its digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bundles.carrier import Place
from bundles.document import Noun
from bundles.oci import Digest, Size

PARTS_FILE = "parts.json"
PARTS_CAP = 4 * 1024 * 1024


class Part(Noun):
    """`parts.json`: this is part `part` (from 1) of a split bundle.

    Attributes:
        bundle: digest of the bundle manifest, the same on every part.
        cargo: for each part, what lies there alone: digest -> bytes.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["BundlePart"] = "BundlePart"
    bundle: Digest
    part: Annotated[int, Field(ge=1)]
    cargo: Annotated[tuple[dict[Digest, Size], ...], Field(min_length=1, max_length=999)]

    @model_validator(mode="after")
    def _one_place(self) -> Part:
        """Refuse a part beyond the last, and a blob that lies on two."""
        if self.part > self.count:
            raise ValueError(f"part {self.part} of {self.count}")
        if len({name for blobs in self.cargo for name in blobs}) != sum(map(len, self.cargo)):
            raise ValueError("a blob lies on two parts")
        return self

    @property
    def count(self) -> int:
        """How many parts there are."""
        return len(self.cargo)

    def where(self, digest: str) -> int:
        """Return the part on which a blob lies; this one when it lies on every part."""
        return next((number for number, blobs in enumerate(self.cargo, 1) if digest in blobs), self.part)


Change = Callable[[int, int, str], Place]
"""Asks the person for another medium: (part that is needed, how many there are, what was wrong with the last) -> it."""
