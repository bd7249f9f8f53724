"""Decides what happens once signatures have run out: warn, a span of grace, or deny; the root in force says which.

It is about freshness of TUF metadata alone. What the law ends (the plan's `until`, which no instrument outlives)
always denies, whatever stands here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from bundles.document import Noun
from bundles.errors import GateError, StateError, TrustError
from bundles.trust.stock import DeserializationError, Metadata, Root

FIELD = "expiryPolicy"
Verdict = Literal["valid", "excused", "expired"]
WARN_DAYS = 60
"""From so many days before the end a box says that it will need a newer bundle."""
_ASK = "ask headquarters for a current medium"


class ExpiryPolicy(Noun):
    """What a root says of expired metadata; without a word from it, deny.

    Only a root changes it, so loosening takes root's quorum, under the old root and the new; and a box judges a medium
    by the stricter of the policy it has installed and the one that the medium brings.
    """

    policy: Literal["warn", "grace", "deny"] = "deny"
    grace_days: Annotated[int, Field(ge=0, le=3660)] = 0

    @model_validator(mode="after")
    def _days_belong_to_grace(self) -> ExpiryPolicy:
        if (self.policy == "grace") != (self.grace_days > 0):
            raise ValueError("graceDays belongs to grace, and only to grace")
        return self

    def excuses(self, expires: datetime, now: datetime) -> bool:
        """Return whether what ran out at `expires` is still taken at `now`."""
        return expires > self.since(now)

    def since(self, now: datetime) -> datetime:
        """Return the time that expiry is held against at `now`."""
        if self.policy == "warn":
            return datetime.min.replace(tzinfo=now.tzinfo)
        return now - timedelta(days=self.grace_days)

    def stricter(self, other: ExpiryPolicy) -> ExpiryPolicy:
        """Return the one of the two that excuses less."""
        return min(self, other, key=lambda rule: (rule.policy == "warn", rule.grace_days))


def expiry_policy_of(root: Root) -> ExpiryPolicy:
    """Return the policy signed in `root` (`expiryPolicy`).

    Raises:
        TrustError: there is one that says nothing known.
    """
    try:
        return ExpiryPolicy.model_validate(root.unrecognized_fields.get(FIELD, {}), by_alias=True, by_name=False)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise TrustError("EXPIRY-RULE", f"root v{root.version}: {FIELD}: {why}", advice=_ASK) from None


@dataclass(frozen=True)
class Expiry:
    """How fresh the metadata of what is installed is.

    Attributes:
        role: the one that runs out first, at `expires`; `days_left` is in whole days, negative afterwards.
        policy: in force here.
        verdict: `valid`, `excused` (run out, and the policy lets it serve), or `expired`.
    """

    role: str
    expires: datetime
    days_left: int
    policy: ExpiryPolicy
    verdict: Verdict

    @property
    def warning(self) -> str:
        """What to say of it to whoever stands at the box; empty while there is time."""
        if self.days_left >= WARN_DAYS:
            return ""
        if self.verdict == "valid":
            return f"signatures run out in {self.days_left} days: ask headquarters for a newer bundle"
        rule = f"{self.policy.policy}, {self.policy.grace_days} days" if self.policy.grace_days else self.policy.policy
        return f"signatures ran out {-self.days_left} days ago (policy: {rule}): ask headquarters for a newer bundle"

    def require(self) -> None:
        """Raise when the policy lets nothing of this serve.

        Raises:
            GateError: expired.
        """
        if self.verdict == "expired":
            raise GateError(
                "EXPIRED", f"{self.role} of the installed release ran out {-self.days_left} days ago (policy: "
                f"{self.policy.policy})", advice=f"install a newer bundle; {_ASK}", safe="nothing serves",
            )  # fmt: skip


def expiry_of(root: bytes, metadata: Iterable[Path], now: datetime) -> Expiry:
    """Return how fresh `root` and the roles in the files `metadata` are at `now`, by the root's policy.

    Raises:
        StateError: the disk changed one of the files.
    """
    trusted = Metadata[Root].from_bytes(root)
    ends = {path.stem: _end(path) for path in metadata}
    ends["root"] = trusted.signed.expires
    role, expires = min(ends.items(), key=lambda item: (item[1], item[0]))
    policy = expiry_policy_of(trusted.signed)
    return Expiry(role, expires, int((expires - now) / timedelta(days=1)), policy, _verdict(expires, now, policy))


def _end(file: Path) -> datetime:
    try:
        expires: datetime = Metadata.from_bytes(file.read_bytes()).signed.expires
    except DeserializationError as error:
        raise StateError("STORE", f"the disk changed {file}: {error}", advice="install the same bundle again",
                         safe="what runs goes on running") from None  # fmt: skip
    return expires


def _verdict(expires: datetime, now: datetime, policy: ExpiryPolicy) -> Verdict:
    if expires > now:
        return "valid"
    return "excused" if policy.excuses(expires, now) else "expired"
