"""Knowledge: a store of documents, what data it holds, under which law, and where it may live."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from placement.catalogue import Source
from sites.data import DeclaredAtom
from sites.noun import AsTuple, Metadata, Noun, Selector
from sites.quantity import Bytes, Microseconds


class KnowledgeSpec(Noun):
    """The store; `size` in bytes, taken once on each node with a replica that reads it.

    `retain` is how long a copy of it stays at a site, in microseconds; None is unknown.
    """

    data: Annotated[tuple[DeclaredAtom, ...], AsTuple, Field(min_length=1)]
    sites: Selector
    size: Bytes
    source: Source
    retain: Microseconds | None = None


class Knowledge(Noun):
    """A manifest of kind Knowledge."""

    metadata: Metadata
    spec: KnowledgeSpec

    @property
    def name(self) -> str:
        """Return the store's name."""
        return self.metadata.name
