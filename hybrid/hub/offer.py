"""Says what a hub offers, the files of one verified bundle, and to whom: the boxes of its site."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bundles.carrier.hub import OFFER_NAME, Offer
from bundles.document import DOCUMENT_CAP, canonical, plain
from bundles.parts import PARTS_CAP, PARTS_FILE
from hybrid.gateway.registry import Registry
from hybrid.gateway.tls import server_context

if TYPE_CHECKING:
    from bundles.medium import Medium
    from bundles.verification import VerifiedBundle

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""


@dataclass(frozen=True)
class Offered:
    """The files of a bundle as they lie on its medium; of a split one, of the part at hand.

    Attributes:
        files: name -> bytes of all of them.
        documents: the few that are no blobs, by name, held in memory, and the list of all.
        blobs: name -> bytes of those that are read from the medium when they are asked for.
    """

    medium: Medium
    files: Mapping[str, int]
    documents: Mapping[str, bytes]
    blobs: Mapping[str, int]

    @classmethod
    def of(cls, bundle: VerifiedBundle) -> Offered:
        """Return what of `bundle` lies on its medium: exactly what verification found there.

        Raises:
            MediumError: the medium cannot be read any more.
        """
        medium = bundle.medium
        blobs = {f"blobs/sha256/{name.removeprefix('sha256:')}": size for name, size in medium.at_hand.items()}
        documents = {name: medium.read(name, DOCUMENT_CAP) for name in ("oci-layout", "index.json")}
        if medium.part is not None:
            documents[PARTS_FILE] = medium.read(PARTS_FILE, PARTS_CAP)
        files = blobs | {name: len(data) for name, data in documents.items()}
        return cls(medium, files, documents | {OFFER_NAME: canonical(Offer(files=files))}, blobs)

    def open(self, name: str, start: int) -> BinaryIO:
        """Open blob `name` at byte `start`.

        Raises:
            MediumError: the medium is gone, or the file is not as long as it was.
        """
        file = self.medium.open_blob("sha256:" + name.rpartition("/")[2])
        file.seek(start)
        return file

    def touch(self) -> None:
        """Open every blob once.

        Raises:
            MediumError: one of them cannot be read.
        """
        for name in self.blobs:
            with self.open(name, 0) as file:
                file.read(1)


@dataclass(frozen=True)
class Guests:
    """Who may ask: the boxes whose TLS certificates the verified plan admits for the bundle's own site.

    Attributes:
        certificates: PEM, for the TLS context; digests: of the same certificates, `sha256:` of their DER.
    """

    certificates: tuple[str, ...]
    digests: frozenset[str]

    @classmethod
    def of(cls, bundle: VerifiedBundle, now: datetime) -> Guests:
        """Return the boxes of the bundle's site whose certificates count at `now`."""
        registry, site = Registry.of(plain(bundle.plan)), bundle.manifest.site
        keys = [key for key in bundle.plan.keys if registry.site_of_certificate(key.keyid, now) == site]
        return cls(tuple(key.public_key for key in keys), frozenset(key.keyid for key in keys))

    def context(self, identity: Path) -> ssl.SSLContext:
        """Return the TLS context of a hub with the keys below `identity`, which lets in these guests alone.

        Whether a certificate is in force was judged at the effective time; OpenSSL would ask the machine's clock, which
        may have no battery.

        Raises:
            EvidenceError: there are no guests.
        """
        context = server_context(identity / "tls.crt", identity / "tls.key", self.certificates)
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        return context
