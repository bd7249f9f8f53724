"""A fleet: a directory of manifests read once, with the digest of every file.

`sites` knows its own kinds; who knows more (placement) passes them in, so that the arrow of imports stays one-way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sites.noun import Noun
from sites.policy import Pack, Policy
from sites.site import Site

KINDS: dict[str, type[Noun]] = {"Site": Site, "Policy": Policy}
"""The kinds that `sites` itself knows; `Pack` is read from `packs/` only."""

N = TypeVar("N", bound=Noun)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One noun with the file (relative to the fleet) and line it was read from."""

    noun: Noun
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything read from one directory.

    Attributes:
        root: the directory.
        manifests: in the order of (file, line).
        packs: the packs that the fleet's policies name and `org-default`, by name.
        digests: `sha256:…` of every input by its relative path; shipped packs as `pack:NAME`.
    """

    root: Path
    manifests: tuple[Manifest, ...]
    packs: Mapping[str, Pack]
    digests: Mapping[str, str]

    def of(self, kind: type[N]) -> tuple[N, ...]:
        """Return the nouns of one kind, sorted by name."""
        found = [m.noun for m in self.manifests if isinstance(m.noun, kind)]
        return tuple(sorted(found, key=lambda noun: str(getattr(noun, "name"))))  # noqa: B009
