"""Keeps one custodian's private keys, encrypted or on a token, on that custodian's own machine.

A folder per custodian: per family one PEM (PKCS #8, encrypted) or the place of the key on a token, and `public.json`,
the only file that travels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bundles.carried import carried
from bundles.document import Noun, canonical
from bundles.errors import InputError, MediumError
from bundles.store import write_durably
from bundles.trust.keys import DUTIES, FAMILIES, NAME, Duty, Environment, custodian_key, key_id
from bundles.trust.profile import PROFILES, ProfileName
from bundles.trust.stock import CryptoSigner, Signer, SSlibKey
from bundles.trust.token import Pin, TokenSigner, load_token_key, make_token_key, offers, token_file

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


@dataclass(frozen=True)
class Token:
    """A PKCS#11 token that is to hold what it can: the module that speaks to it, its label, who asks for its PIN."""

    module: str
    label: str
    pin: Pin


def make_keys(
    folder: Path, custodian: str, duty: str, passphrase: bytes, *, demo: bool = False,
    profile: ProfileName = "standard", token: Token | None = None,
) -> Custodian:  # fmt: skip
    """Make one key per family of `profile`, on `token` what it offers and in `folder`, encrypted, the rest.

    Raises:
        InputError: a bad name or duty, a short passphrase, keys are there already, or the token refuses.
    """
    if not NAME.fullmatch(custodian):
        raise InputError("CUSTODIAN", f"{custodian!r} is no custodian name", advice="use a-z, 0-9 and hyphens")
    if duty not in DUTIES:
        raise InputError("DUTY", f"{duty!r} is no duty", advice=f"one of {', '.join(DUTIES)}")
    if (folder / PUBLIC_FILE).exists():
        raise InputError("KEYS-EXIST", f"{folder} holds keys already", advice="choose another folder")
    schemes = PROFILES[profile].schemes
    held = {family for family, scheme in schemes.items() if token and offers(token.module, token.label, scheme)}
    if held != set(schemes) and len(passphrase) < PASSPHRASE_LENGTH:
        raise InputError("PASSPHRASE", f"shorter than {PASSPHRASE_LENGTH} bytes", advice="choose a longer passphrase")
    keys = []
    for family, scheme in schemes.items():
        if token and family in held:
            keyval = make_token_key(folder, family, scheme, token.module, token.label, token.pin)
        else:
            keyval = _make_file_key(folder, family, scheme, passphrase)
        keytype = "ed25519" if scheme == "ed25519" else "ml-dsa"
        keys.append(PublicKey(keytype=keytype, scheme=scheme, keyval=keyval))
    record = Custodian.model_validate(
        {"custodian": custodian, "duty": duty, "environment": "demo" if demo else "production", "keys": tuple(keys)}
    )
    write_durably(folder / PUBLIC_FILE, canonical(record))
    return record


def _make_file_key(folder: Path, family: str, scheme: str, passphrase: bytes) -> dict[str, str]:
    generate = CryptoSigner.generate_mldsa
    signer = CryptoSigner.generate_ed25519() if scheme == "ed25519" else generate(scheme=scheme)
    private = signer._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    write_durably(folder / f"{family}.pem", private, mode=0o600)
    return dict(signer.public_key.keyval)


def load_custodian(path: Path) -> Custodian:
    """Return the public record in `path`, a file or a custodian's folder.

    Raises:
        MediumError: not such a record.
        TrustError: its keys are not what they say.
    """
    file = path / PUBLIC_FILE if path.is_dir() else path
    found = carried(Custodian, file)
    try:
        for key in found.tuf_keys():
            custodian_key(key)
    except (KeyError, ValueError) as error:
        raise MediumError("DOCUMENT", f"{file}: no key of ours: {error}",
                          advice="fetch it again from the custodian") from None  # fmt: skip
    return found


def families(folder: Path) -> dict[str, bool]:
    """Return family -> whether a token holds its key, for the custodian in `folder`."""
    record = load_custodian(folder)
    return {key.family: token_file(folder, key.family).is_file() for key in record.keys}


def load_signers(folder: Path, passphrase: bytes, pin: Pin | None = None) -> list[Signer]:
    """Return the custodian's signers, one per family.

    Args:
        pin: asked for the PIN whenever a token signs; None where no key is on a token.

    Raises:
        InputError: a wrong passphrase, no PIN, or a key that does not belong to the public record.
    """
    return [_signer(folder, public, passphrase, pin) for public in load_custodian(folder).tuf_keys()]


def _signer(folder: Path, public: SSlibKey, passphrase: bytes, pin: Pin | None) -> Signer:
    family = FAMILIES[(public.keytype, public.scheme)]
    where, file = load_token_key(folder, family), folder / f"{family}.pem"
    if where is not None:
        if pin is None:
            raise InputError("PIN", f"the {family} key of {folder} is on the token {where.token}", advice="--pin-file")
        return TokenSigner(public, where, pin)
    try:
        return CryptoSigner(load_pem_private_key(file.read_bytes(), passphrase), public)
    except (ValueError, TypeError) as error:
        raise InputError("PASSPHRASE", f"{file} does not open: {error}", advice="check the passphrase") from None


def key_folders(folder: Path) -> list[Path]:
    """Return the custodians' folders in `folder`: itself, or those below it."""
    found = [folder] if (folder / PUBLIC_FILE).exists() else sorted(p.parent for p in folder.glob(f"*/{PUBLIC_FILE}"))
    if not found:
        raise InputError("KEYS", f"no custodian's keys in {folder}", advice="make some: hybrid trust add-key DIR")
    return found
