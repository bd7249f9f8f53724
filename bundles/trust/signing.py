"""Lets custodians sign on several offline machines in turn: a request travels, signatures come back."""

from __future__ import annotations

from typing import Any, Literal

from bundles.document import Noun, digest, parse
from bundles.errors import InputError
from bundles.trust.keys import Environment
from bundles.trust.quorum import needs_compliance
from bundles.trust.repository import Repository
from bundles.trust.stock import CryptoSigner, encode_canonical


class RoleRequest(Noun):
    """One role to be signed: exactly the content that the signature covers."""

    role: str
    signed: dict[str, Any]


class SigningRequest(Noun):
    """What travels to a custodian."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["SigningRequest"] = "SigningRequest"
    environment: Environment
    roles: tuple[RoleRequest, ...]


class RoleSignature(Noun):
    """One signature of one key on one role."""

    role: str
    keyid: str
    sig: str


class Signatures(Noun):
    """What comes back from a custodian."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Signatures"] = "Signatures"
    custodian: str
    signatures: tuple[RoleSignature, ...]


def request_of(repository: Repository) -> SigningRequest:
    """Return the request for everything that waits for signatures.

    Raises:
        InputError: nothing waits.
    """
    roles = []
    for role in repository.drafts():
        found = repository.draft(role)
        if found is not None:
            roles.append(RoleRequest(role=role, signed=parse(found.to_bytes(), what=role)["signed"]))
    if not roles:
        raise InputError("NOTHING", "nothing waits for signatures", advice="run hybrid trust status")
    return SigningRequest(environment=repository.record.environment, roles=tuple(roles))


def answer(request: SigningRequest, signers: list[CryptoSigner], custodian: str, duty: str) -> Signatures:
    """Return the custodian's signatures: on every role, a compliance custodian's on site plans only.

    Raises:
        InputError: a recovery custodian was asked.
    """
    if duty == "recovery":
        raise InputError("DUTY", f"{custodian} is a recovery custodian, who signs no role",
                         advice="recovery custodians sign recovery orders only")  # fmt: skip
    made = []
    for item in request.roles:
        if duty == "compliance" and not needs_compliance(item.role):
            continue
        payload = (encode_canonical(item.signed) or "").encode()
        for signer in signers:
            signature = signer.sign(payload)
            made.append(RoleSignature(role=item.role, keyid=signature.keyid, sig=signature.signature))
    return Signatures(custodian=custodian, signatures=tuple(made))


def summary(request: SigningRequest) -> list[tuple[str, str, str, str]]:
    """Return (role, version, issued, what it says) for the custodian to read before signing."""
    return [
        (item.role, str(item.signed.get("version")), str(item.signed.get("issued")), _says(item.signed))
        for item in request.roles
    ]


def _says(signed: dict[str, Any]) -> str:
    if "keys" in signed:
        return "custodians: " + ", ".join(sorted({str(key.get("custodian")) for key in signed["keys"].values()}))
    if "targets" in signed:
        return ", ".join(
            f"{path} {entry['hashes']['sha256'][:12]}" for path, entry in sorted(signed["targets"].items())
        )
    return "versions: " + ", ".join(f"{name} {entry['version']}" for name, entry in sorted(signed["meta"].items()))


def request_digest(request: bytes) -> str:
    """Return the digest custodians read to each other over the telephone."""
    return digest(request)
