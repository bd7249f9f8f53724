"""Lets custodians sign on several offline machines in turn: a request travels, signatures come back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from bundles.document import Noun, parse, read
from bundles.errors import BundleError, InputError
from bundles.trust.changes import changes
from bundles.trust.expiry import expiry_policy_of
from bundles.trust.keys import Environment, custodian_key
from bundles.trust.metadata import issued_of
from bundles.trust.repository import Anything, Repository
from bundles.trust.roots import drift_of, environment_of, quorum_of
from bundles.trust.stock import Metadata, RepositoryError, Signer, encode_canonical

REQUEST_CAP = 32 * 1024 * 1024


class RoleRequest(Noun):
    """One role to be signed.

    Attributes:
        signed: exactly the content that the signature covers; `published`, as headquarters says it was before.
        keyids: whose keys may sign it.
    """

    role: str
    signed: dict[str, Any]
    published: dict[str, Any] | None = None
    keyids: tuple[str, ...]


class SigningRequest(Noun):
    """What travels to a custodian."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["SigningRequest"] = "SigningRequest"
    repository: str
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
    repository: str
    custodian: str
    signatures: tuple[RoleSignature, ...]


def request_of(repository: Repository) -> SigningRequest:
    """Return the request for everything that waits for signatures.

    Raises:
        InputError: nothing waits.
    """
    roles = tuple(_role_request(repository, role) for role in repository.drafts())
    if not roles:
        raise InputError("NOTHING", "nothing waits for signatures", advice="run hybrid trust status")
    record = repository.record
    return SigningRequest(repository=record.identity, environment=record.environment, roles=roles)


def _role_request(repository: Repository, role: str) -> RoleRequest:
    draft, before = repository.draft(role), repository.published(role)
    return RoleRequest(role=role, signed=_signed(draft) or {}, published=_signed(before),
                       keyids=tuple(repository.able(role)))  # fmt: skip


def _signed(found: Anything | None) -> dict[str, Any] | None:
    return parse(found.to_bytes(), what="metadata")["signed"] if found is not None else None


def answer(request: SigningRequest, signers: list[Signer], custodian: str) -> Signatures:
    """Return the custodian's signatures: on every role that these keys may sign."""
    made = []
    for item in request.roles:
        payload = (encode_canonical(item.signed) or "").encode()
        for signer in (signer for signer in signers if signer.public_key.keyid in item.keyids):
            signature = signer.sign(payload)
            made.append(RoleSignature(role=item.role, keyid=signature.keyid, sig=signature.signature))
    return Signatures(repository=request.repository, custodian=custodian, signatures=tuple(made))


def summary(request: SigningRequest) -> list[tuple[str, str, str, str]]:
    """Return (role, version, expires, what it changes) for the custodian to read before signing."""
    return [
        (item.role, str(item.signed.get("version")), str(item.signed.get("expires"))[:10],
         "\n".join(changes(item.published, item.signed)) or "nothing but its dates")
        for item in request.roles
    ]  # fmt: skip


def request_from(data: bytes, what: str) -> SigningRequest:
    """Return the request in `data`; `what` names the file in errors.

    Raises:
        MediumError: not such a request.
        InputError: a role stands there twice, or what is to be signed is nothing that a box could accept.
    """
    request = read(SigningRequest, data, what=what, cap=REQUEST_CAP)
    names = [item.role for item in request.roles]
    if len(names) != len(set(names)):
        raise _unsound("a role stands there twice")
    for item in request.roles:
        for content in (item.signed, item.published):
            if content is not None:
                _require_sound(item.role, content)
    return request


def _require_sound(role: str, signed: dict[str, Any]) -> None:
    """Refuse what is no TUF metadata, or names keys that are not what they say, or keys that are not there."""
    try:
        found: Any = Metadata.from_dict({"signed": deepcopy(signed), "signatures": []}).signed
        issued_of(found, role)
        if role == "root":
            for rule in (quorum_of, drift_of, environment_of, expiry_policy_of):
                rule(found)
        delegations: Any = found if role == "root" else getattr(found, "delegations", None)
        for key in delegations.keys.values() if delegations else ():
            custodian_key(key)
        roles = (delegations.roles or {}).values() if delegations else ()
        known = delegations.keys if delegations else {}
        missing = [one for named in roles for one in named.keyids if one not in known]
    except (BundleError, ValueError, KeyError, TypeError, AttributeError, RepositoryError) as error:
        raise _unsound(f"{role}: {error}") from None
    if missing:
        raise _unsound(f"{role}: a role names the key {missing[0][:12]}, which is not there")


def _unsound(why: str) -> InputError:
    return InputError("REQUEST", f"no box would accept what is to be signed: {why!r}",
                      advice="sign nothing of this; tell headquarters")  # fmt: skip


def accept(repository: Repository, back: Signatures) -> None:
    """Add the signatures that came back to the drafts they were made for.

    Raises:
        InputError: they are of another repository, or not needed any more.
        TrustError: one of them does not hold, and then none is added.
    """
    if back.repository != repository.record.identity:
        raise InputError("REPOSITORY", f"the signatures of {back.custodian} are for another repository",
                         advice="add them where the request was written")  # fmt: skip
    repository.add_signatures((item.role, item.keyid, item.sig) for item in back.signatures)
