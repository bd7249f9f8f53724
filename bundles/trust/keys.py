"""Says whose key a key is: its family from its type, its id from its content, its custodian from its parent.

python-tuf accepts one key under two ids and keeps unknown fields without reading them. So identity is judged here on
the decoded public-key bytes, over the whole repository.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm

from bundles.errors import TrustError
from bundles.trust.stock import Key, encode_canonical

# (keytype, scheme) -> family. A family is one cryptographic assumption; to add one is a line here and in `_decode`.
FAMILIES: dict[tuple[str, str], str] = {
    ("ed25519", "ed25519"): "ed25519",
    ("ml-dsa", "ml-dsa-65/1"): "ml-dsa",
    ("ml-dsa", "ml-dsa-87/1"): "ml-dsa",
}
DUTIES = ("release", "compliance", "recovery")
Duty = Literal["release", "compliance", "recovery"]
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

Environment = Literal["production", "demo"]
_ADVICE = "do not use this medium; ask the release custodians which key list is right"


@dataclass(frozen=True)
class CustodianKey:
    """One key of one custodian, as the signed metadata of the parent declares it."""

    keyid: str
    custodian: str
    duty: str
    family: str
    scheme: str
    environment: str
    public: bytes


def key_id(keytype: str, scheme: str, keyval: dict[str, Any]) -> str:
    """Return SHA-256 (hex) of the canonical `{keytype, scheme, keyval}`, and of nothing else."""
    text = encode_canonical({"keytype": keytype, "scheme": scheme, "keyval": keyval})
    return hashlib.sha256((text or "").encode()).hexdigest()


def _decode(scheme: str, public: str) -> bytes:
    """Return the raw public key behind the text form, so that two spellings of one key are one key."""
    if scheme == "ed25519":
        raw = bytes.fromhex(public)
        if len(raw) != 32:
            raise ValueError(f"{len(raw)} bytes, an Ed25519 key has 32")
        return raw
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey, MLDSA87PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public.encode())
    if not isinstance(key, MLDSA65PublicKey if scheme == "ml-dsa-65/1" else MLDSA87PublicKey):
        raise ValueError(f"not a key of {scheme}")
    return key.public_bytes_raw()


def custodian_key(key: Key) -> CustodianKey:
    """Return the custodian's key that `key` claims to be.

    Raises:
        TrustError: unknown family, a family other than the keytype implies, an id that is not the key's own, a
            missing or unknown custodian or duty, or public bytes that do not decode.
    """
    fields = key.unrecognized_fields
    family = FAMILIES.get((key.keytype, key.scheme))
    if family is None:
        raise TrustError(
            "KEY-FAMILY", f"key {key.keyid[:12]}: no family for {key.keytype}/{key.scheme}", advice=_ADVICE
        )
    if fields.get("family") != family:
        said = fields.get("family")
        raise TrustError("KEY-FAMILY", f"key {key.keyid[:12]} says family {said!r}, is {family}", advice=_ADVICE)
    if key.keyid != key_id(key.keytype, key.scheme, key.keyval) or set(key.keyval) != {"public"}:
        raise TrustError("KEY-ID", f"key id {key.keyid[:12]} is not the digest of its key", advice=_ADVICE)
    custodian, duty = str(fields.get("custodian", "")), str(fields.get("duty", ""))
    if not NAME.fullmatch(custodian) or duty not in DUTIES:
        raise TrustError(
            "KEY-CUSTODIAN", f"key {key.keyid[:12]}: custodian {custodian!r}, duty {duty!r}", advice=_ADVICE
        )
    try:
        public = _decode(key.scheme, key.keyval["public"])
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise TrustError("KEY-BYTES", f"key {key.keyid[:12]}: {error}", advice=_ADVICE) from None
    environment = str(fields.get("environment", "production"))
    return CustodianKey(key.keyid, custodian, duty, family, key.scheme, environment, public)


class Keyring:
    """Every key of the repository, each belonging to one custodian under one id, for ever."""

    def __init__(self) -> None:
        self._by_public: dict[bytes, CustodianKey] = {}
        self._duty: dict[str, str] = {}

    def admit(self, keys: Iterable[Key]) -> dict[str, CustodianKey]:
        """Return keyid -> custodian key for `keys`, after comparing them with every key seen before.

        Raises:
            TrustError: one key under two ids or two custodians, or one custodian with two duties.
        """
        return {key.keyid: self._admit(custodian_key(key)) for key in keys}

    def _admit(self, key: CustodianKey) -> CustodianKey:
        known = self._by_public.setdefault(key.public, key)
        if known != key:
            both = f"{known.custodian}/{known.keyid[:12]} and {key.custodian}/{key.keyid[:12]}"
            raise TrustError("KEY-TWICE", f"one public key stands under {both}", advice=_ADVICE)
        duty = self._duty.setdefault(key.custodian, key.duty)
        if duty != key.duty:
            raise TrustError(
                "KEY-DUTY", f"custodian {key.custodian} has two duties: {duty}, {key.duty}", advice=_ADVICE
            )
        return key

    def environments(self) -> set[str]:
        """Return every environment that a key is marked with."""
        return {key.environment for key in self._by_public.values()}
