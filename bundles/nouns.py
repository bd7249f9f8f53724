"""Holds the nouns a bundle is made of, as they stand in signed documents and on the box."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bundles.delta.nouns import Base
from bundles.document import Noun
from bundles.oci import Digest, Size
from bundles.trust.keys import Environment
from bundles.trust.quorum import Quorum

Moment = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
SiteName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Use = Literal["passport", "tls", "log", "receipt"]


class Named(Noun):
    """A signed target by digest and length."""

    target: str
    digest: Digest
    size: Size


class Component(Named):
    """A component manifest: an OCI manifest whose layers carry the file paths."""

    artifact_type: str


class Requirement(Noun):
    """What the box must be, judged against its enrolment record.

    Attributes:
        glibc: the least version the wheels ask for, e.g. `2.34`; `python` the ABI tag, e.g. `cp311`. Absent where the
            bundle carries no runtime.
    """

    site: SiteName
    jurisdiction: str
    arch: str
    cpu_features: tuple[str, ...] = ()
    glibc: str | None = None
    python: str | None = None


class BundleManifest(Noun):
    """The bundle manifest: names everything a bundle holds; all of it must match exactly.

    Attributes:
        number: rises with every bundle of the repository; the release's number at the site.
        versions: delegation -> metadata version that belongs to this bundle.
        unpacked: bytes that the runtime takes once unpacked.
        nonce: comes back in the receipt.
        base: what the site is taken to have, of an update that does not carry everything; absent in a full bundle.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Bundle"] = "Bundle"
    site: SiteName
    number: Annotated[int, Field(ge=1)]
    issued: Moment
    environment: Environment
    security_version: Annotated[int, Field(ge=0)]
    requires: Requirement
    site_plan: Named
    epoch: Annotated[int, Field(ge=1)]
    bill: Named
    components: tuple[Component, ...]
    versions: dict[str, int]
    unpacked: Annotated[int, Field(ge=0)]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    base: Base | None = None


class PlanKey(Noun):
    """One key of the plan's registry.

    `public_key` is PEM: SubjectPublicKeyInfo, or for `tls` the self-signed certificate. `keyid` is `sha256:` of the
    DER, so a tls key's id is the digest of the certificate that a peer shows.
    """

    site: SiteName
    use: Use
    keyid: Digest
    public_key: str
    from_: Annotated[Moment, Field(alias="from")]
    until: Moment


class SitePlan(Noun):
    """The site's slice of the plan; `table` is carried without being read here."""

    site: SiteName
    epoch: Annotated[int, Field(ge=1)]
    issued: Moment
    plan_digest: Digest
    policy_digest: Digest
    table: dict[str, Any]
    keys: tuple[PlanKey, ...]
    revoked: tuple[str, ...] = ()
    min_security_version: Annotated[int, Field(ge=0)] = 0


class SiteRecord(Noun):
    """Who a box is to become; lies on the seed medium."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["SiteRecord"] = "SiteRecord"
    site: SiteName
    jurisdiction: str
    box_id: SiteName
    environment: Environment
    issued: Moment


class Enrolment(Noun):
    """Who a box is, and what it found itself to be when it was enrolled; never changed afterwards."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Enrolment"] = "Enrolment"
    site: SiteName
    jurisdiction: str
    box_id: SiteName
    environment: Environment
    machine: Digest
    arch: str
    cpu_features: tuple[str, ...]
    glibc: str
    python: str
    seed: Digest
    root_digest: Digest
    root_version: int
    quorum: Quorum
    enrolled: Moment


class EnrolmentRequest(Noun):
    """What travels home: the box's public keys, signed with its receipt key to show that it holds them."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["EnrolmentRequest"] = "EnrolmentRequest"
    site: SiteName
    jurisdiction: str
    box_id: SiteName
    environment: Environment
    keys: tuple[PlanKey, ...]
    signature: str = ""


class Installed(Noun):
    """One file of a release: which blob it is."""

    digest: Digest
    size: Size


class ReleaseRecord(Noun):
    """`releases/<n>/release.json`: written by the verifier of this box, after verification.

    Attributes:
        files: logical path -> blob. `wheels` are not among them.
        runtime: the digest that names the runtime; `runtime_files` the digest of the list of its files.
        written: bytes this install wrote; `previous` the number to roll back to.
        expired: role -> when its signatures had run out before this install, which the policy `excused_by` let pass.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Release"] = "Release"
    number: int
    site: SiteName
    bundle_digest: Digest
    epoch: int
    security_version: int
    site_plan: Installed
    bill: Installed
    files: dict[str, Installed]
    wheels: dict[str, Installed]
    runtime: Digest | None = None
    runtime_files: Digest | None = None
    versions: dict[str, int]
    nonce: str
    installed: Moment
    previous: int | None = None
    written: int = 0
    expired: dict[str, Moment] = {}
    excused_by: Literal["warn", "grace"] | None = None
