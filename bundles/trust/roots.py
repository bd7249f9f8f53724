"""Reads what a root signs beside TUF's own fields: the quorum, the environment, the clock's drift, who may recover.

Nothing is verified here; `metadata` does that before it asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pydantic import ValidationError

from bundles.errors import TrustError
from bundles.trust.keys import CustodianKey, Keyring
from bundles.trust.quorum import Quorum
from bundles.trust.stock import Key, Root, Signature, Targets, UnverifiedSignatureError

DEFAULT_DRIFT_DAYS = 45
_ASK = "ask headquarters for a current medium"


def quorum_of(root: Root) -> Quorum:
    """Return the quorum signed in `root`.

    Raises:
        TrustError: missing, unreadable or below the least counts.
    """
    try:
        return Quorum.model_validate(root.unrecognized_fields.get("quorum"), by_alias=True, by_name=False)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise TrustError(
            "QUORUM-RULE", f"root v{root.version} names no acceptable quorum: {why}", advice=_ASK
        ) from None


def environment_of(root: Root) -> str:
    """Return `demo` when the root or any of its keys is marked so, else `production`."""
    marks = {str(key.unrecognized_fields.get("environment", "production")) for key in root.keys.values()}
    marks.add(str(root.unrecognized_fields.get("environment", "production")))
    return "production" if marks == {"production"} else "demo"


def drift_of(root: Root) -> timedelta:
    """Return how far a clock may run ahead of the floor before it is suspected (root: `clockDriftDays`)."""
    days = root.unrecognized_fields.get("clockDriftDays", DEFAULT_DRIFT_DAYS)
    if not isinstance(days, int) or not 1 <= days <= 366:
        raise TrustError("CLOCK-RULE", f"root v{root.version}: clockDriftDays {days!r}", advice=_ASK)
    return timedelta(days=days)


def recovery_keys(root: Root) -> dict[str, Key]:
    """Return key id -> key of the recovery custodians, who sign recovery orders and no role.

    They stand among root's keys with the duty `recovery`, so stock python-tuf reads them as keys without a role. Empty
    where the root names none: such a box cannot be recovered by an order.
    """
    return {keyid: key for keyid, key in root.keys.items() if duty_of(key) == "recovery"}


def recovery_signers(root: Root, payload: bytes, signatures: Iterable[tuple[str, str]]) -> list[CustodianKey]:
    """Return the recovery custodians' keys whose signatures (key id, hex) on `payload` are valid under `root`.

    What does not verify, and who is no recovery custodian, is left out; `quorum.require_recovery` judges the rest.

    Raises:
        TrustError: root's keys are not as they must be: one key under two custodians, an unknown family or duty.
    """
    keys, found = Keyring().admit(root.keys.values()), []
    for keyid, value in signatures:
        key = recovery_keys(root).get(keyid)
        if key is not None and _holds(key, Signature(keyid, value), payload):
            found.append(keys[keyid])
    return found


def _holds(key: Key, signature: Signature, payload: bytes) -> bool:
    try:
        key.verify_signature(signature, payload)
    except UnverifiedSignatureError:
        return False
    return True


def duty_of(key: Key) -> str:
    """Return the duty that the signed metadata gives a key."""
    return str(key.unrecognized_fields.get("duty", ""))


def keys_of(parent: Root | Targets) -> dict[str, Key]:
    """Return key id -> every key that `parent` knows."""
    if isinstance(parent, Root):
        return parent.keys
    return parent.delegations.keys if parent.delegations else {}
