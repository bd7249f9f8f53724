"""Makes a box somebody: from a seed medium whose digest a card confirmed, once.

The box measures itself, makes separate keys for passports, TLS, log and receipts, and writes the request that
travels home. The enrolment record is written last: a cut enrolment is no enrolment and may be run again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from bundles.document import canonical, digest, plain, read, stamp, unstamp
from bundles.errors import GateError, StateError, TrustError
from bundles.gate import Machine
from bundles.layout import Box
from bundles.lock import locked
from bundles.nouns import Enrolment, EnrolmentRequest, PlanKey, SiteRecord, Use
from bundles.seed import Seed
from bundles.store import make_folders, write_durably
from bundles.trust.clock import Reading, effective_time, first_floor
from bundles.trust.metadata import TrustedBundles
from bundles.trust.roots import drift_of
from bundles.trust.state import State, StateCopies

KEY_YEARS = 3
GRACE = timedelta(days=1)
"""Keys count from a day before they were made: the clocks of two boxes never agree."""
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


@dataclass(frozen=True)
class Enrolled:
    """What enrolment came to; `suspect` says that the machine's clock is not to be believed."""

    record: Enrolment
    request: EnrolmentRequest
    fingerprint: str
    suspect: bool


def confirm(seed: Seed, card: str) -> None:
    """Refuse a seed that is not the one on the card.

    Raises:
        TrustError: the digests differ.
    """
    if "".join(card.lower().split()).removeprefix("sha256:") != seed.digest.removeprefix("sha256:"):
        raise TrustError("CARD", f"the seed's digest is {seed.digest}, the card says {card}",
                         advice="do not use this seed; ask headquarters by telephone")  # fmt: skip


def enrol(
    box: Box, seed: Seed, *, card: str, machine: Machine, machine_id: str, reading: Reading, demo: bool = False
) -> Enrolled:
    """Enrol this box from `seed`, whose digest must equal the one on `card`.

    Args:
        demo: this box may trust demo keys; without it they are refused.

    Raises:
        GateError: the box is enrolled already.
        TrustError: the seed is not the one on the card, its root does not meet its own quorum, or it is a demo's.
    """
    _require_nobody(box)
    confirm(seed, card)
    site = seed.site
    floor = first_floor(reading, unstamp(site.issued, what="site record"))
    environment = "demo" if demo else "production"
    trusted = TrustedBundles(seed.root, now=unstamp(floor.signed, what="floor"), environment=environment)
    if site.environment != environment:
        raise TrustError("ENVIRONMENT", f"the seed is of the environment {site.environment}, not {environment}",
                         advice="a demo box says --demo; a production box never does")  # fmt: skip
    time = effective_time(reading, floor, drift_of(trusted.root))
    record = Enrolment(
        site=site.site, jurisdiction=site.jurisdiction, box_id=site.box_id, environment=site.environment,
        machine=machine_id, arch=machine.arch, cpu_features=machine.cpu_features, glibc=machine.glibc,
        python=machine.python, seed=seed.digest, root_digest="sha256:" + hashlib.sha256(seed.root).hexdigest(),
        root_version=trusted.root.version, quorum=trusted.quorum, enrolled=stamp(time.now),
    )  # fmt: skip
    state = State(box_id=site.box_id, machine=machine_id, sequence=0, versions={"root": trusted.root.version},
                  digests=dict(trusted.digests), floor=floor, clock_suspect=time.suspect)  # fmt: skip
    with locked(box):  # two enrolments at once left the keys of one and the request of the other
        _require_nobody(box)
        request = _make_identity(box, site, time.now)
        write_durably(box.trusted_root, seed.root)
        StateCopies(box).save(state)
        os.sync()  # folders that a cut enrolment made were found, and nobody knows whether they are on the disk
        write_durably(box.enrolment, canonical(record))
    return Enrolled(record, request, fingerprint(request), time.suspect)


def _require_nobody(box: Box) -> None:
    if box.enrolment.exists():
        raise GateError("ENROLLED", "this box is enrolled already", advice="hybrid site status",
                        safe="its identity stays as it is")  # fmt: skip


def load_enrolment(box: Box) -> Enrolment:
    """Return who this box is.

    Raises:
        StateError: it is not enrolled.
    """
    if not box.enrolment.is_file():
        raise StateError("NOT-ENROLLED", f"{box.root} is not enrolled", advice="hybrid site enrol SEED --card DIGEST")
    return read(Enrolment, box.enrolment.read_bytes(), what=str(box.enrolment))


def fingerprint(request: EnrolmentRequest) -> str:
    """Return the digest (64 hex digits) that two people compare over the telephone."""
    return hashlib.sha256(canonical(request)).hexdigest()


def grouped(digits: str) -> str:
    """Return a digest in groups of eight, for reading aloud."""
    return " ".join(digits[i : i + 8] for i in range(0, len(digits), 8))


def check_request(request: EnrolmentRequest) -> None:
    """Check that whoever wrote the request holds its receipt key, and that every key id is its key's.

    Raises:
        TrustError: the signature or a key id does not hold, or a use is missing.
    """
    uses = {key.use: key for key in request.keys}
    if set(uses) != {"passport", "tls", "log", "receipt"} or len(request.keys) != 4:
        raise TrustError("REQUEST", "the request does not hold the four keys of a box", advice="enrol the box again")
    for key in request.keys:
        if key.site != request.site or key.keyid != _known_id(key):
            raise TrustError("REQUEST", f"the {key.use} key of the request is not what it says", advice="enrol again")
    body = canonical({**plain(request), "signature": ""})
    public = load_pem_public_key(uses["receipt"].public_key.encode())
    try:
        if not isinstance(public, Ed25519PublicKey):
            raise InvalidSignature
        public.verify(bytes.fromhex(request.signature), body)
    except (InvalidSignature, ValueError):
        raise TrustError(
            "REQUEST", "the request's signature does not hold", advice="fetch it from the box again"
        ) from None


def _make_identity(box: Box, site: SiteRecord, now: datetime) -> EnrolmentRequest:
    """Make the four keys (0600) and the request, signed with the receipt key."""
    make_folders(box.identity, mode=0o700)
    keys: dict[Use, PrivateKey] = {
        "passport": Ed25519PrivateKey.generate(),
        "tls": generate_private_key(SECP256R1()),
        "log": Ed25519PrivateKey.generate(),
        "receipt": Ed25519PrivateKey.generate(),
    }
    public: dict[Use, bytes] = {}
    for use, key in keys.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_durably(box.identity / f"{use}.key", pem, mode=0o600)
        public[use] = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public["tls"] = _certificate(keys["tls"], site, now)
    write_durably(box.identity / "tls.crt", public["tls"])
    request = EnrolmentRequest(
        site=site.site, jurisdiction=site.jurisdiction, box_id=site.box_id, environment=site.environment,
        keys=tuple(_plan_key(site.site, use, pem, now) for use, pem in sorted(public.items())),
    )  # fmt: skip
    signature = keys["receipt"].sign(canonical(request)).hex()  # type: ignore[call-arg]
    request = request.model_copy(update={"signature": signature})
    write_durably(box.request, canonical(request))
    return request


def _plan_key(site: str, use: Use, pem: bytes, now: datetime) -> PlanKey:
    fields: Mapping[str, str] = {
        "site": site, "use": use, "keyid": _key_id(pem, use), "publicKey": pem.decode(),
        "from": stamp(now - GRACE), "until": stamp(now + timedelta(days=365 * KEY_YEARS)),
    }  # fmt: skip
    return PlanKey.model_validate(fields, by_alias=True, by_name=False)


def _key_id(pem: bytes, use: Use) -> str:
    """Return `sha256:` of the DER: of the certificate for tls, of the public key otherwise."""
    if use == "tls":
        return digest(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    return key_id(load_pem_public_key(pem))


def _known_id(key: PlanKey) -> str | None:
    """Return the id of a key that came from elsewhere; None when its PEM holds none."""
    try:
        return _key_id(key.public_key.encode(), key.use)
    except (ValueError, UnsupportedAlgorithm):
        return None


def key_id(public: PublicKeyTypes) -> str:
    """Return the registry's id of a public key: `sha256:` of its DER."""
    return digest(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _certificate(key: PrivateKey, site: SiteRecord, now: datetime) -> bytes:
    """Return the self-signed certificate that peers pin by its digest."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, site.box_id)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - GRACE)
        .not_valid_after(now + timedelta(days=365 * KEY_YEARS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(site.site)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
