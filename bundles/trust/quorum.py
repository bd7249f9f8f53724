"""Holds the two-family custodians' quorum: per family, enough distinct people.

A plain threshold cannot say this: 4 of 3 + 3 keys accepts three Ed25519 and one ML-DSA, and 2 accepts one person's
two keys. This check runs after the stock TUF checks passed, on the keys whose signatures were valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from bundles.document import Noun
from bundles.errors import TrustError
from bundles.trust.keys import CustodianKey
from bundles.trust.profile import PROFILES, ProfileName

Family = Literal["ed25519", "ml-dsa"]


class Quorum(Noun):
    """The counts, signed in root: per family `custodians` with the duty release, and for site plans `compliance`.

    `recovery` is how many recovery custodians, per family, sign a recovery order; they sign no role. The least values
    are part of the type: a root that asks for less cannot be read. `profile` says which scheme of a family counts.
    """

    profile: ProfileName = "standard"

    families: tuple[Literal["ed25519"], Literal["ml-dsa"]] = ("ed25519", "ml-dsa")
    custodians: Annotated[int, Field(ge=2, le=20)] = 2
    compliance: Annotated[int, Field(ge=1, le=20)] = 1
    recovery: Annotated[int, Field(ge=2, le=20)] = 2

    @property
    def schemes(self) -> Mapping[str, str]:
        """Return family -> the one signature scheme that counts."""
        return PROFILES[self.profile].schemes

    @property
    def hashes(self) -> tuple[str, ...]:
        """Return the hashes that every signed target carries."""
        return PROFILES[self.profile].hashes

    def threshold(self, role: str) -> int:
        """Return the plain TUF threshold that goes with this quorum for `role`."""
        return len(self.families) * (self.custodians + (self.compliance if needs_compliance(role) else 0))


def needs_compliance(role: str) -> bool:
    """Return whether `role` signs a site's plan, knowledge and policy, where compliance has a say."""
    return role.startswith("site-plans-")


def missing(role: str, signers: Iterable[CustodianKey], quorum: Quorum) -> list[str]:
    """Return what the quorum of `role` still lacks, one sentence per family and duty; empty when it is met."""
    wanted = {"release": quorum.custodians}
    if needs_compliance(role):
        wanted["compliance"] = quorum.compliance
    return _lacking(signers, wanted, quorum)


def missing_recovery(signers: Iterable[CustodianKey], quorum: Quorum) -> list[str]:
    """Return what a recovery order still lacks, one sentence per family; empty when it may be obeyed."""
    return _lacking(signers, {"recovery": quorum.recovery}, quorum)


def require(role: str, signers: Iterable[CustodianKey], quorum: Quorum) -> None:
    """Raise unless `signers` (keys with valid signatures) meet the quorum of `role`.

    Raises:
        TrustError: with the families and duties that lack custodians.
    """
    if lacks := missing(role, signers, quorum):
        raise TrustError(
            "QUORUM",
            f"{role} is not signed by enough custodians: {'; '.join(lacks)}",
            advice="do not use this medium; ask headquarters for one that every custodian signed",
        )


def require_recovery(signers: Iterable[CustodianKey], quorum: Quorum) -> None:
    """Raise unless `signers` (keys with valid signatures on a recovery order) meet the recovery quorum.

    That is, per family, `quorum.recovery` distinct people with the duty recovery; release custodians count nothing.

    Raises:
        TrustError: with the families that lack recovery custodians.
    """
    if lacks := missing_recovery(signers, quorum):
        raise TrustError(
            "RECOVERY-QUORUM",
            f"the recovery order is not signed by enough recovery custodians: {'; '.join(lacks)}",
            advice="ask headquarters for an order that enough recovery custodians signed",
        )


def _lacking(signers: Iterable[CustodianKey], wanted: dict[str, int], quorum: Quorum) -> list[str]:
    found, lacks = [key for key in signers if key.scheme == quorum.schemes[key.family]], []
    for family in quorum.families:
        for duty, count in wanted.items():
            people = {key.custodian for key in found if key.family == family and key.duty == duty}
            if len(people) < count:
                have = ", ".join(sorted(people)) or "nobody"
                lacks.append(f"{family}/{duty}: {len(people)} of {count} custodians ({have})")
    return lacks
