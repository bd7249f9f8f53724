"""Makes the bundle manifest an artifact that a registry can carry, with everything that no other artifact names.

It is the same function of what is signed for whoever builds and for whoever verifies, so its own bytes need no
signature. Of an update bundle, components whose files do not all travel are no artifacts of their own: what is there of
them are layers here.
"""

from __future__ import annotations

from collections.abc import Iterable

from bundles import oci
from bundles.delta.nouns import Base, Bytes
from bundles.layout import TITLE_ANNOTATION
from bundles.nouns import Component

DELTA = "application/vnd.sovereign-hybrid.delta.v1+json"
DELTA_BODY = "application/vnd.sovereign-hybrid.delta.body.v1+zstd"
BILL = "application/vnd.cyclonedx+json"


def bundle_wrapper(bundle: bytes, plan: bytes, bill: bytes, loose: Iterable[oci.Descriptor] = ()) -> bytes:
    """Return the OCI manifest around a bundle manifest, its plan and bill, and the `loose` blobs."""
    layers = (oci.describe(plan, oci.SITEPLAN), oci.describe(bill, BILL), *loose)
    return oci.manifest_bytes(oci.BUNDLE, oci.describe(bundle, oci.BUNDLE), layers)


def loose_blobs(base: Base | None, components: Iterable[tuple[Component, oci.Manifest]]) -> list[oci.Descriptor]:
    """Return what the wrapper of an update bundle names: incomplete components, what of them travels, and deltas."""
    if base is None:
        return []
    found: dict[str, oci.Descriptor] = {}
    for component, manifest in components:
        if is_whole(base, manifest):
            continue
        document = oci.Descriptor(media_type=oci.MANIFEST, digest=component.digest, size=component.size,
                                  annotations={TITLE_ANNOTATION: component.target})  # fmt: skip
        travelling = [layer for layer in manifest.layers if layer.digest not in base.absent]
        found |= {blob.digest: blob for blob in (document, manifest.config, *travelling)}
    for delta in base.deltas:
        for kind, blob in ((DELTA, delta.document), (DELTA_BODY, delta.body)):
            found[blob.digest] = _blob(kind, blob)
    return list(found.values())


def is_whole(base: Base | None, manifest: oci.Manifest) -> bool:
    """Return whether every file of a component travels."""
    return base is None or not any(layer.digest in base.absent for layer in manifest.layers)


def is_cargo(blob: oci.Descriptor) -> bool:
    """Return whether a layer is a file of the release or a delta's body, and no document that verification reads."""
    return bool(blob.path) or blob.media_type == DELTA_BODY


def _blob(kind: str, blob: Bytes) -> oci.Descriptor:
    return oci.Descriptor(media_type=kind, digest=blob.digest, size=blob.size)
