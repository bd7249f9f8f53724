"""Who asks: an API key that fixes tenant, origin, pipelines, purposes and a floor label.

The file `ROOT/gateway/credentials.json` is local to the site and holds salted hashes only. A key is 256 bits of
chance, so one round of HMAC-SHA-256 under a salt of its own is as hard to invert as any; a password would not be.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from hybrid.errors import InputError
from hybrid.gateway.refusal import UNAUTHENTICATED, Refusal
from sites.data import DataClass, Purpose
from sites.noun import AsTuple, Name, Names, Noun

PREFIX = "hyb"
RATE, BURST = 50, 100
"""What a key may ask for unless it says otherwise: requests a second, and at once."""

HEX64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UNKNOWN = Refusal(UNAUTHENTICATED, "gateway/credential", "give an API key of this site: Authorization: Bearer hyb_…")
FILE = Path("gateway") / "credentials.json"


class Credential(Noun):
    """What one key may ask for.

    Attributes:
        pipelines: the pipelines it may name.
        purposes: the purposes it may ask for; empty means those of the pipeline.
        floor: data classes that every request of this key is labelled with, whatever pipeline it names.
        rate: requests per second; `burst` many at once.
    """

    id: Name
    salt: HEX64
    hash: HEX64
    tenant: Name = "default"
    origin: Name
    pipelines: Names
    purposes: Annotated[tuple[Purpose, ...], AsTuple] = ()
    floor: Annotated[tuple[DataClass, ...], AsTuple] = ()
    rate: Annotated[int, Field(ge=1)] = RATE
    burst: Annotated[int, Field(ge=1)] = BURST

    def opens_with(self, secret: str) -> bool:
        """Return whether `secret` is this credential's, in constant time."""
        return hmac.compare_digest(self.hash, _hash(self.salt, secret))


class CredentialFile(Noun):
    """The file of a site's credentials."""

    credentials: Annotated[tuple[Credential, ...], AsTuple] = ()


class Credentials:
    """The credentials of one site, by id; immutable."""

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        """Index `credentials` by id."""
        self._by_id = {credential.id: credential for credential in credentials}

    @classmethod
    def read(cls, path: Path, *, site: str) -> Credentials:
        """Read the file; a missing one means that nobody may ask.

        Raises:
            InputError: the file is not of this form, or a credential speaks for another site's origin.
        """
        found = _read(path).credentials
        for credential in found:
            if credential.origin != site:
                raise InputError(
                    f"{path}: credential {credential.id!r} has origin {credential.origin!r}; this site is {site!r}",
                    advice="a site asserts only its own origin: issue the key at the site where the data is born",
                )
        return cls(found)

    def who(self, authorization: str | None) -> Credential | Refusal:
        """Return the credential of an `Authorization: Bearer hyb_<id>_<secret>` header, or the 401."""
        scheme, _, token = (authorization or "").partition(" ")
        prefix, _, rest = token.strip().partition("_")
        name, _, secret = rest.rpartition("_")
        credential = self._by_id.get(name)
        if scheme.lower() != "bearer" or prefix != PREFIX or credential is None or not credential.opens_with(secret):
            return UNKNOWN
        return credential


def issue(
    root: Path,
    name: str,
    *,
    origin: str,
    pipelines: tuple[str, ...],
    tenant: str = "default",
    purposes: tuple[str, ...] = (),
    floor: tuple[str, ...] = (),
    rate: int = RATE,
    burst: int = BURST,
) -> str:
    """Make a key, add its hash to the site's file (0600), and return the key: it is shown once and kept nowhere.

    Raises:
        InputError: the name is taken, or a field is not of its form.
    """
    path = root / FILE
    secret, salt = secrets.token_hex(32), secrets.token_hex(32)
    entry = {
        "id": name, "salt": salt, "hash": _hash(salt, secret), "tenant": tenant, "origin": origin,
        "pipelines": list(pipelines), "purposes": list(purposes), "floor": list(floor),
        "rate": rate, "burst": burst,
    }  # fmt: skip
    held = _read(path)
    if any(credential.id == name for credential in held.credentials):
        raise InputError(f"{path}: there is a credential {name!r} already", advice="choose another name")
    added = _validated({"credentials": [c.model_dump(by_alias=True) for c in held.credentials] + [entry]}, path)
    _write(path, added)
    return f"{PREFIX}_{name}_{secret}"


def _hash(salt: str, secret: str) -> str:
    return hmac.digest(bytes.fromhex(salt), secret.encode(), sha256).hex()


def _read(path: Path) -> CredentialFile:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return CredentialFile()
    try:
        return _validated(json.loads(text), path)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}", advice="issue the keys again") from None


def _validated(value: object, path: Path) -> CredentialFile:
    try:
        return CredentialFile.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}", advice="mend this field, or issue the key again") from None


def _write(path: Path, file: CredentialFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(file.model_dump(by_alias=True, mode="json"), out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    if os.geteuid() == 0:
        folder = path.parent.stat()  # the service's user owns the folder; what root issues must be readable to it
        os.chown(part, folder.st_uid, folder.st_gid)
    part.replace(path)
