"""A passport: what one gateway states, signed, about the data it hands to another, so that the other can refuse it.

The form is `keyid.payload.signature` (base64url): Ed25519 alone, over the RFC 8785 bytes of a JSON object that names
its own type. The algorithm is no field, so nobody can choose it. It lives for at most a minute and works once.
"""

from __future__ import annotations

import binascii
import datetime as dt
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from hybrid.gateway.registry import moment
from hybrid.gateway.table import AtomEntry
from sites.noun import AsTuple, Digest, Names, Noun

TYPE = "hybrid/passport/v1"
HEADER = "hybrid-passport"
PARENTS_HEADER = "hybrid-parents"
LIFETIME = dt.timedelta(seconds=60)
MOST_HOPS = 8
MOST_BYTES = 8192

Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9@:_.-]{1,200}$")]
Random = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Audience(Noun):
    """The one site that may accept the passport, and the stages it is to run (`answer` brings an answer home)."""

    site: Word
    stages: Annotated[Names, Field(min_length=1)]


class Passport(Noun):
    """Everything that a receiver needs to decide before it reads the body.

    Attributes:
        carries: the names of the payloads in the body: `input` or stages.
        label: what the sender says the data is; the receiver's own table can only be added to.
        request: names the request at its origin through all hops.
        hop: 1 for the first; `parent` is the digest of the passport that brought the data here, null on hop 1.
        body: SHA-256 of the body's bytes.
    """

    type: Literal["hybrid/passport/v1"]
    issuer: Word
    key_id: Digest
    audience: Audience
    workload: Word
    origin: Word
    carries: Names
    label: Annotated[tuple[AtomEntry, ...], AsTuple]
    purposes: Annotated[tuple[Word, ...], AsTuple]
    plan_digest: Word
    epoch: Annotated[int, Field(ge=1)]
    request: Random
    hop: Annotated[int, Field(ge=1, le=MOST_HOPS)]
    parent: Digest | None
    body: Digest
    jti: Random
    issued: Moment
    expires: Moment

    @property
    def window(self) -> tuple[dt.datetime, dt.datetime]:
        """Return when it was issued and when it expires."""
        return moment(self.issued), moment(self.expires)


def fresh(now: dt.datetime) -> dict[str, str]:
    """Return the fields that make a passport work once and not for long: jti, issued, expires."""
    return {"jti": secrets.token_hex(16), "issued": stamp(now), "expires": stamp(now + LIFETIME)}


def stamp(when: dt.datetime) -> str:
    """Return a moment in UTC with milliseconds."""
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def digest(data: bytes) -> str:
    """Return `sha256:<hex>` of `data`."""
    return "sha256:" + sha256(data).hexdigest()


def sign(passport: Passport, key: Ed25519PrivateKey) -> str:
    """Return the token of `passport`, signed with the issuer's passport key."""
    payload = rfc8785.dumps(passport.model_dump(mode="json", by_alias=True))
    return f"{passport.key_id}.{_encode(payload)}.{_encode(key.sign(payload))}"


def split(token: str) -> tuple[str, bytes, bytes]:
    """Return (key id, payload, signature) of a token, none of it verified. Raises ValueError when it is no token."""
    if len(token) > MOST_BYTES:
        raise ValueError("longer than a passport can be")
    keyid, payload, signature = token.split(".")
    return keyid, _decode(payload), _decode(signature)


def parse(payload: bytes) -> Passport:
    """Return the passport of verified `payload`. Raises ValueError for another form, type or spelling of the JSON."""
    import json

    value = json.loads(payload)
    if rfc8785.dumps(value) != payload:
        raise ValueError("not canonical JSON")
    return Passport.model_validate(value)


def parents_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tokens of the earlier hops, first hop first."""
    text = headers.get(PARENTS_HEADER, "")
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if _encode(data) != text:
        raise ValueError("not the one spelling of its bytes")
    return data


def passport(fields: Mapping[str, Any], now: dt.datetime) -> Passport:
    """Return a passport with `fields`, fresh from `now`."""
    return Passport.model_validate({"type": TYPE, **fields, **fresh(now)})
