"""Who this gateway is: the private keys that the box made at enrolment, each checked against the signed registry."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hybrid.errors import EvidenceError, InputError


@dataclass(frozen=True)
class Identity:
    """The keys of one box; `certificate` and `tls_key` are paths, because TLS contexts read files."""

    passport: Ed25519PrivateKey
    log: Ed25519PrivateKey
    certificate: Path
    tls_key: Path

    @property
    def passport_id(self) -> str:
        """Return the registry's id of the passport key: `sha256:` of its DER."""
        return key_id(self.passport)


def read_identity(folder: Path) -> Identity:
    """Read the keys under `identity/`.

    Raises:
        InputError: a key is missing: the box was not enrolled.
        EvidenceError: a key is of another type than enrolment makes.
    """
    keys = {use: _read(folder / f"{use}.key") for use in ("passport", "log")}
    return Identity(keys["passport"], keys["log"], folder / "tls.crt", folder / "tls.key")


def key_id(key: Ed25519PrivateKey) -> str:
    """Return the registry's id of a key: `sha256:` of the DER of its public half."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + sha256(der).hexdigest()


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise InputError(f"{path}: no such key", advice="enrol this box first: hybrid site enrol") from None
    except ValueError as error:
        raise EvidenceError(f"{path}: not a private key: {error}", advice="enrol this box again") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(f"{path}: not an Ed25519 key", advice="enrol this box again")
    return key
