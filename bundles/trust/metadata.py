"""Decides which TUF metadata this box may trust: stock python-tuf first, then the custodians' quorum.

`TrustedBundles` has the shape of python-tuf's `TrustedMetadataSet`, which it holds: bytes in, rules inside,
exceptions out; no disk, and the clock is a parameter. What it adds, in order, for every role: the envelope has one
meaning (strict JSON, no unsigned extras), every key has one custodian, the quorum is met, `issued` is there and not
after `expires`, and a root is of the environment that the box was enrolled for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bundles.document import digest, stamp, unstamp
from bundles.errors import MediumError, TrustError
from bundles.layout import bill_target, bundle_target, delegation_paths
from bundles.trust.expiry import expiry_policy_of
from bundles.trust.keys import CustodianKey, Keyring
from bundles.trust.quorum import Quorum, require
from bundles.trust.reading import StrictSet
from bundles.trust.roots import drift_of, duty_of, environment_of, keys_of, quorum_of
from bundles.trust.stock import (
    ExpiredMetadataError,
    RepositoryError,
    Root,
    Signed,
    TargetFile,
    Targets,
)

_ASK = "ask headquarters for a current medium"


def issued_of(signed: Signed, role: str) -> datetime:
    """Return the signed time of issue of a role.

    Raises:
        TrustError: missing, malformed or after `expires`.
    """
    try:
        issued = unstamp(signed.unrecognized_fields.get("issued"), what=role)
    except MediumError as error:
        raise TrustError("ISSUED", f"{role} v{signed.version} has no signed time: {error}", advice=_ASK) from None
    if issued >= signed.expires:
        raise TrustError("ISSUED", f"{role} v{signed.version} is issued after it expires", advice=_ASK)
    return issued


class TrustedBundles:
    """The metadata trusted so far; each `update_` takes bytes and either trusts all of them or raises.

    Attributes:
        issued: role -> its signed time.
        digests: role -> digest of its signed part, to tell two contents of one version apart.
        expiry: the policy that excused, or not, what stands in `expired`: role -> when it ran out.
    """

    def __init__(self, root: bytes, *, now: datetime, environment: str) -> None:
        """Trust `root` (bytes that enrolment pinned); `now` is the effective time.

        Raises:
            TrustError: the root does not meet its own quorum, or is of another environment.
        """
        self._keyring = Keyring()
        self._environment = environment
        self._keys: dict[str, dict[str, CustodianKey]] = {}
        self.issued: dict[str, datetime] = {}
        self.digests: dict[str, str] = {}
        self._set: StrictSet = _stock("root", lambda: StrictSet(root))
        self._now, self.expired = now, dict[str, str]()
        self.expiry = expiry_policy_of(self.root)
        self._accept_root(root, self.root)

    @property
    def root(self) -> Root:
        """The root in force."""
        return self._set.root

    @property
    def targets(self) -> Targets:
        """The top-level targets."""
        return self._set.targets

    @property
    def quorum(self) -> Quorum:
        """The quorum in force."""
        return quorum_of(self.root)

    def versions(self) -> dict[str, int]:
        """Return role -> version of everything trusted, and of every role that the snapshot names."""
        named = {name.removesuffix(".json"): meta.version for name, meta in self._set.snapshot.meta.items()}
        return {"root": self.root.version, **named, **{s: self._set[s].version for s in ("timestamp", "snapshot")}}

    def update_root(self, data: bytes) -> None:
        """Trust the next root: it meets the quorum of the old root and its own (TUF 5.3.4).

        Raises:
            TrustError: not the next version, or one of the two quorums is not met.
        """
        old = self.root
        _stock("root", lambda: self._set.update_root(data))
        self._require("root", data, old, quorum_of(old))
        self._accept_root(data, old)

    def _accept_root(self, data: bytes, old: Root) -> None:
        new, rule = self.root, quorum_of(self.root)
        body = self._require("root", data, new, rule)
        drift_of(new)
        self.expiry = self.expiry.stricter(expiry_policy_of(new))
        self._set.reference_time = self.expiry.since(self._now)
        for role in new.roles:
            self._able(role, new, rule)
        marked = environment_of(new)
        if marked != self._environment or environment_of(old) != marked:
            raise TrustError(
                "ENVIRONMENT",
                f"root v{new.version} is of the environment {marked}, this box was enrolled for {self._environment}",
                advice="demo keys open nothing in production: ask headquarters for the right medium",
            )
        self._remember("root", body, new)

    def update_timestamp(self, data: bytes) -> None:
        """Trust the timestamp; the root must not be expired at the effective time."""
        self._update("timestamp", data, self.root, lambda: self._set.update_timestamp(data))

    def update_snapshot(self, data: bytes) -> None:
        """Trust the snapshot that the timestamp names."""
        self._update("snapshot", data, self.root, lambda: self._set.update_snapshot(data))

    def update_targets(self, data: bytes) -> None:
        """Trust the top-level targets; they hold bundle manifests and bills only."""
        self._update("targets", data, self.root, lambda: self._set.update_targets(data))
        for path in self.targets.targets:
            parts = path.split("/")
            if len(parts) != 2 or path not in _own_targets(parts[1].removesuffix(".json")):
                raise TrustError("TARGET-PATH", f"targets may not name {path!r}", advice=_ASK)

    def update_delegation(self, role: str, data: bytes, site: str) -> Targets:
        """Trust delegation `role` of `site`'s bundle and return it; every path is one level under its pattern.

        Raises:
            TrustError: not delegated as designed, not signed by the quorum, or a path outside.
        """
        pattern = delegation_paths(site)[role]
        delegations = self.targets.delegations
        declared = (delegations.roles or {}).get(role) if delegations else None
        if declared is None or declared.paths != [pattern] or not declared.terminating:
            raise TrustError("DELEGATION", f"targets does not delegate {pattern} to {role}", advice=_ASK)
        self._update(role, data, self.targets, lambda: self._set.update_delegated_targets(data, role, "targets"))
        signed = self._set[role]
        if not isinstance(signed, Targets) or signed.delegations is not None:
            raise TrustError("DELEGATION", f"{role} delegates further", advice=_ASK)
        for path in signed.targets:
            if path.rsplit("/", 1)[0] != pattern.removesuffix("/*"):
                raise TrustError("TARGET-PATH", f"{role} may not name {path!r}", advice=_ASK)
        return signed

    def target(self, path: str, role: str = "targets") -> TargetFile:
        """Return the length and hashes of `path` as `role` signed them.

        Raises:
            TrustError: not named by that role.
        """
        signed = self._set[role]
        found = signed.targets.get(path) if isinstance(signed, Targets) else None
        if found is None or set(found.hashes) != set(self.quorum.hashes):
            wanted = " and ".join(self.quorum.hashes)
            raise TrustError("TARGET", f"{role} names no {path!r} with {wanted} alone", advice=_ASK)
        return found

    def paths(self, role: str) -> list[str]:
        """Return every target path that `role` signed."""
        signed = self._set[role]
        return list(signed.targets) if isinstance(signed, Targets) else []

    def _update(self, role: str, data: bytes, parent: Root | Targets, stock: Callable[[], Signed]) -> None:
        signed = _stock(role, stock)
        if isinstance(parent, Targets):
            self._able(role, parent, self.quorum)
        body = self._require(role, data, parent, self.quorum)
        self._under(role, signed)
        self._remember(role, body, signed)

    def _under(self, role: str, signed: Signed) -> None:
        """Refuse what was signed under a later root than the medium brings: a carrier left out who was revoked."""
        later = signed.unrecognized_fields.get("rootVersion", 0)
        if not isinstance(later, int) or later > self.root.version:
            raise TrustError("ROOT-MISSING", f"{role} was signed under root v{later}, here is v{self.root.version}",
                             advice=f"do not use this medium; {_ASK}")  # fmt: skip

    def _require(self, role: str, data: bytes, parent: Root | Targets, rule: Quorum) -> bytes:
        """Check the quorum on the keys whose signatures are valid under `parent`; return the bytes they signed."""
        found = self._set.reading(data, role)
        result = parent.get_verification_result(role, found.body, found.metadata.signatures)
        keys = self._keyring.admit(keys_of(parent).values())
        require(role, [keys[keyid] for keyid in result.signed], rule)
        return found.body

    def _able(self, role: str, parent: Root | Targets, rule: Quorum) -> None:
        """Refuse a parent that would let stock clients pass with fewer signatures, or with a recovery custodian's."""
        declared, keys = parent.get_delegated_role(role), keys_of(parent)
        if any(duty_of(keys[keyid]) == "recovery" for keyid in declared.keyids if keyid in keys):
            raise TrustError("DUTY", f"{role}: a recovery custodian may sign no role", advice=_ASK)
        if declared.threshold < rule.threshold(role):
            raise TrustError("THRESHOLD", f"{role}: a threshold below {rule.threshold(role)}", advice=_ASK)

    def _remember(self, role: str, body: bytes, signed: Signed) -> None:
        if "demo" in self._keyring.environments() and self._environment != "demo":
            raise TrustError("ENVIRONMENT", f"{role}: a demo key in production metadata", advice=_ASK)
        self.issued[role] = issued_of(signed, role)
        self.expired.pop(role, None)
        if signed.expires <= self._now:
            self.expired[role] = stamp(signed.expires)
        self.digests[role] = digest(body)


def _own_targets(site: str) -> tuple[str, str]:
    return bundle_target(site), bill_target(site)


def _stock(role: str, act: Callable[[], Any]) -> Any:
    """Run a stock python-tuf check and say its refusal in our words."""
    try:
        return act()
    except ExpiredMetadataError as error:
        raise TrustError("EXPIRED", f"{role}: {error}", advice=_ASK) from None
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrustError("METADATA", f"{role}: {error}", advice=f"do not use this medium; {_ASK}") from None
