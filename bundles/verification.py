"""Turns a medium into a `VerifiedBundle`, by a ladder whose every rung must hold.

1. The medium holds nothing but a bundle's files, within caps.          (medium.survey)
2. Index and TUF artifact are strict documents and say where to look.
3. Every newer root meets the old root's quorum and its own.            (TUF 5.3)
4. Timestamp, snapshot, targets and the three delegations meet theirs, unexpired at the effective time. (TUF 5.4-5.6)
5. Nothing is older than, or different from, what this box has seen.
6. The bundle manifest is the signed one, and names exactly the signed components, plan, bill and versions. (contents)
7. Nothing in it is revoked or below the security floor.
8. The gate: it is for this site, jurisdiction and machine; residency at the door agrees.
9. The medium holds exactly the blobs that are named, in their lengths; a part of a split bundle is one of this bundle.
10. Every blob has its digest: here with `check_blobs`, on install while it is copied.

Bytes are compared with a signed digest before they are parsed; only index, OCI manifests and TUF envelopes are read
before that, by the strict reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bundles import gate, layout, oci
from bundles.contents import DAMAGED, Named, contents, exactly, take
from bundles.document import DOCUMENT_CAP, digest, read, stamp, unstamp
from bundles.errors import GateError, MediumError, TrustError
from bundles.medium import Medium
from bundles.nouns import BundleManifest, Enrolment, SitePlan
from bundles.store import Hashing, chunks
from bundles.trust.expiry import ExpiryPolicy
from bundles.trust.metadata import TrustedBundles
from bundles.trust.quorum import needs_compliance
from bundles.trust.reading import METADATA_CAP
from bundles.trust.state import State

MANIFEST_CAP = oci.MANIFEST_CAP
ROOTS_CAP = 256
TUF_CAP = 32 * 1024 * 1024
_TUF_NAME = re.compile(r"[1-9][0-9]{0,5}\.root\.json|[a-z][a-z0-9-]{0,99}\.json")
_ASK = "ask headquarters for a current medium"
_OWN = object()

Residency = Callable[[Mapping[str, Any], Enrolment], list[str]]


@dataclass(frozen=True)
class Trust:
    """What a verifier knows before it opens a medium.

    Attributes:
        root: bytes of the root of trust in force; now: the effective time.
        state, enrolment: the box's own; None at headquarters, where rungs 5 and 8 have nothing to compare with.
        residency: says why the site plan may not be installed here; empty when it may.
    """

    root: bytes
    environment: str
    now: datetime
    state: State | None = None
    enrolment: Enrolment | None = None
    residency: Residency | None = None


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle whose metadata, manifest and plan are verified; its blobs are hashed as they are taken.

    Only `verify` makes one. `files` is logical path -> blob; `blobs` is every blob a box keeps, digest -> size;
    `sha384` gives those of them that profile `cnsa2` signed by SHA-384 too.
    """

    medium: Medium
    manifest: BundleManifest
    digest: str
    plan: SitePlan
    root: bytes
    metadata: Mapping[str, bytes]
    files: Mapping[str, oci.Descriptor]
    blobs: Mapping[str, int]
    sha384: Mapping[str, str]
    versions: Mapping[str, int]
    digests: Mapping[str, str]
    issued: datetime
    expiry: ExpiryPolicy
    expired: Mapping[str, str]
    proof: object = field(repr=False, default=None)

    def __post_init__(self) -> None:
        """Refuse to exist outside this module."""
        if self.proof is not _OWN:
            raise TypeError("a VerifiedBundle is made by verification.verify alone")

    def check_blobs(self, advance: Callable[[float], None] | None = None) -> None:
        """Hash every blob on the medium (rung 10), of a split bundle on this part, for a look without an install.

        Raises:
            TrustError: a blob has other bytes than were signed.
        """
        bodies = [delta.body for delta in self.manifest.base.deltas] if self.manifest.base else []
        for name, size in {**self.blobs, **{body.digest: body.size for body in bodies}}.items():
            if not self.medium.here(name):
                continue
            sha = Hashing(self.sha384.get(name))
            with self.medium.open_blob(name) as file:
                for piece in chunks(file, size):
                    sha.update(piece)
                    if advance:
                        advance(len(piece))
            if not sha.holds(name):
                raise TrustError("BLOB", f"blob: bytes are {sha.digest[:19]}, signed {name[:19]}", advice=DAMAGED)


def verify(medium: Medium, trust: Trust) -> VerifiedBundle:
    """Climb the ladder up to rung 9 and return the bundle.

    Raises:
        MediumError, TrustError, GateError: the first rung that does not hold, by its code.
    """
    sizes = medium.survey()  # 1
    named = Named()
    index, files = _where_to_look(medium, named)  # 2
    site = _carried_site(files)
    trusted, climbed = _metadata(files, trust, site)  # 3, 4
    if trust.state:
        _not_older(trusted, trust.state)  # 5
    manifest, bundle, plan = contents(medium, trusted, site, named)  # 6
    verified = VerifiedBundle(
        medium=medium, manifest=manifest, digest=digest(bundle), plan=plan,
        root=climbed.get(f"{trusted.root.version}.root.json", trust.root), metadata=climbed,
        files=named.files, blobs=named.blobs, sha384=named.sha384,
        versions=trusted.versions(), digests=dict(trusted.digests),
        issued=_issued(trusted, plan),
        expiry=trusted.expiry, expired=dict(trusted.expired), proof=_OWN,
    )  # fmt: skip
    _not_revoked(verified, trust.state)  # 7
    _gate(verified, trust)  # 8
    exactly(medium, sizes, named, index)  # 9
    if medium.part is not None and medium.part.bundle != verified.digest:
        raise MediumError("PARTS", f"parts.json is of bundle {medium.part.bundle[:19]}", advice=DAMAGED)
    return verified


def _issued(trusted: TrustedBundles, plan: SitePlan) -> datetime:
    """Return the newest signed time. A plan's own is never beyond it: custodians sign the plan by its digest alone."""
    newest = max(trusted.issued.values())
    if unstamp(plan.issued, what="site plan") > newest:
        raise TrustError("ISSUED", f"the site plan says {plan.issued}, what signs it {stamp(newest)}",
                         advice="telephone headquarters: its plan is from a time to come")  # fmt: skip
    return newest


def _where_to_look(medium: Medium, named: Named) -> tuple[oci.Index, dict[str, bytes]]:
    read(oci.Layout, medium.read("oci-layout", 1024), what="oci-layout")
    index = read(oci.Index, medium.read("index.json", DOCUMENT_CAP), what="index.json")
    entries = [entry for entry in index.manifests if oci.tag_of(entry) == layout.TUF_TAG]
    if len(entries) != 1:
        raise MediumError("TUF-TAG", f"index.json has {len(entries)} entries tagged tuf, not one", advice=DAMAGED)
    data = take(medium, entries[0], MANIFEST_CAP)
    artifact = read(oci.Manifest, data, what="TUF artifact", cap=MANIFEST_CAP)
    named.wrapping |= {blob.digest: blob.size for blob in (entries[0], artifact.config, *artifact.layers)}
    files: dict[str, bytes] = {}
    for layer in artifact.layers:
        name = (layer.annotations or {}).get(layout.TITLE_ANNOTATION, "")
        full = len(files) > ROOTS_CAP or sum(map(len, files.values())) > TUF_CAP
        if not _TUF_NAME.fullmatch(name) or name in files or full:
            raise MediumError("TUF-FILES", f"the TUF artifact names {name!r} wrongly", advice=DAMAGED)
        files[name] = take(medium, layer, METADATA_CAP)
    return index, files


def _carried_site(files: Mapping[str, bytes]) -> str:
    sites = [name.removeprefix("site-plans-").removesuffix(".json") for name in files if needs_compliance(name)]
    if len(sites) != 1 or not layout.SITE.fullmatch(sites[0]):
        raise TrustError("SITE-PLAN", f"the medium carries {len(sites)} site plans, not one", advice=DAMAGED)
    return sites[0]


def _metadata(files: Mapping[str, bytes], trust: Trust, site: str) -> tuple[TrustedBundles, dict[str, bytes]]:
    """Return what is trusted now, and of `files` those that were verified on the way, by name: no other is ever kept.

    A root that the box has outgrown was not verified here and is left on the medium.
    """
    trusted = TrustedBundles(trust.root, now=trust.now, environment=trust.environment)
    here = trusted.root.version
    if files.get(f"{here}.root.json", trust.root) != trust.root:
        raise TrustError("MIX", f"root v{here} has other content than the one in force here", advice=DAMAGED)
    while (newer := files.get(f"{trusted.root.version + 1}.root.json")) is not None:
        trusted.update_root(newer)
    roles = ["timestamp", "snapshot", "targets", *layout.delegation_paths(site)]
    missing = [role for role in roles if f"{role}.json" not in files]
    if missing:
        raise TrustError("METADATA", f"the medium lacks {', '.join(missing)}", advice=DAMAGED)
    trusted.update_timestamp(files["timestamp.json"])
    trusted.update_snapshot(files["snapshot.json"])
    trusted.update_targets(files["targets.json"])
    for role in roles[3:]:
        trusted.update_delegation(role, files[f"{role}.json"], site)
    roots = {f"{version}.root.json": version for version in range(1, trusted.root.version + 1)}
    extra = set(files) - set(roots) - {f"{role}.json" for role in roles}
    if extra:
        raise MediumError("TUF-FILES", f"the TUF artifact carries {', '.join(sorted(extra))} too", advice=DAMAGED)
    return trusted, {name: data for name, data in files.items() if roots.get(name, here) >= here}


def _not_older(trusted: TrustedBundles, state: State) -> None:
    versions = trusted.versions()
    for role, seen in state.versions.items():
        found = versions.get(role)
        if role in trusted.digests and (found is None or found < seen):
            raise TrustError("ROLLBACK", f"{role} v{found} is older than v{seen}, which this box has seen", advice=_ASK,
                             safe="what runs goes on running")  # fmt: skip
        known = state.digests.get(role)  # a recovery order names a version, and no content
        if known and found == seen and trusted.digests.get(role, known) != known:
            raise TrustError("MIX", f"{role} v{found} has other content than this box has seen", advice=DAMAGED)


def _not_revoked(bundle: VerifiedBundle, state: State | None) -> None:
    floor = max(bundle.plan.min_security_version, state.min_security_version if state else 0)
    revoked = {*bundle.plan.revoked, *(state.revoked if state else ())} & {bundle.digest, *bundle.blobs}
    if revoked:
        raise TrustError("REVOKED", f"{min(revoked)[:19]} in this bundle is revoked", advice=_ASK)
    if bundle.manifest.security_version < floor:
        version = bundle.manifest.security_version
        raise TrustError("SECURITY-VERSION", f"security version {version} is below the floor {floor}", advice=_ASK)


def _gate(bundle: VerifiedBundle, trust: Trust) -> None:
    if trust.enrolment is None:
        return
    reasons = gate.refusals(bundle.manifest.requires, trust.enrolment)
    if not reasons and trust.residency:
        reasons = trust.residency(bundle.plan.table, trust.enrolment)
    if reasons:
        raise GateError("GATE", f"this bundle is not for this box: {'; '.join(reasons)}",
                        advice="check that it is the right medium; else ask headquarters to build for this box",
                        safe="what runs goes on running")  # fmt: skip
