"""Holds headquarters' metadata: what is published, and what custodians are signing.

A draft becomes published only when every draft meets its quorum, all at once; so a half-signed role never leaves the
house. Versions of a published role only rise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from bundles.document import Noun, canonical, read, stamp
from bundles.errors import InputError, TrustError
from bundles.layout import delegation_paths
from bundles.store import write_durably
from bundles.trust.custody import Custodian, load_custodian
from bundles.trust.expiry import FIELD, ExpiryPolicy
from bundles.trust.keys import Environment, Keyring
from bundles.trust.metadata import DEFAULT_DRIFT_DAYS, quorum_of
from bundles.trust.quorum import Quorum, missing, needs_compliance
from bundles.trust.stock import (
    CryptoSigner,
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signature,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

TOP = ("root", "timestamp", "snapshot", "targets")
VALID_DAYS = {"root": 5 * 365}
VALID_DAYS_OTHERS = 400

Anything = Metadata[Any]


class RepositoryRecord(Noun):
    """What the repository was made with; `epochs` lists the plan digests in the order they were built."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["TrustRepository"] = "TrustRepository"
    environment: Environment
    quorum: Quorum
    clock_drift_days: int = DEFAULT_DRIFT_DAYS
    expiry: ExpiryPolicy = ExpiryPolicy()
    epochs: tuple[str, ...] = ()


class Repository:
    """A folder: `repository.json`, `custodians/`, `metadata/`, `pending/`, `admitted/`, `builds/`."""

    def __init__(self, folder: Path) -> None:
        """Open the repository in `folder`.

        Raises:
            InputError: there is none.
        """
        self.folder = folder
        if not (folder / "repository.json").is_file():
            raise InputError("REPOSITORY", f"{folder} is no trust repository", advice="make one: hybrid trust init")

    @classmethod
    def create(
        cls, folder: Path, custodians: Iterable[Custodian], *, issued: datetime, quorum: Quorum | None = None,
        demo: bool = False,
    ) -> Repository:  # fmt: skip
        """Make a repository whose first root is a draft for `custodians` to sign.

        Raises:
            InputError: a repository is there already, environments are mixed, or the quorum cannot be met.
        """
        if (folder / "repository.json").exists():
            raise InputError("REPOSITORY", f"{folder} is a trust repository already", advice="use hybrid trust rotate")
        record = RepositoryRecord(environment="demo" if demo else "production", quorum=quorum or Quorum())
        people = list(custodians)
        check_custodians(people, record)
        write_durably(folder / "repository.json", canonical(record))
        repository = cls(folder)
        for person in people:
            write_durably(folder / "custodians" / f"{person.custodian}.json", canonical(person))
        repository.draft_root(issued)
        return repository

    @property
    def record(self) -> RepositoryRecord:
        """The repository's own record."""
        file = self.folder / "repository.json"
        return read(RepositoryRecord, file.read_bytes(), what=str(file))

    def remember(self, record: RepositoryRecord) -> None:
        """Replace the repository's own record."""
        write_durably(self.folder / "repository.json", canonical(record))

    def custodians(self) -> list[Custodian]:
        """Return the custodians in force, by name."""
        return [load_custodian(path) for path in sorted((self.folder / "custodians").glob("*.json"))]

    def replace_custodians(
        self, people: Iterable[Custodian], issued: datetime, *, quorum: Quorum | None = None
    ) -> None:
        """Put `people` in the place of the custodians and draft every role again; the old root must sign too.

        Args:
            quorum: another quorum or profile from this root on.

        Raises:
            InputError: the quorum cannot be met by `people`.
        """
        chosen = {person.custodian: person for person in people}
        record = self.record.model_copy(update={"quorum": quorum or self.record.quorum})
        check_custodians(list(chosen.values()), record)
        self.remember(record)
        for file in (self.folder / "custodians").glob("*.json"):
            file.unlink()
        for name, person in chosen.items():
            write_durably(self.folder / "custodians" / f"{name}.json", canonical(person))
        self.draft_root(issued)
        if (targets := self.published("targets")) is not None:
            self.draft_targets({}, dict(targets.signed.targets), self.sites(), issued, renew=True)

    def order_expiry(self, policy: ExpiryPolicy, issued: datetime) -> None:
        """Draft a root that says `policy` of expired metadata; only root's quorum makes it an order."""
        self.remember(self.record.model_copy(update={"expiry": policy}))
        self.draft_root(issued)

    def published(self, role: str) -> Anything | None:
        """Return the published metadata of `role`, the newest root for `root`; None when there is none."""
        file = self.roots()[-1] if role == "root" and self.roots() else self.folder / "metadata" / f"{role}.json"
        return Metadata.from_bytes(file.read_bytes()) if file.is_file() else None

    def roots(self) -> list[Path]:
        """Return every published root, oldest first."""
        return sorted((self.folder / "metadata").glob("*.root.json"), key=lambda p: int(p.name.split(".")[0]))

    def draft(self, role: str) -> Anything | None:
        """Return the draft of `role`; None when there is none."""
        file = self.folder / "pending" / f"{role}.json"
        return Metadata.from_bytes(file.read_bytes()) if file.is_file() else None

    def drafts(self) -> list[str]:
        """Return the roles that wait for signatures, root first."""
        found = [path.stem for path in (self.folder / "pending").glob("*.json")]
        return sorted(found, key=lambda role: (role != "root", role))

    def discard(self) -> None:
        """Throw the drafts away."""
        for file in (self.folder / "pending").glob("*.json"):
            file.unlink()

    def metadata_files(self, roles: Iterable[str]) -> dict[str, bytes]:
        """Return file name -> published bytes of every root and of `roles`, as a bundle carries them."""
        files = {path.name: path.read_bytes() for path in self.roots()}
        for role in roles:
            files[f"{role}.json"] = (self.folder / "metadata" / f"{role}.json").read_bytes()
        return files

    def draft_root(self, issued: datetime) -> None:
        """Draft the next root from the custodians in force."""
        record, old = self.record, self.published("root")
        people = self.custodians()
        release = [key for person in people if person.duty == "release" for key in person.tuf_keys()]
        recovery = [key for person in people if person.duty == "recovery" for key in person.tuf_keys()]
        roles = {role: Role([key.keyid for key in release], record.quorum.threshold(role)) for role in TOP}
        signed = Root(
            version=old.signed.version + 1 if old else 1, expires=_expiry("root", issued),
            keys={key.keyid: key for key in (*release, *recovery)}, roles=roles, consistent_snapshot=False,
            unrecognized_fields={
                "issued": stamp(issued), "environment": record.environment,
                "quorum": record.quorum.model_dump(mode="json", by_alias=True),
                "clockDriftDays": record.clock_drift_days,
                FIELD: record.expiry.model_dump(mode="json", by_alias=True),
            },
        )  # fmt: skip
        self._save_draft("root", Metadata(signed))

    def draft_targets(
        self, delegated: Mapping[str, dict[str, TargetFile]], top: dict[str, TargetFile], sites: Iterable[str],
        issued: datetime, *, renew: bool = False,
    ) -> None:  # fmt: skip
        """Draft targets, the delegations of `sites` that changed, and the snapshot and timestamp above them.

        Args:
            delegated: delegation -> its targets; those left out keep what is published.
            renew: draft every delegation again, because its keys changed.
        """
        for role in self.drafts():
            if role != "root":
                (self.folder / "pending" / f"{role}.json").unlink()
        delegations = self._delegations(sorted(set(sites)))
        for role in delegations.roles or {}:
            files = delegated.get(role, self.targets_of(role))
            if renew or self.next_version(role, files, issued) != self._published_version(role):
                self._draft_signed(role, Targets, issued, targets=files)
        self._draft_signed("targets", Targets, issued, targets=top, delegations=delegations)
        names = ["targets", *(delegations.roles or {})]
        meta = {f"{name}.json": MetaFile(self.version(name)) for name in names}
        self._draft_signed("snapshot", Snapshot, issued, meta=meta)
        self._draft_signed("timestamp", Timestamp, issued, snapshot_meta=MetaFile(self.version("snapshot")))

    def next_version(self, role: str, targets: dict[str, TargetFile], issued: datetime) -> int:
        """Return the version `role` will have with these targets: the published one while nothing changed.

        A role that has used up half of its validity is drafted again too.
        """
        old = self.published(role)
        if old is None:
            return 1
        fresh = old.signed.expires - issued > timedelta(days=VALID_DAYS_OTHERS // 2)
        return int(old.signed.version) + (0 if fresh and old.signed.targets == targets else 1)

    def version(self, role: str) -> int:
        """Return the version of `role`: the draft's, else the published one's; 0 when there is none."""
        found = self.draft(role) or self.published(role)
        return int(found.signed.version) if found else 0

    def _published_version(self, role: str) -> int:
        found = self.published(role)
        return int(found.signed.version) if found else 0

    def sites(self) -> list[str]:
        """Return the sites that have a delegation."""
        targets = self.published("targets")
        delegations = targets.signed.delegations if targets else None
        roles = (delegations.roles or {}) if delegations else {}
        return [role.removeprefix("site-plans-") for role in roles if needs_compliance(role)]

    def targets_of(self, role: str) -> dict[str, TargetFile]:
        """Return the published targets of `role`; none before it was published."""
        found = self.published(role)
        return dict(found.signed.targets) if found else {}

    def sign(self, signers: Iterable[CryptoSigner]) -> dict[str, list[str]]:
        """Sign every draft with those of `signers` that may; return role -> key ids that signed."""
        done: dict[str, list[str]] = {}
        for role in self.drafts():
            found = self._current_metadata(role)
            allowed = {keyid for parent in self._parents(role) for keyid in parent.get_delegated_role(role).keyids}
            for signer in (s for s in signers if s.public_key.keyid in allowed):
                found.sign(signer, append=True)
                done.setdefault(role, []).append(signer.public_key.keyid)
            self._save_draft(role, found)
        return done

    def add_signatures(self, signatures: Iterable[tuple[str, str, str]]) -> None:
        """Add signatures (role, key id, hex) that came back; each must be valid for its draft.

        Raises:
            TrustError: a signature that does not verify: the draft changed since the request was written.
        """
        for role, keyid, value in signatures:
            found = self._current_metadata(role)
            keys = {k: key for parent in self._parents(role) for k, key in _keys(parent).items()}
            signature = Signature(keyid, value)
            try:
                keys[keyid].verify_signature(signature, found.signed_bytes)
            except Exception as error:
                raise TrustError("SIGNATURE", f"the signature of {keyid[:12]} on {role} is not valid: {error}",
                                 advice="send the custodian the present request again") from None  # fmt: skip
            found.signatures[keyid] = signature
            self._save_draft(role, found)

    def lacking(self, role: str) -> list[str]:
        """Return what the draft of `role` still lacks; for root under the old root's quorum and its own."""
        found = self._current_metadata(role)
        lacks: list[str] = []
        for parent in self._parents(role):
            rule = quorum_of(parent) if isinstance(parent, Root) else self.record.quorum
            result = parent.get_verification_result(role, found.signed_bytes, found.signatures)
            keys = Keyring().admit(_keys(parent).values())
            lacks += [line for line in missing(role, [keys[k] for k in result.signed], rule) if line not in lacks]
        return lacks

    def publish(self) -> bool:
        """Publish every draft when each meets its quorum; return whether nothing is left to sign."""
        roles = self.drafts()
        if any(self.lacking(role) for role in roles):
            return False
        for role in roles:
            data = (self.folder / "pending" / f"{role}.json").read_bytes()
            version = Metadata.from_bytes(data).signed.version
            name = f"{version}.root.json" if role == "root" else f"{role}.json"
            write_durably(self.folder / "metadata" / name, data)
        self.discard()
        return True

    def _delegations(self, sites: list[str]) -> Delegations:
        people, quorum = self.custodians(), self.record.quorum
        patterns = {role: path for site in sites for role, path in delegation_paths(site).items()}
        roles, keys = {}, {}
        for role, pattern in sorted(patterns.items()):
            duties = {"release", "compliance"} if needs_compliance(role) else {"release"}
            able = [p for p in people if p.duty in duties]
            mine = {key.keyid: key for person in able for key in person.tuf_keys()}
            keys.update(mine)
            roles[role] = DelegatedRole(role, list(mine), quorum.threshold(role), True, paths=[pattern])
        return Delegations(dict(keys), roles)

    def _parents(self, role: str) -> list[Root | Targets]:
        """Return who decides about `role`: for a root the old one and itself."""
        root = self._current("root")
        if role == "root":
            old = self.published("root")
            return [root, old.signed] if old and old.signed.version != root.version else [root]
        return [root] if role in TOP else [self._current("targets")]

    def _draft_signed(self, role: str, kind: Any, issued: datetime, **content: Any) -> None:
        old = self.published(role)
        signed = kind(
            version=old.signed.version + 1 if old else 1, expires=_expiry(role, issued),
            unrecognized_fields={"issued": stamp(issued)}, **content,
        )  # fmt: skip
        self._save_draft(role, Metadata(signed))

    def _save_draft(self, role: str, found: Anything) -> None:
        write_durably(self.folder / "pending" / f"{role}.json", found.to_bytes())

    def _current_metadata(self, role: str) -> Anything:
        found = self.draft(role) or self.published(role)
        if found is None:
            raise InputError("ROLE", f"there is no {role} in {self.folder}", advice="run hybrid trust status")
        return found

    def _current(self, role: str) -> Any:
        return self._current_metadata(role).signed


def check_custodians(people: list[Custodian], record: RepositoryRecord) -> None:
    """Refuse custodians of another environment, or too few of them to ever meet the quorum."""
    Keyring().admit(key for person in people for key in person.tuf_keys())
    wrong = [person.custodian for person in people if person.environment != record.environment]
    if wrong:
        raise InputError("ENVIRONMENT", f"{', '.join(wrong)}: keys of another environment than {record.environment}",
                         advice="demo keys sign demo repositories only")  # fmt: skip
    quorum = record.quorum
    other = [p.custodian for p in people if {key.family: key.scheme for key in p.keys} != dict(quorum.schemes)]
    if other:
        raise InputError("PROFILE", f"{', '.join(other)}: keys of another profile than {quorum.profile}",
                         advice=f"make keys with hybrid trust add-key DIR --profile {quorum.profile}")  # fmt: skip
    wanted = {"release": quorum.custodians, "compliance": quorum.compliance, "recovery": quorum.recovery}
    for duty, count in wanted.items():
        have = sum(person.duty == duty for person in people)
        if have < count and (have or duty != "recovery"):  # none at all: recovery is impossible, all else goes on
            raise InputError("CUSTODIANS", f"fewer than {count} custodians with the duty {duty}",
                             advice=f"hybrid trust add-key DIR --custodian NAME --duty {duty}")  # fmt: skip


def signed_target(path: str, data: bytes, quorum: Quorum) -> TargetFile:
    """Return `data` as target `path`: its length and every hash of the profile."""
    return TargetFile.from_data(path, data, list(quorum.hashes))


def _expiry(role: str, issued: datetime) -> datetime:
    return issued + timedelta(days=VALID_DAYS.get(role, VALID_DAYS_OTHERS))


def _keys(parent: Root | Targets) -> dict[str, Key]:
    if isinstance(parent, Root):
        return parent.keys
    return parent.delegations.keys if parent.delegations else {}
