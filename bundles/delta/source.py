"""Says where an install takes a blob from: the medium, or a base in the store and a delta.

The base is hashed again before it is used. Where it is missing or damaged the full file is taken, if the medium has
it; else the update is refused, and what runs goes on running.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bundles.delta.nouns import Delta, DeltaDocument, odd
from bundles.document import digest, read
from bundles.errors import GateError, StateError
from bundles.medium import Medium
from bundles.store import Store
from bundles.verification import MANIFEST_CAP, VerifiedBundle


def require_base(bundle: VerifiedBundle, store: Store) -> None:
    """Refuse an update before anything is written, if this box lacks what the update builds on.

    Raises:
        GateError: a blob that should be here is not, and the medium does not carry it.
    """
    base = bundle.manifest.base
    if base is None:
        return
    needed = {name: (name, bundle.blobs[name]) for name in base.kept}
    needed |= {delta.result.digest: (delta.base.digest, delta.base.size) for delta in base.deltas}
    for name, (wanted, size) in needed.items():
        if not (bundle.medium.has(name) or store.has(wanted, size) or store.has(name, bundle.blobs[name])):
            raise _lacking(bundle, wanted)


@contextmanager
def opened(bundle: VerifiedBundle, name: str, store: Store) -> Iterator[BinaryIO]:
    """Open blob `name` of a verified bundle for one pass of reading, wherever its bytes come from.

    Raises:
        GateError: the base is not here, and the full file is not on the medium.
        TrustError: while it is read, when a delta is not what was signed.
    """
    delta = bundle.manifest.base.making(name) if bundle.manifest.base else None
    base = _intact(delta, store) if delta else None
    if delta and base:
        from bundles.delta.decoding import rebuilt  # numpy and zstandard, which only a delta needs

        document = _document(bundle.medium, delta)
        with bundle.medium.open_blob(delta.body.digest) as body, base.open("rb") as file:
            yield rebuilt(document, file, body)
        return
    if not bundle.medium.has(name):
        raise _lacking(bundle, delta.base.digest if delta else name)
    with bundle.medium.open_blob(name) as source:
        yield source


def _intact(delta: Delta, store: Store) -> Path | None:
    """Return the base's path after hashing it again; None when it is missing or no longer what it was."""
    if not store.has(delta.base.digest, delta.base.size):
        return None
    try:
        return store.rehash(delta.base.digest)
    except StateError:
        return None


def _document(medium: Medium, delta: Delta) -> DeltaDocument:
    """Return the delta's document, its bytes compared with what was signed and parsed after that."""
    data = medium.blob(delta.document.digest, min(delta.document.size, MANIFEST_CAP))
    if digest(data) != delta.document.digest:
        raise odd("its document has other bytes than were signed")
    document = read(DeltaDocument, data, what="delta", cap=MANIFEST_CAP)
    signed = (delta.base, delta.result, delta.body.size)
    if (document.base, document.result, document.body_size) != signed:
        raise odd("its document is of another base, result or body")
    return document


def _lacking(bundle: VerifiedBundle, name: str) -> GateError:
    base = bundle.manifest.base
    earlier = base.bundle[:19] if base else "another"
    return GateError(
        "BASE", f"this update builds on bundle {earlier}, whose blob {name[:19]} is missing or damaged here",
        advice="ask headquarters for the full bundle", safe="what runs goes on running",
    )  # fmt: skip
