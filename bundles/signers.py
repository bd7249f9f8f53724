"""Tells who signed a bundle's metadata, role by role, and how long it holds; whether to trust it is verification's.

A signature counts as valid here when it holds under the keys that the role's parent names. Of a medium that was not
verified, those parents are the medium's own word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bundles.document import stamp
from bundles.errors import MediumError
from bundles.trust.reading import envelope
from bundles.trust.stock import Key, Metadata, RepositoryError, Root, Targets

_ROOT = re.compile(r"([1-9][0-9]*)\.root\.json")
_TOP = ("timestamp", "snapshot", "targets")


@dataclass(frozen=True)
class Signature:
    """One signature under a role: whose key, and whether it holds."""

    custodian: str
    duty: str
    family: str
    keyid: str
    valid: bool


@dataclass(frozen=True)
class RoleSeen:
    """One role as a bundle carries it; `days_left` is negative once it has run out."""

    role: str
    version: int
    issued: str
    expires: str
    days_left: int
    signatures: tuple[Signature, ...]


def roles_of(files: Mapping[str, bytes], now: datetime) -> list[RoleSeen]:
    """Return root, timestamp, snapshot, targets and the delegations in `files` (TUF file name -> bytes).

    Raises:
        MediumError: an envelope is no strict document, or no TUF metadata.
    """
    found = {name: _metadata(data, name) for name, data in files.items()}
    roots = sorted((int(match[1]), name) for name in files if (match := _ROOT.fullmatch(name)))
    if not roots or "targets.json" not in found:
        raise MediumError("METADATA", "no root, or no targets", advice="fetch the medium again from headquarters")
    root, targets = found[roots[-1][1]], found["targets.json"]
    named = {"root": root} | {role: found[f"{role}.json"] for role in _TOP if f"{role}.json" in found}
    named |= {
        name.removesuffix(".json"): one
        for name, one in sorted(found.items())
        if not _ROOT.fullmatch(name) and name.removesuffix(".json") not in _TOP
    }
    return [
        _seen(role, one, root.signed if role in ("root", *_TOP) else targets.signed, now) for role, one in named.items()
    ]


def _metadata(data: bytes, name: str) -> Metadata[Any]:
    envelope(data, name.removesuffix(".json"))
    try:
        found: Metadata[Any] = Metadata.from_bytes(data)
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MediumError("METADATA", f"{name}: {error}", advice="fetch the medium again from headquarters") from None
    return found


def _seen(role: str, found: Metadata[Any], parent: Root | Targets, now: datetime) -> RoleSeen:
    try:
        result = parent.get_verification_result(role, found.signed_bytes, found.signatures)
        valid = set(result.signed)
    except ValueError:
        valid = set()
    keys = parent.keys if isinstance(parent, Root) else parent.delegations.keys if parent.delegations else {}
    signatures = [_signature(keyid, keys.get(keyid), keyid in valid) for keyid in found.signatures]
    signed = found.signed
    return RoleSeen(
        role, signed.version, str(signed.unrecognized_fields.get("issued", "")), stamp(signed.expires),
        (signed.expires - now).days, tuple(sorted(signatures, key=lambda one: (one.custodian, one.family))),
    )  # fmt: skip


def _signature(keyid: str, key: Key | None, valid: bool) -> Signature:
    fields = key.unrecognized_fields if key is not None else {}
    custodian, duty, family = (str(fields.get(name, "?")) for name in ("custodian", "duty", "family"))
    return Signature(custodian, duty, family, keyid, valid)
