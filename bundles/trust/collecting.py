"""Collects signatures on a draft: who may still sign, whether one that came back holds, what the quorum still lacks.

`parents` are those who decide about a role: targets for a delegation, root for a role of its own, and for a new root
the old one and itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bundles.errors import TrustError
from bundles.trust.keys import Keyring
from bundles.trust.quorum import Quorum, missing
from bundles.trust.roots import keys_of, quorum_of
from bundles.trust.stock import Key, Metadata, Root, Signature, Signer, Targets, UnverifiedSignatureError

Parents = list[Root | Targets]


def able(role: str, parents: Parents) -> dict[str, Key]:
    """Return key id -> key of those who may sign `role`, under any of its parents."""
    return {k: keys_of(p)[k] for p in parents for k in p.get_delegated_role(role).keyids if k in keys_of(p)}


def sign(found: Metadata[Any], role: str, parents: Parents, signers: Iterable[Signer]) -> list[str]:
    """Sign with those of `signers` that may; return their key ids."""
    allowed, done = able(role, parents), []
    for signer in signers:
        if signer.public_key.keyid in allowed:
            found.sign(signer, append=True)
            done.append(signer.public_key.keyid)
    return done


def add(found: Metadata[Any], role: str, parents: Parents, keyid: str, value: str) -> None:
    """Add a signature (hex) that came back.

    Raises:
        TrustError: nobody's key who may sign, or not valid: the draft changed since the request was written.
    """
    key, signature = able(role, parents).get(keyid), Signature(keyid, value)
    if key is None:
        raise TrustError("SIGNATURE", f"{keyid[:12]} is nobody's key who may sign {role}",
                         advice="compare the custodian's key ids with hybrid trust status TRUST")  # fmt: skip
    try:
        key.verify_signature(signature, found.signed_bytes)
    except UnverifiedSignatureError as error:
        raise TrustError("SIGNATURE", f"the signature of {keyid[:12]} on {role} is not valid: {error}",
                         advice="send the custodian the present request again") from None  # fmt: skip
    found.signatures[keyid] = signature


def lacking(found: Metadata[Any], role: str, parents: Parents, quorum: Quorum) -> list[str]:
    """Return what the draft of `role` still lacks; `quorum` is the rule of a parent that names none."""
    lacks: list[str] = []
    for parent in parents:
        rule = quorum_of(parent) if isinstance(parent, Root) else quorum
        result = parent.get_verification_result(role, found.signed_bytes, found.signatures)
        keys = Keyring().admit(keys_of(parent).values())
        lacks += [line for line in missing(role, [keys[k] for k in result.signed], rule) if line not in lacks]
    return lacks


def silent(found: Metadata[Any], role: str, parents: Parents) -> set[str]:
    """Return the custodians who may sign `role` and have not with all of their keys."""
    keys = able(role, parents).items()
    return {str(key.unrecognized_fields.get("custodian")) for keyid, key in keys if keyid not in found.signatures}
