"""Keeps one custodian's private keys, encrypted, on that custodian's own machine.

A folder per custodian: one PEM per family (PKCS #8, encrypted) and `public.json`, the only file that travels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bundles.document import Noun, canonical, read
from bundles.errors import InputError
from bundles.store import write_durably
from bundles.trust.keys import DUTIES, FAMILIES, NAME, Duty, Environment, key_id
from bundles.trust.profile import PROFILES, ProfileName
from bundles.trust.stock import CryptoSigner, SSlibKey

PASSPHRASE_LENGTH = 12
PUBLIC_FILE = "public.json"


class PublicKey(Noun):
    """One public key, in TUF's own spelling."""

    keytype: str
    scheme: str
    keyval: dict[str, str]

    @property
    def name(self) -> str:
        """The scheme as people say it, e.g. `ML-DSA-87`."""
        return {"ed25519": "Ed25519"}.get(self.scheme, self.scheme.removesuffix("/1").upper())

    @property
    def family(self) -> str:
        """The family that type and scheme imply."""
        return FAMILIES[(self.keytype, self.scheme)]


class Custodian(Noun):
    """A person who holds one key per family; what `trust init` and `trust rotate` are given."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Custodian"] = "Custodian"
    custodian: str
    duty: Duty
    environment: Environment
    keys: tuple[PublicKey, ...]

    def tuf_keys(self) -> list[SSlibKey]:
        """Return the keys with custodian, duty and family as signed metadata carries them."""
        fields = {"custodian": self.custodian, "duty": self.duty}
        if self.environment == "demo":
            fields["environment"] = "demo"
        return [_tuf_key(key, fields) for key in self.keys]


def _tuf_key(key: PublicKey, fields: dict[str, str]) -> SSlibKey:
    keyval = dict(key.keyval)
    keyid = key_id(key.keytype, key.scheme, keyval)
    return SSlibKey(keyid, key.keytype, key.scheme, keyval, {**fields, "family": key.family})


def make_keys(
    folder: Path, custodian: str, duty: str, passphrase: bytes, *, demo: bool = False, profile: ProfileName = "standard"
) -> Custodian:
    """Make one key per family of `profile` in `folder`, encrypted, and return the public record.

    Raises:
        InputError: a bad name or duty, a short passphrase, or keys are there already.
    """
    if not NAME.fullmatch(custodian):
        raise InputError("CUSTODIAN", f"{custodian!r} is no custodian name", advice="use a-z, 0-9 and hyphens")
    if duty not in DUTIES:
        raise InputError("DUTY", f"{duty!r} is no duty", advice=f"one of {', '.join(DUTIES)}")
    if len(passphrase) < PASSPHRASE_LENGTH:
        raise InputError("PASSPHRASE", f"shorter than {PASSPHRASE_LENGTH} bytes", advice="choose a longer passphrase")
    if (folder / PUBLIC_FILE).exists():
        raise InputError("KEYS-EXIST", f"{folder} holds keys already", advice="choose another folder")
    keys = []
    for family, scheme in PROFILES[profile].schemes.items():
        signer = _generate(scheme)
        private = signer._private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
        )
        write_durably(folder / f"{family}.pem", private, mode=0o600)
        public = signer.public_key
        keys.append(PublicKey(keytype=public.keytype, scheme=public.scheme, keyval=dict(public.keyval)))
    record = Custodian.model_validate(
        {"custodian": custodian, "duty": duty, "environment": "demo" if demo else "production", "keys": tuple(keys)}
    )
    write_durably(folder / PUBLIC_FILE, canonical(record))
    return record


def _generate(scheme: str) -> CryptoSigner:
    return CryptoSigner.generate_ed25519() if scheme == "ed25519" else CryptoSigner.generate_mldsa(scheme=scheme)


def load_custodian(path: Path) -> Custodian:
    """Return the public record in `path`, a file or a custodian's folder.

    Raises:
        MediumError: not such a record.
    """
    file = path / PUBLIC_FILE if path.is_dir() else path
    return read(Custodian, file.read_bytes(), what=str(file))


def load_signers(folder: Path, passphrase: bytes) -> list[CryptoSigner]:
    """Return the custodian's signers, one per family.

    Raises:
        InputError: a wrong passphrase, or a key that does not belong to the public record.
    """
    signers = []
    for public in load_custodian(folder).tuf_keys():
        file = folder / f"{FAMILIES[(public.keytype, public.scheme)]}.pem"
        try:
            signers.append(CryptoSigner(load_pem_private_key(file.read_bytes(), passphrase), public))
        except (ValueError, TypeError) as error:
            raise InputError("PASSPHRASE", f"{file} does not open: {error}", advice="check the passphrase") from None
    return signers


def key_folders(folder: Path) -> list[Path]:
    """Return the custodians' folders in `folder`: itself, or those below it."""
    found = [folder] if (folder / PUBLIC_FILE).exists() else sorted(p.parent for p in folder.glob(f"*/{PUBLIC_FILE}"))
    if not found:
        raise InputError("KEYS", f"no custodian's keys in {folder}", advice="make some: hybrid trust add-key DIR")
    return found
