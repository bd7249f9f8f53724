"""Holds what a medium carries against what is signed: every document, every file, every blob, exactly (rungs 6 and 9).

A document is compared with its signed digest before it is parsed. What is signed and what lies there must be the same:
nothing more, nothing less, but for what an update bundle says the site has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bundles import layout, oci
from bundles.delta.nouns import Base
from bundles.document import digest, read
from bundles.errors import MediumError, TrustError
from bundles.medium import Medium
from bundles.nouns import BundleManifest, Component, SitePlan
from bundles.oci import MANIFEST_CAP
from bundles.trust.metadata import TrustedBundles
from bundles.trust.roots import environment_of
from bundles.trust.stock import LengthOrHashMismatchError
from bundles.wrapper import bundle_wrapper, loose_blobs

DAMAGED = "do not use this medium; fetch it again from headquarters"
_SHA384 = re.compile(r"[0-9a-f]{96}")


@dataclass
class Named:
    """What the signed documents name: files of the release, blobs to keep, and blobs that only wrap them.

    Of an update bundle `absent` need not be on the medium, and `bodies` are the deltas' own.
    """

    components: list[tuple[Component, oci.Manifest]] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    bodies: dict[str, int] = field(default_factory=dict)
    files: dict[str, oci.Descriptor] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    wrapping: dict[str, int] = field(default_factory=dict)
    sha384: dict[str, str] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)


def contents(
    medium: Medium, trusted: TrustedBundles, site: str, named: Named
) -> tuple[BundleManifest, bytes, SitePlan]:
    """Return the bundle manifest, its bytes and the site plan, all that they name noted in `named` (rung 6).

    Raises:
        TrustError, MediumError: something is not what was signed, or does not go together.
    """
    bundle = _target(medium, trusted, layout.bundle_target(site), "targets", named, named.blobs)
    manifest = read(BundleManifest, bundle, what="bundle manifest")
    plan_bytes = _target(medium, trusted, layout.plan_target(site), layout.site_role(site), named, named.blobs)
    plan = read(SitePlan, plan_bytes, what="site plan", cap=MANIFEST_CAP)
    bill = _target(medium, trusted, layout.bill_target(site), "targets", named, named.blobs)
    _agree(manifest, plan, trusted, site)
    for component in manifest.components:
        _component(medium, trusted, component, site, named)
    if manifest.base:
        _base(manifest.base, named)
    wrapper = bundle_wrapper(bundle, plan_bytes, bill, loose_blobs(manifest.base, named.components))
    named.wrapping |= {digest(wrapper): len(wrapper), digest(oci.EMPTY_BLOB): len(oci.EMPTY_BLOB)}
    return manifest, bundle, plan


def _base(base: Base, named: Named) -> None:
    """Hold what an update takes the site to have against the files that are signed; note what may be absent."""
    sizes = {blob.digest: blob.size for blob in named.files.values()}
    strange = set(base.kept) - set(sizes)
    strange |= {delta.result.digest for delta in base.deltas if sizes.get(delta.result.digest) != delta.result.size}
    if strange:
        raise TrustError("MIX", f"bundle manifest: {min(strange)[:19]} is kept or made, and is no file", advice=DAMAGED)
    named.absent |= base.absent
    named.wrapping |= {delta.document.digest: delta.document.size for delta in base.deltas}
    named.bodies |= {delta.body.digest: delta.body.size for delta in base.deltas}


def _agree(manifest: BundleManifest, plan: SitePlan, trusted: TrustedBundles, site: str) -> None:
    """Hold the bundle manifest against everything else that was signed: no mixing, no matching."""
    role, versions = layout.site_role(site), trusted.versions()
    ours = {item.target for item in manifest.components if _role_of(item.target, site) == role}
    pairs: list[tuple[str, object, object]] = [
        ("site", {manifest.site, plan.site, manifest.requires.site}, {site}),
        ("environment", manifest.environment, environment_of(trusted.root)),
        ("epoch", manifest.epoch, plan.epoch),
        ("versions", manifest.versions, {name: versions[name] for name in layout.delegation_paths(site)}),
        ("targets of the site", ours | {layout.plan_target(site)}, set(trusted.paths(role))),
        ("site plan", manifest.site_plan.target, layout.plan_target(site)),
        ("bill", manifest.bill.target, layout.bill_target(site)),
    ]
    for item in (manifest.site_plan, manifest.bill, *manifest.components):
        where = "targets" if item is manifest.bill else _role_of(item.target, site)
        signed = trusted.target(item.target, where)
        pairs.append((item.target, (item.digest, item.size), ("sha256:" + signed.hashes["sha256"], signed.length)))
    for what, said, found in pairs:
        if said != found:
            raise TrustError("MIX", f"bundle manifest: {what} {said} does not match {found}", advice=DAMAGED)


def _role_of(target: str, site: str) -> str:
    first = target.split("/")[0]
    return first if first in ("models", "runtime") else layout.site_role(site)


def _component(medium: Medium, trusted: TrustedBundles, component: Component, site: str, named: Named) -> None:
    target = component.target
    data = _target(medium, trusted, target, _role_of(target, site), named, named.wrapping)
    manifest = read(oci.Manifest, data, what=target, cap=MANIFEST_CAP)
    named.components.append((component, manifest))
    if manifest.artifact_type != component.artifact_type:
        raise TrustError("MIX", f"{target} is {manifest.artifact_type}", advice=DAMAGED)
    named.wrapping[manifest.config.digest] = manifest.config.size
    for layer in manifest.layers:
        path = layout.logical_path(target, layer.path)
        if path.casefold() in named.folded:
            raise MediumError("PATH-TWICE", f"{path} stands twice in the bundle", advice="build the bundle again")
        named.folded.add(path.casefold())
        named.files[path] = layer
        named.blobs[layer.digest] = layer.size
        if "sha384" in trusted.quorum.hashes:
            _hold_sha384(named, layer, path)


def _hold_sha384(named: Named, layer: oci.Descriptor, path: str) -> None:
    if not _SHA384.fullmatch(layer.sha384) or named.sha384.setdefault(layer.digest, layer.sha384) != layer.sha384:
        raise TrustError("SHA384", f"{path} has no SHA-384, or another one elsewhere", advice=DAMAGED)


def _target(medium: Medium, trusted: TrustedBundles, path: str, role: str, named: Named, kept: dict[str, int]) -> bytes:
    """Return the bytes of a signed target: read, compared with what was signed, not yet parsed."""
    signed = trusted.target(path, role)
    name = "sha256:" + signed.hashes["sha256"]
    data = medium.blob(name, min(signed.length, MANIFEST_CAP))
    try:
        signed.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise TrustError("BLOB", f"{path}: {error}", advice=DAMAGED) from None
    kept[name] = signed.length
    if "sha384" in signed.hashes:
        named.sha384[name] = signed.hashes["sha384"]
    return data


def take(medium: Medium, blob: oci.Descriptor, cap: int) -> bytes:
    """Return an unsigned blob that the index names, held at least to its own digest."""
    data = medium.blob(blob.digest, min(blob.size, cap))
    _same(blob.digest, digest(data), "a blob named by the index")
    return data


def _same(wanted: str, found: str, what: str) -> None:
    if wanted != found:
        raise TrustError("BLOB", f"{what}: bytes are {found[:19]}, signed {wanted[:19]}", advice=DAMAGED)


def exactly(medium: Medium, sizes: Mapping[str, int], named: Named, index: oci.Index) -> None:
    """Refuse a medium that holds more or less than `named` (rung 9).

    Raises:
        MediumError: a blob too many, one missing, or of another length.
    """
    wanted = {**named.wrapping, **named.blobs, **named.bodies}
    unknown = {entry.digest for entry in index.manifests} - set(wanted)
    if unknown:
        raise MediumError("INDEX", f"index.json names {min(unknown)[:19]}, which nothing signed names", advice=DAMAGED)
    for name in sorted({*sizes, *wanted}):
        said, found = wanted.get(name), sizes.get(name)
        if said != found and not (found is None and name in named.absent):
            code = "EXTRA" if said is None else "MISSING" if found is None else "SIZE"
            raise MediumError(f"MEDIUM-{code}", f"blob {name[:19]}: named {said} bytes, found {found}", advice=DAMAGED)
    for name in named.wrapping:
        _same(name, digest(medium.blob(name, MANIFEST_CAP)), "a manifest")
