"""Whose keys count: the key registry of the signed site plan, by key id, with its windows and revocations.

A revoked key, one outside its window, or one for another use is as good as unknown. Keys are decoded once, here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hybrid.errors import EvidenceError


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """One entry of the registry; `public` is PEM, for `tls` the self-signed certificate."""

    site: str
    use: str
    keyid: str
    public: str
    since: dt.datetime
    until: dt.datetime

    def holds(self, now: dt.datetime) -> bool:
        """Return whether `now` lies in the key's window."""
        return self.since <= now <= self.until


class Registry:
    """The keys that the site plan admits, less those that it revokes."""

    def __init__(self, keys: Iterable[RegisteredKey], revoked: Iterable[str]) -> None:
        """Index `keys` by id, without those in `revoked`."""
        gone = frozenset(revoked)
        self.revoked = gone
        self._keys = {key.keyid: key for key in keys if key.keyid not in gone}
        self._passports = {key.keyid: _ed25519(key) for key in self._keys.values() if key.use == "passport"}

    @classmethod
    def of(cls, site_plan: Mapping[str, Any]) -> Registry:
        """Return the registry of a verified site plan."""
        keys = [
            RegisteredKey(
                key["site"], key["use"], key["keyid"], key["publicKey"], moment(key["from"]), moment(key["until"])
            )
            for key in site_plan["keys"]
        ]
        return cls(keys, site_plan.get("revoked", ()))

    def find(self, keyid: str, use: str, now: dt.datetime) -> RegisteredKey | None:
        """Return the key of this id for this use at this time, else None."""
        key = self._keys.get(keyid)
        return key if key is not None and key.use == use and key.holds(now) else None

    def verifier(self, keyid: str) -> Ed25519PublicKey:
        """Return the decoded passport key. Raises KeyError when `find` would not have found it."""
        return self._passports[keyid]

    def certificates(self, now: dt.datetime, *, site: str | None = None) -> list[str]:
        """Return the PEM certificates that may speak TLS now: of all sites, or of one."""
        return [
            key.public
            for key in self._keys.values()
            if key.use == "tls" and key.holds(now) and site in (None, key.site)
        ]

    def site_of_certificate(self, digest: str, now: dt.datetime) -> str | None:
        """Return the site whose certificate has this `sha256:` digest, None when nobody's has."""
        key = self.find(digest, "tls", now)
        return None if key is None else key.site


def moment(text: str) -> dt.datetime:
    """Return the moment of `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`. Raises ValueError for anything else."""
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is no UTC time")
    return dt.datetime.fromisoformat(text[:-1]).replace(tzinfo=dt.UTC)


def _ed25519(key: RegisteredKey) -> Ed25519PublicKey:
    try:
        found = load_pem_public_key(key.public.encode())
    except ValueError:
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise EvidenceError(
            f"the site plan's passport key {key.keyid[:19]} of {key.site} is no Ed25519 key",
            advice="enrol that site again and build a new bundle",
        )
    return found
