"""Reads a role's bytes once, as they stand there: strictly, and with signatures held against exactly that.

python-tuf parses the bytes, fills in what is null, and encodes what it made of them again to find what was signed, more
than once. Here the canonical form is that of the strict document itself, so what was signed is what stands there; and
of thousands of targets it is encoded once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundles.document import parse
from bundles.errors import InputError, MediumError
from bundles.trust.stock import (
    DeserializationError,
    EnvelopeType,
    Metadata,
    RepositoryError,
    Root,
    Signature,
    Targets,
    TrustedMetadataSet,
    encode_canonical,
)

METADATA_CAP = 2 * 1024 * 1024


def envelope(data: bytes, role: str) -> dict[str, Any]:
    """Return the TUF envelope in `data` after the strict reader; only `signed` and `signatures` may be there.

    Raises:
        MediumError: not one strict document, or an unsigned field beside the two.
    """
    document = parse(data, what=f"{role}.json", cap=METADATA_CAP)
    if set(document) != {"signed", "signatures"}:
        raise MediumError("ENVELOPE", f"{role}.json has unsigned fields beside signed, signatures",
                          advice="ask headquarters for a current medium")  # fmt: skip
    return document


def signed_form(signed: Any, data: bytes) -> bytes:
    """Return TUF's canonical form of `signed`, which stands in `data`.

    Text without a backslash holds no quote, backslash or control character, and there the two forms of JSON agree.
    """
    if b"\\" in data:
        return (encode_canonical(signed) or "").encode()
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def kept(file: Path) -> Metadata[Any]:
    """Return the metadata in one of headquarters' own files.

    Raises:
        InputError: it holds none any more.
    """
    try:
        return Metadata.from_bytes(file.read_bytes())
    except DeserializationError as error:
        raise InputError("METADATA", f"{file} is no metadata any more: {error}",
                         advice="take it from a backup; a draft: hybrid trust abandon") from None  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What was read of `data`; `body` is what its signatures are held against."""

    data: bytes
    metadata: Metadata[Any]
    body: bytes


class StrictSet(TrustedMetadataSet):
    """python-tuf's rule object, which is given every role as it was read here; its rules are untouched."""

    def __init__(self, root: bytes) -> None:
        """Trust `root` by itself, as python-tuf does."""
        self._last: Reading | None = None
        super().__init__(root, EnvelopeType.METADATA)

    def reading(self, data: bytes, role: str) -> Reading:
        """Return what was read of `data`, the very bytes that were given last."""
        if self._last is None or self._last.data is not data:
            document = envelope(data, role)
            body = signed_form(document["signed"], data)
            self._last = Reading(data, Metadata.from_dict(document), body)
        return self._last

    def _load_trusted_root(self, data: bytes) -> None:
        self._load_data = self._load
        super()._load_trusted_root(data)

    def _load(
        self, role: Any, data: bytes, delegator: Root | Targets | None = None, role_name: str | None = None
    ) -> tuple[Any, bytes, dict[str, Signature]]:
        """Do what python-tuf's own loader does, with the reading of here."""
        name = role_name or role.type
        found = self.reading(data, name)
        if found.metadata.signed.type != role.type:
            raise RepositoryError(f"Expected '{role.type}', got '{found.metadata.signed.type}'")
        if delegator:
            delegator.verify_delegate(name, found.body, found.metadata.signatures)
        return found.metadata.signed, found.body, found.metadata.signatures
