"""Holds what travels when a box is recovered: its challenge out, headquarters' order back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bundles.document import Noun, canonical
from bundles.nouns import Moment, SiteName
from bundles.oci import Digest
from bundles.trust.keys import Environment
from bundles.trust.state import LastReceipt

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Whom(Noun):
    """The one box that is meant, and what it trusts: the same words in challenge and order.

    Attributes:
        machine: digest of the machine the box finds itself on; a moved disk has another one than at enrolment.
        root_version, root_digest: the root in force at the box; its recovery custodians decide.
    """

    site: SiteName
    box_id: SiteName
    environment: Environment
    machine: Digest
    root_version: Annotated[int, Field(ge=1)]
    root_digest: Digest
    nonce: Nonce


class KnownFloor(Noun):
    """What the installed releases show by themselves: the highest number, and the highest security floor."""

    release: Count
    security: Count


class Challenge(Noun):
    """What a box asks: answered once, by an order of the recovery quorum.

    Attributes:
        why: the code of what is wrong with its state, empty when nothing is.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["RecoveryChallenge"] = "RecoveryChallenge"
    whom: Whom
    floor: KnownFloor
    why: Annotated[str, Field(pattern=r"^[A-Z-]{0,40}$")] = ""


class OrderedFloor(Noun):
    """The floors that an order names. What it names holds, above or below what the box remembers; what it leaves out
    stays; and nothing falls below what is installed.

    Attributes:
        release: no bundle with a lower number is taken.
        security: no bundle with a lower security version is taken.
        log_size: the evidence log holds at least so many records; 0 lets it begin anew.
        receipt: the last receipt that headquarters has; the next one continues it.
    """

    release: Count
    security: Count
    log_size: Count | None = None
    receipt: LastReceipt | None = None


class RecoveryOrder(Noun):
    """What the recovery custodians sign: every byte of its canonical form."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["RecoveryOrder"] = "RecoveryOrder"
    whom: Whom
    issued: Moment
    floor: OrderedFloor

    def payload(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical(self)


class OrderSignature(Noun):
    """One key's signature (hex) on an order."""

    keyid: str
    sig: str


class OrderSignatures(Noun):
    """What comes back from one recovery custodian."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["OrderSignatures"] = "OrderSignatures"
    custodian: str
    signatures: tuple[OrderSignature, ...]


class SealedOrder(Noun):
    """An order with the signatures of enough recovery custodians: what travels to the box."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["SealedOrder"] = "SealedOrder"
    order: RecoveryOrder
    signatures: Annotated[tuple[OrderSignature, ...], Field(max_length=64)]
