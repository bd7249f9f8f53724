"""Whether a replica answers: only a fresh passport of its own site's gateway, for this site, plan, epoch and body.

The region's gateway has already decided the flow from the signed table; what is checked here is that nobody came
round it. The rungs are those of `hybrid.gateway.ladder` less the peer (the socket has one user) and the flow.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.cluster.schema import StageArgs
from hybrid.gateway import passport as passports
from hybrid.gateway.ladder import SKEW, genuine
from hybrid.gateway.passport import LIFETIME, Passport
from hybrid.gateway.refusal import CONFLICT, FORBIDDEN, UNAUTHENTICATED, Refusal
from hybrid.gateway.registry import RegisteredKey, Registry, moment

WORKLOAD = "region"
"""The workload that such a passport names: it covers one stage's inputs, not a request's way through a graph."""


@dataclass
class Door:
    """Checks what arrives at one replica; remembers the passports that it admitted while they could still be used."""

    args: StageArgs
    started: dt.datetime
    _seen: OrderedDict[str, dt.datetime] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        """Decode the registered keys once."""
        site, keys = self.args.site, self.args.admission.keys
        self._registry = Registry(
            (RegisteredKey(site, "passport", k.keyid, k.public_key, moment(k.since), moment(k.until)) for k in keys), ()
        )

    def admit(self, token: str, body: bytes, now: dt.datetime) -> Refusal | None:
        """Return None, or the refusal of the first rung that does not hold."""
        found = genuine(token, self._registry, now)
        if isinstance(found, Refusal):
            return found
        return self._audience(found) or self._time(found, now) or self._body(found, body) or self._once(found, now)

    def _audience(self, found: Passport) -> Refusal | None:
        mine = (self.args.site, self.args.admission.plan_digest, self.args.admission.epoch)
        if found.audience.site != self.args.site or found.issuer != self.args.site:
            return _refuse(FORBIDDEN, "audience", f"only {self.args.site}'s own gateway hands work to this replica")
        if found.audience.stages != (self.args.model,):
            return _refuse(FORBIDDEN, "audience", f"this replica runs {self.args.model}")
        if (found.audience.site, found.plan_digest, found.epoch) != mine:
            return _refuse(CONFLICT, "epoch", f"epoch {found.epoch} of that plan is not what runs here")
        return None

    def _time(self, found: Passport, now: dt.datetime) -> Refusal | None:
        issued, expires = found.window
        if issued < self.started - SKEW:
            return _refuse(UNAUTHENTICATED, "before-start", "issued before this replica began to remember")
        if not issued - SKEW <= now < expires or expires - issued > LIFETIME:
            return _refuse(UNAUTHENTICATED, "time", "expired, or issued in the future")
        return None

    def _body(self, found: Passport, body: bytes) -> Refusal | None:
        if passports.digest(body) == found.body:
            return None
        return _refuse(FORBIDDEN, "body", "the body is not the one that the passport was made for")

    def _once(self, found: Passport, now: dt.datetime) -> Refusal | None:
        while self._seen and next(iter(self._seen.values())) < now:
            self._seen.popitem(last=False)
        if found.jti in self._seen:
            return _refuse(UNAUTHENTICATED, "replay", "this passport was used before")
        self._seen[found.jti] = now + LIFETIME + SKEW
        return None


def issuer(
    key: Ed25519PrivateKey, keyid: str, *, site: str, model: str, plan_digest: str, epoch: int,
    now: Callable[[], dt.datetime],
) -> Callable[[bytes], str]:  # fmt: skip
    """Return what the site's gateway signs bodies with for its own replicas of `model`."""

    def issue(body: bytes) -> str:
        fields = {
            "issuer": site, "keyId": keyid, "audience": {"site": site, "stages": [model]}, "workload": WORKLOAD,
            "origin": site, "carries": ["input"], "label": [], "purposes": [], "planDigest": plan_digest,
            "epoch": epoch, "request": secrets.token_hex(16), "hop": 1, "parent": None, "body": passports.digest(body),
        }  # fmt: skip
        return passports.sign(passports.passport(fields, now()), key)

    return issue


def _refuse(status: int, rung: str, message: str) -> Refusal:
    return Refusal(status, f"passport/{rung}", message)
