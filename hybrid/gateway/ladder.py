"""What a receiver checks of a passport, in numbered rungs, from the headers alone and before a byte of the body.

Pure: the tokens, the peer's certificate, the time and what the receiver knows are arguments. `Replays` is the one
memory, and it is asked last, so that only genuine passports take room in it.

 1 form         three parts, canonical JSON of our type            401
 2 key          a passport key in the signed registry, in force    401
 3 signature    Ed25519 over the payload                           401
 4 peer         TLS certificate and passport name the same site    401
 5 audience     this site                                          403
 6 time         issued after this gateway began, lives, <= 60 s    401
 7 epoch        the current plan, or the previous in its overlap   409
 8 origin       the issuer's own, or handed on with its parents    403
 9 flow         permitted by this site's own table(s)              451
10 once         a jti never seen                                   401
11 body         SHA-256 of what arrived (`body_matches`)           403
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from pydantic import ValidationError

from hybrid.gateway import passport as passports
from hybrid.gateway.flows import EXPIRED, Admitted, admit
from hybrid.gateway.passport import LIFETIME, MOST_HOPS, Passport
from hybrid.gateway.refusal import CONFLICT, FORBIDDEN, UNAUTHENTICATED, Refusal
from hybrid.gateway.registry import Registry
from hybrid.gateway.table import Table

SKEW = dt.timedelta(seconds=2)
"""How far two sites' clocks may differ."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One plan that counts here; `until` is the end of a signed overlap, None for the current plan."""

    number: int
    plan_digest: str
    table: Table
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """What this site knows: its registry, the current epoch first, and since when this gateway runs."""

    site: str
    registry: Registry
    epochs: tuple[Epoch, ...]
    started: dt.datetime

    def in_force(self, now: dt.datetime) -> tuple[Epoch, ...]:
        """Return the epochs that count now; a revocation of the earlier plan ends its overlap at once."""
        return tuple(
            epoch
            for epoch in self.epochs
            if epoch.until is None or (now <= epoch.until and epoch.plan_digest not in self.registry.revoked)
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """A passport that climbed every rung but the last, and what the receiver's own table admits of it."""

    passport: Passport
    admitted: Admitted
    tokens: tuple[str, ...]


def climb(
    token: str, parents: tuple[str, ...], *, peer: str | None, now: dt.datetime, receiver: Receiver
) -> Accepted | Refusal:
    """Return what is accepted, or the refusal of the first rung that does not hold.

    Args:
        token: the passport of this hop.
        parents: those of the earlier hops, first hop first.
        peer: `sha256:` digest of the TLS certificate that the peer showed.
        now: effective time, UTC.
        receiver: what this site knows.
    """
    found = genuine(token, receiver.registry, now)
    if isinstance(found, Refusal):
        return found
    refusal = (
        _peer(found, peer, receiver.registry, now)
        or _audience(found, receiver)
        or _time(found, now, receiver.started)
        or _epoch(found, receiver.in_force(now))
    )
    if refusal is not None:
        return refusal
    chain = _chain(found, parents, receiver.registry, now)
    if isinstance(chain, Refusal):
        return chain
    admitted = _flow(found, chain, receiver.in_force(now), now.date())
    return admitted if isinstance(admitted, Refusal) else Accepted(found, admitted, (*parents, token))


def genuine(token: str, registry: Registry, now: dt.datetime) -> Passport | Refusal:
    """Rungs 1 to 3: a passport signed with a key that the registry admits; verified first, parsed after."""
    try:
        keyid, payload, signature = passports.split(token)
    except ValueError as error:
        return _refuse(UNAUTHENTICATED, "form", f"this is no passport: {error}")
    key = registry.find(keyid, "passport", now)
    if key is None:
        return _refuse(UNAUTHENTICATED, "key", "no passport key of this id is in force in the signed plan")
    try:
        registry.verifier(keyid).verify(signature, payload)
        found = passports.parse(payload)
    except InvalidSignature:
        return _refuse(UNAUTHENTICATED, "signature", "the signature is not the issuer's")
    except (ValueError, ValidationError):
        return _refuse(UNAUTHENTICATED, "form", "signed, but not a passport of this version")
    if (found.issuer, found.key_id) != (key.site, keyid):
        return _refuse(UNAUTHENTICATED, "key", f"the key belongs to {key.site}, not to the issuer named")
    return found


def _peer(found: Passport, peer: str | None, registry: Registry, now: dt.datetime) -> Refusal | None:
    site = None if peer is None else registry.site_of_certificate(peer, now)
    if site == found.issuer:
        return None
    return _refuse(UNAUTHENTICATED, "peer", f"the TLS certificate is {site or 'nobody'}'s, the passport another's")


def _audience(found: Passport, receiver: Receiver) -> Refusal | None:
    if found.audience.site == receiver.site:
        return None
    return _refuse(FORBIDDEN, "audience", f"this passport is for {found.audience.site}; this is {receiver.site}")


def _time(found: Passport, now: dt.datetime, started: dt.datetime) -> Refusal | None:
    issued, expires = found.window
    if expires - issued > LIFETIME:
        return _refuse(UNAUTHENTICATED, "lifetime", "a passport lives for at most a minute")
    if issued < started:
        return _refuse(UNAUTHENTICATED, "before-start", "issued before this gateway began to remember")
    if not issued - SKEW <= now < expires:
        return _refuse(UNAUTHENTICATED, "time", "expired, or issued in the future; compare the clocks of both sites")
    return None


def _epoch(found: Passport, epochs: Iterable[Epoch]) -> Refusal | None:
    if any((epoch.number, epoch.plan_digest) == (found.epoch, found.plan_digest) for epoch in epochs):
        return None
    return _refuse(CONFLICT, "epoch", f"epoch {found.epoch} of that plan is not in force here")


def _chain(
    found: Passport, parents: tuple[str, ...], registry: Registry, now: dt.datetime
) -> tuple[Passport, ...] | Refusal:
    """Rung 8: return the earlier hops' passports; each was issued for the site that issued the next one."""
    if len(parents) != found.hop - 1 or len(parents) >= MOST_HOPS:
        return _refuse(FORBIDDEN, "parent", f"hop {found.hop} comes with {len(parents)} parent passports")
    chain: list[Passport] = []
    for token in parents:
        parent = genuine(token, registry, now)
        if isinstance(parent, Refusal):
            return _refuse(FORBIDDEN, "parent", "a parent passport is not genuine")
        chain.append(parent)
    digests = [None, *(passports.digest(token.encode()) for token in parents)]
    for number, (child, digest) in enumerate(zip([*chain, found], digests, strict=True), start=1):
        if (child.parent, child.hop) != (digest, number) or child.origin != found.origin:
            return _refuse(FORBIDDEN, "parent", "the parent passports do not lead to this one")
    for parent, child in pairwise([*chain, found]):
        if not _handed_on(parent, child):
            return _refuse(FORBIDDEN, "parent", "the parent passports do not lead to this one")
    if [*chain, found][0].issuer != found.origin:
        return _refuse(FORBIDDEN, "origin", "a site asserts only its own origin; this one has no parent passport")
    return tuple(chain)


def _handed_on(parent: Passport, child: Passport) -> bool:
    same = (parent.workload, parent.request) == (child.workload, child.request)
    issued, expires = parent.window
    return same and parent.audience.site == child.issuer and issued - SKEW <= child.window[0] <= expires


def _flow(found: Passport, chain: tuple[Passport, ...], epochs: Iterable[Epoch], day: dt.date) -> Admitted | Refusal:
    """Rung 9: every table in force must permit it, the current one first; claims of all hops are added."""
    admitted: Admitted | None = None
    for epoch in epochs:
        judged = admit(found, chain, epoch.table) if epoch.table.holds_on(day) else EXPIRED
        if isinstance(judged, Refusal):
            return judged
        admitted = admitted or judged
    return admitted or EXPIRED


def body_matches(accepted: Accepted, body: bytes) -> Refusal | None:
    """Rung 11: the body is the one that the passport was made for."""
    if passports.digest(body) == accepted.passport.body:
        return None
    return _refuse(FORBIDDEN, "body", "the body is not the one that the passport was made for")


@dataclass
class Replays:
    """Every jti that was accepted and could still be accepted; older ones are refused for their time."""

    _until: OrderedDict[str, dt.datetime] = field(default_factory=OrderedDict)

    def once(self, accepted: Accepted, now: dt.datetime) -> Refusal | None:
        """Rung 10: remember the passport's jti; refuse one that is remembered."""
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
        jti = accepted.passport.jti
        if jti in self._until:
            return _refuse(UNAUTHENTICATED, "replay", "this passport was used before")
        self._until[jti] = now + LIFETIME + SKEW
        return None


def _refuse(status: int, rung: str, message: str) -> Refusal:
    return Refusal(status, f"passport/{rung}", message)
