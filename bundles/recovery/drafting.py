"""Drafts a recovery order at headquarters and seals it once enough recovery custodians have signed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bundles.document import digest, stamp
from bundles.errors import GateError, InputError, TrustError
from bundles.recovery.order import (
    Challenge,
    OrderedFloor,
    OrderSignature,
    OrderSignatures,
    RecoveryOrder,
    SealedOrder,
    Whom,
)
from bundles.trust.quorum import missing_recovery
from bundles.trust.repository import Repository
from bundles.trust.roots import quorum_of, recovery_keys, recovery_signers
from bundles.trust.stock import Metadata, Root, Signer


def draft(challenge: Challenge, repository: Repository, issued: datetime, floor: OrderedFloor) -> RecoveryOrder:
    """Return the order that answers `challenge`; it orders nothing until the recovery quorum signed it.

    Raises:
        InputError: the challenge is of another repository, or its root names no recovery custodians.
        GateError: the floor is below what the box itself shows; there it would be refused or do nothing.
    """
    root = _root(repository, challenge.whom)
    if not recovery_keys(root):
        raise InputError("RECOVERY-KEYS", f"root v{root.version} names no recovery custodians",
                         advice="enrol the box again from seed media; and add recovery custodians")  # fmt: skip
    for what, ordered, shown in (("release", floor.release, challenge.floor.release),
                                 ("security", floor.security, challenge.floor.security)):  # fmt: skip
        if ordered < shown:
            raise GateError("RECOVERY-FLOOR", f"{what} {ordered} is below {shown}, which is installed at the box",
                            advice=f"order at least {what} {shown}")  # fmt: skip
    return RecoveryOrder(whom=challenge.whom, issued=stamp(issued), floor=floor)


def sign(order: RecoveryOrder, signers: Iterable[Signer], custodian: str) -> OrderSignatures:
    """Return one recovery custodian's signatures on `order`."""
    made = [signer.sign(order.payload()) for signer in signers]
    return OrderSignatures(
        custodian=custodian, signatures=tuple(OrderSignature(keyid=one.keyid, sig=one.signature) for one in made)
    )


def lacking(order: RecoveryOrder, signatures: Iterable[OrderSignature], repository: Repository) -> list[str]:
    """Return what `order` still lacks under the root that the box trusts; empty when it can be sealed."""
    root = _root(repository, order.whom)
    pairs = [(one.keyid, one.sig) for one in signatures]
    return missing_recovery(recovery_signers(root, order.payload(), pairs), quorum_of(root))


def seal(order: RecoveryOrder, signatures: Iterable[OrderSignature], repository: Repository) -> SealedOrder:
    """Return the order with its signatures.

    Raises:
        TrustError: the recovery quorum is not met.
    """
    kept = tuple({one.keyid: one for one in signatures}.values())
    if lacks := lacking(order, kept, repository):
        raise TrustError("RECOVERY-QUORUM", f"not signed by enough recovery custodians: {'; '.join(lacks)}",
                         advice="have more of them sign: hybrid trust sign ORDER --keys DIR -o FILE")  # fmt: skip
    return SealedOrder(order=order, signatures=kept)


def _root(repository: Repository, whom: Whom) -> Root:
    """Return the root that the box trusts, as this repository published it."""
    found = [path for path in repository.roots() if path.name == f"{whom.root_version}.root.json"]
    if not found or digest(found[0].read_bytes()) != whom.root_digest:
        raise InputError("RECOVERY-ROOT", f"the box trusts a root v{whom.root_version} that was not published here",
                         advice="is it a box of this repository? Telephone the site")  # fmt: skip
    return Metadata[Root].from_bytes(found[0].read_bytes()).signed
