"""Signs with keys that never leave a PKCS#11 token: Ed25519, and ML-DSA where the token offers it.

securesystemslib's own token signer knows ECDSA only. What a token does not offer stays in an encrypted file beside it,
so one custodian may hold both kinds. Every key is tried once before it is written down: what the token signs must
verify with what it says is the public key. Tried with SoftHSM 2.6.1 (Debian 12), which offers Ed25519 and no ML-DSA.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundles.document import Noun, canonical, read
from bundles.errors import InputError
from bundles.store import write_durably
from bundles.trust.stock import Key, Signature, Signer, SSlibKey, UnverifiedSignatureError

Pin = Callable[[], str]
_ED25519_OID = "1.3.101.112"
_SETS = {"ml-dsa-65/1": ("ML_DSA_65", "MLDSA65PublicKey"), "ml-dsa-87/1": ("ML_DSA_87", "MLDSA87PublicKey")}


class TokenKey(Noun):
    """Where a private key is: the module that speaks to the token, the token's label and serial, the key's id (hex)."""

    module: str
    token: str
    serial: str
    id: str


def token_file(folder: Path, family: str) -> Path:
    """Return where the custodian's folder says that the key of `family` is on a token."""
    return folder / f"{family}.token.json"


def load_token_key(folder: Path, family: str) -> TokenKey | None:
    """Return where the key of `family` is; None when it is no token that holds it."""
    file = token_file(folder, family)
    return read(TokenKey, file.read_bytes(), what=str(file)) if file.is_file() else None


def offers(module: str, token: str, scheme: str) -> bool:
    """Return whether the token can make and use keys of `scheme`.

    Raises:
        InputError: there is no such module or token.
    """
    from pkcs11 import Mechanism

    wanted = {Mechanism.EC_EDWARDS_KEY_PAIR_GEN, Mechanism.EDDSA}
    if scheme != "ed25519":
        wanted = {Mechanism.ML_DSA_KEY_PAIR_GEN, Mechanism.ML_DSA}
    return wanted <= set(_token(module, token).slot.get_mechanisms())


def make_token_key(folder: Path, family: str, scheme: str, module: str, token: str, pin: Pin) -> dict[str, str]:
    """Make a key of `scheme` on the token, not extractable, and return its public part as TUF spells it.

    Raises:
        InputError: no such token, a wrong PIN, or what the token signs does not verify.
    """
    number = secrets.token_bytes(8)
    with _session(module, token, pin, write=True) as session:
        public = _generate(session, scheme, number, f"hybrid {family}")
        serial = _text(session.token.serial)
    where = TokenKey(module=module, token=token, serial=serial, id=number.hex())
    keyval = {"public": public}
    _try(where, SSlibKey("", "ed25519" if scheme == "ed25519" else "ml-dsa", scheme, keyval), pin)
    write_durably(token_file(folder, family), canonical(where))
    return keyval


class TokenSigner(Signer):
    """A signer whose private key is on a token; the session is opened for each signature and closed after it."""

    def __init__(self, public: SSlibKey, where: TokenKey, pin: Pin) -> None:
        self._public, self._where, self._pin = public, where, pin

    @property
    def public_key(self) -> SSlibKey:
        """The public key, with custodian, duty and family."""
        return self._public

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> TokenSigner:
        """Refuse: keys are found by the custodian's folder, not by a URI."""
        raise NotImplementedError("load_signers makes these")

    def sign(self, payload: bytes) -> Signature:
        """Return the token's signature on `payload`.

        Raises:
            InputError: the token or the key is not there, or the PIN is wrong.
        """
        from pkcs11 import KeyType, Mechanism, ObjectClass

        edwards = self._public.scheme == "ed25519"
        kind, mechanism = (KeyType.EC_EDWARDS, Mechanism.EDDSA) if edwards else (KeyType.ML_DSA, Mechanism.ML_DSA)
        text = payload if edwards else b"tuf\x01" + hashlib.sha512(payload).digest()  # TAP 21, version 1
        with _session(self._where.module, self._where.token, self._pin, serial=self._where.serial) as session:
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, key_type=kind, id=bytes.fromhex(self._where.id))
            return Signature(self._public.keyid, key.sign(text, mechanism=mechanism).hex())


def _try(where: TokenKey, public: SSlibKey, pin: Pin) -> None:
    probe = secrets.token_bytes(32)
    try:
        public.verify_signature(TokenSigner(public, where, pin).sign(probe), probe)
    except UnverifiedSignatureError as error:
        raise InputError("TOKEN", f"{where.token}: what it signs with {public.scheme} does not verify: {error}",
                         advice="keep this family in a file: add-key without --token") from None  # fmt: skip


def _generate(session: Any, scheme: str, number: bytes, label: str) -> str:
    """Make the pair on the token and return the public key: hex of 32 bytes for Ed25519, PEM for ML-DSA."""
    import pkcs11.util.ec
    from pkcs11 import Attribute, KeyType, Mechanism
    from pkcs11.mechanisms import MLDSAParameterSet

    kept = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    if scheme == "ed25519":
        curve = {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(_ED25519_OID)}
        parameters = session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True)
        public, _ = parameters.generate_keypair(
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, id=number, label=label, private_template=kept
        )
        return bytes(public[Attribute.EC_POINT])[-32:].hex()
    name, kind = _SETS[scheme]
    public, _ = session.generate_keypair(
        KeyType.ML_DSA, store=True, id=number, label=label, private_template=kept,
        public_template={Attribute.PARAMETER_SET: MLDSAParameterSet[name]},
    )  # fmt: skip
    return _pem(kind, bytes(public[Attribute.VALUE]))


def _pem(kind: str, raw: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric import mldsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = getattr(mldsa, kind).from_public_bytes(raw)
    text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


@contextmanager
def _session(module: str, token: str, pin: Pin, *, serial: str = "", write: bool = False) -> Iterator[Any]:
    from pkcs11 import exceptions

    found = _token(module, token, serial)
    try:
        with found.open(user_pin=pin(), rw=write) as session:
            yield session
    except (exceptions.PinIncorrect, exceptions.PinLenRange, exceptions.PinInvalid):
        raise InputError("PIN", f"the token {token} does not take this PIN",
                         advice="check the PIN; a token locks itself after a few wrong ones") from None  # fmt: skip
    except exceptions.PinLocked:
        raise InputError("PIN", f"the token {token} is locked", advice="unlock it with its security officer") from None
    except exceptions.NoSuchKey:
        raise InputError("TOKEN", f"the token {token} does not hold this key any more",
                         advice="use the token the key was made on, or revoke the custodian") from None  # fmt: skip
    except exceptions.PKCS11Error as error:
        raise InputError("TOKEN", f"the token {token} refuses: {error or type(error).__name__}",
                         advice="check the token with its own tools") from None  # fmt: skip


def _token(module: str, label: str, serial: str = "") -> Any:
    """Return the one token called `label`, and of that serial where one is given: a label is easily copied."""
    try:
        import pkcs11
    except ImportError:
        raise InputError("TOKEN", "no PKCS#11 support here", advice="pip install 'sovereign-hybrid[token]'") from None
    try:
        found = list(pkcs11.lib(module).get_tokens(token_label=label))
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise InputError("TOKEN", f"{module}: {error}", advice="name the vendor's PKCS#11 module") from None
    right = [token for token in found if serial in ("", _text(token.serial))]
    if len(right) != 1:
        raise InputError("TOKEN", f"{len(right)} tokens called {label!r} in {module}, not one",
                         advice="plug in the token of the key, and no other of its name") from None  # fmt: skip
    return right[0]


def _text(serial: bytes | str) -> str:
    return serial.decode("ascii", "replace").strip() if isinstance(serial, bytes) else serial.strip()
