"""Rebuilds a box's state from an order, from what the box still remembers, and from what is installed.

What the order names holds, above or below what is remembered; what it leaves out stays as remembered; and nothing
falls below what the installed releases show.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bundles.document import digest, stamp, unstamp
from bundles.errors import GateError
from bundles.layout import Box
from bundles.nouns import Enrolment, ReleaseRecord, SitePlan
from bundles.recovery.order import KnownFloor, RecoveryOrder
from bundles.trust.clock import Floor, Reading
from bundles.trust.metadata import issued_of
from bundles.trust.state import Installed, LastReceipt, LogHead, State
from bundles.trust.stock import DeserializationError, Metadata, Root, Snapshot


@dataclass(frozen=True)
class Damaged:
    """A box whose state need not be whole: who it is, what it trusts, and what its releases show.

    Attributes:
        machine: digest of the machine it finds itself on.
        plans: those of the releases whose plan the store still has.
    """

    box: Box
    enrolment: Enrolment
    machine: str
    root: Root
    root_bytes: bytes
    records: tuple[ReleaseRecord, ...]
    plans: tuple[SitePlan, ...]

    @property
    def floor(self) -> KnownFloor:
        """What the installed releases show by themselves."""
        return KnownFloor(
            release=max((record.number for record in self.records), default=0),
            security=max((plan.min_security_version for plan in self.plans), default=0),
        )


def rebuilt(
    here: Damaged, order: RecoveryOrder, reading: Reading, log: LogHead | None, known: list[State],
    receipts: LastReceipt | None = None,
) -> State:  # fmt: skip
    """Return the new state.

    Args:
        log: the head of the evidence log as it lies here; `receipts` the last receipt that lies here.
        known: whole copies of a state of this box, whatever is wrong with them otherwise.

    Raises:
        GateError: the log is shorter than the order says.
    """
    seen = _seen(here)
    versions, digests = _versions(seen, order, known)
    signed = stamp(max(unstamp(order.issued, what="order"), seen.issued))
    return State(
        box_id=here.enrolment.box_id, machine=here.machine,
        sequence=max((state.sequence for state in known), default=0),
        versions=versions, digests=digests,
        floor=Floor(signed=signed, shown=signed, local=signed, uptime=reading.uptime, boot=reading.boot),
        min_security_version=max(order.floor.security, here.floor.security),
        revoked=tuple(sorted({*_revoked(here), *(name for state in known for name in state.revoked)})),
        installed=_installed(here, known), log=_log(order, log, known), receipt=_receipt(order, known, receipts),
        answered=order.whom.nonce,
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What the metadata kept at the box shows: versions, digests of the signed parts, the newest signed time."""

    versions: dict[str, int]
    digests: dict[str, str]
    issued: datetime


def _seen(here: Damaged) -> _Seen:
    kept: dict[str, Metadata[Any]] = {"root": Metadata.from_bytes(here.root_bytes)}
    for path in sorted((here.box.trust / "metadata").glob("*.json")):
        if not path.name.endswith(".root.json"):
            with suppress(DeserializationError):  # the releases' records show its version all the same
                kept[path.stem] = Metadata.from_bytes(path.read_bytes())
    snapshot = kept["snapshot"].signed if "snapshot" in kept else None
    named = snapshot.meta if isinstance(snapshot, Snapshot) else {}
    versions: dict[str, int] = {name.removesuffix(".json"): meta.version for name, meta in named.items()}
    shown = [record.versions for record in here.records]
    shown.append({role: found.signed.version for role, found in kept.items()})
    for role, version in ((role, version) for one in shown for role, version in one.items()):
        versions[role] = max(versions.get(role, 0), version)
    whole = {role: digest(found.signed_bytes) for role, found in kept.items()
             if versions[role] == found.signed.version}  # fmt: skip
    return _Seen(versions, whole, max(issued_of(found.signed, role) for role, found in kept.items()))


def _versions(seen: _Seen, order: RecoveryOrder, known: list[State]) -> tuple[dict[str, int], dict[str, str]]:
    """Return versions and digests: a digest only where it is the one of the version that counts.

    A release's number is the version of the top-level targets, which is the one that the order names.
    """
    versions, digests = dict(seen.versions), dict(seen.digests)
    for state in known:
        for role, version in state.versions.items():
            if role != "targets" and version > versions.get(role, 0):
                versions[role] = version
                digests[role] = state.digests.get(role, "")
    if order.floor.release > versions.get("targets", 0):
        versions["targets"] = order.floor.release
        digests.pop("targets", None)
    return versions, {role: value for role, value in digests.items() if value}


def _revoked(here: Damaged) -> set[str]:
    return {name for plan in here.plans for name in plan.revoked}


def _installed(here: Damaged, known: list[State]) -> Installed | None:
    found = [state.installed for state in known if state.installed]
    found += [
        Installed(number=one.number, bundle_digest=one.bundle_digest, epoch=one.epoch,
                  security_version=one.security_version)
        for one in here.records
    ]  # fmt: skip
    return max(found, key=lambda one: one.number, default=None)


def _log(order: RecoveryOrder, log: LogHead | None, known: list[State]) -> LogHead | None:
    """Return the head to remember: the order's word on the size, else the longest that was remembered."""
    least = order.floor.log_size
    if least is None:
        return max((state.log for state in known if state.log), key=lambda head: head.size, default=log)
    if (log.size if log else 0) < least:
        raise GateError("RECOVERY-LOG", f"the log holds {log.size if log else 0} records, the order says {least}",
                        advice="telephone: evidence is missing; an order that lets the log begin anew says so",
                        safe="nothing was changed; what runs goes on running")  # fmt: skip
    return log


def _receipt(order: RecoveryOrder, known: list[State], kept: LastReceipt | None) -> LastReceipt | None:
    """Return the receipt to go on from: the highest counter that anybody knows, so that no counter is used twice."""
    found = [one for one in (order.floor.receipt, kept, *(state.receipt for state in known)) if one]
    return max(found, key=lambda one: one.counter, default=None)
