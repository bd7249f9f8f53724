"""Holds headquarters' metadata: what is published, and what custodians are signing.

A draft becomes published only when every draft meets its quorum, all at once; so a half-signed role never leaves the
house. Versions of a published role only rise.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bundles.document import stamp
from bundles.errors import InputError
from bundles.store import write_durably
from bundles.trust import collecting
from bundles.trust.custody import Custodian
from bundles.trust.drafting import (
    TOP,
    VALID_DAYS_OTHERS,
    check_custodians,
    delegations_of,
    expiry_of,
    root_of,
)
from bundles.trust.expiry import ExpiryPolicy
from bundles.trust.quorum import Quorum, needs_compliance
from bundles.trust.reading import kept
from bundles.trust.staff import RepositoryRecord, Staff
from bundles.trust.stock import (
    Metadata,
    MetaFile,
    Signer,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

Anything = Metadata[Any]
_ROOT = re.compile(r"[1-9][0-9]{0,8}\.root\.json")


class Repository:
    """A folder: `repository.json`, `custodians/`, `metadata/`, `pending/`, `admitted/`, `builds/`.

    Below `pending/` lie the drafts, and in `pending/next/` the record and the custodians that they bring, if they do.
    """

    def __init__(self, folder: Path) -> None:
        """Open the repository in `folder`.

        Raises:
            InputError: there is none.
        """
        self.folder, self._staff = folder, Staff(folder)
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
        record = RepositoryRecord(
            identity=secrets.token_hex(16), environment="demo" if demo else "production", quorum=quorum or Quorum()
        )
        people = list(custodians)
        check_custodians(people, record)
        Staff(folder).employ(record, people)
        repository = cls(folder)
        repository.draft_root(issued)
        return repository

    @property
    def record(self) -> RepositoryRecord:
        """The repository's own record; while a change of it waits for signatures, as it will be."""
        return self._staff.record()

    def remember(self, record: RepositoryRecord) -> None:
        """Replace the repository's own record."""
        self._staff.remember(record)

    def custodians(self) -> list[Custodian]:
        """Return the custodians, by name: those in force, or those whom the waiting root brings."""
        return self._staff.custodians()

    def replace_custodians(
        self, people: Iterable[Custodian], issued: datetime, *, quorum: Quorum | None = None
    ) -> None:
        """Put `people` in the place of the custodians and draft every role again; the old root must sign too.

        Until that is published, or discarded, the custodians in force stay in force.

        Args:
            quorum: another quorum or profile from this root on.

        Raises:
            InputError: the quorum cannot be met by `people`.
        """
        chosen = list({person.custodian: person for person in people}.values())
        record = self.record.model_copy(update={"quorum": quorum or self.record.quorum})
        check_custodians(chosen, record)
        self._change(record, chosen, issued)
        if (targets := self.published("targets")) is not None:
            self.draft_targets({}, dict(targets.signed.targets), self.sites(), issued, renew=True)

    def order_expiry(self, policy: ExpiryPolicy, issued: datetime) -> None:
        """Draft a root that says `policy` of expired metadata; only root's quorum makes it an order."""
        self._change(self.record.model_copy(update={"expiry": policy}), self.custodians(), issued)

    def require_quiet(self) -> None:
        """Refuse to draft over what custodians are signing.

        Raises:
            InputError: with what waits.
        """
        if waiting := self.drafts():
            raise InputError("WAITING", f"{', '.join(waiting)}: signatures are being collected already",
                             advice="hybrid trust sign TRUST, or throw them away: hybrid trust abandon")  # fmt: skip

    def published(self, role: str) -> Anything | None:
        """Return the published metadata of `role`, the newest root for `root`; None when there is none."""
        file = self.roots()[-1] if role == "root" and self.roots() else self.folder / "metadata" / f"{role}.json"
        return kept(file) if file.is_file() else None

    def roots(self) -> list[Path]:
        """Return every published root, oldest first."""
        found = [path for path in (self.folder / "metadata").glob("*.root.json") if _ROOT.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.split(".")[0]))

    def draft(self, role: str) -> Anything | None:
        """Return the draft of `role`; None when there is none."""
        file = self.folder / "pending" / f"{role}.json"
        return kept(file) if file.is_file() else None

    def drafts(self) -> list[str]:
        """Return the roles that wait for signatures, root first."""
        found = [path.stem for path in (self.folder / "pending").glob("*.json")]
        return sorted(found, key=lambda role: (role != "root", role))

    def discard(self) -> None:
        """Throw the drafts away, with the custodians and the rules that they would have brought."""
        self._staff.unstage()
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
        self._staff.tidy()
        self._draft_root(self.record, self.custodians(), issued)

    def _change(self, record: RepositoryRecord, people: list[Custodian], issued: datetime) -> None:
        """Lay `record` and `people` aside and draft the root that brings them, which is what makes them count."""
        self._staff.stage(record, people)
        self._draft_root(record, people, issued)

    def _draft_root(self, record: RepositoryRecord, people: list[Custodian], issued: datetime) -> None:
        old = self.published("root")
        version = old.signed.version + 1 if old else 1
        self._save_draft("root", Metadata(root_of(people, record, version, issued)))

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
        delegations = delegations_of(self.custodians(), self.record.quorum, sorted(set(sites)))
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

        A role that has used up half of its validity, or that the custodians have not signed enough, is drafted again.
        """
        old = self.published(role)
        if old is None:
            return 1
        fresh = old.signed.expires - issued > timedelta(days=VALID_DAYS_OTHERS // 2)
        return int(old.signed.version) + (
            0 if fresh and old.signed.targets == targets and self._holds(role, old) else 1
        )

    def _holds(self, role: str, old: Anything) -> bool:
        """Return whether a published delegation is signed by enough of the custodians, or of those a root brings."""
        quorum = self.record.quorum
        above = Targets(delegations=delegations_of(self.custodians(), quorum, self.sites()))
        return not collecting.lacking(old, role, [above], quorum)

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

    def sign(self, signers: Iterable[Signer]) -> dict[str, list[str]]:
        """Sign every draft with those of `signers` that may; return role -> key ids that signed."""
        done, hands = {}, list(signers)
        for role in self.drafts():
            found = self._current_metadata(role)
            if made := collecting.sign(found, role, self._parents(role), hands):
                done[role] = made
                self._save_draft(role, found)
        return done

    def add_signatures(self, signatures: Iterable[tuple[str, str, str]]) -> None:
        """Add signatures (role, key id, hex) that came back; each must be valid for its draft, or none is added.

        Raises:
            InputError: nothing of that role waits for signatures.
            TrustError: nobody's who may sign, or not valid: the draft changed since the request was written.
        """
        waiting = {role: self._current_metadata(role) for role in self.drafts()}
        for role, keyid, value in signatures:
            if role not in waiting:
                raise InputError("NOTHING", f"no draft of {role!r} waits for signatures",
                                 advice="they are needed no more; see hybrid trust status")  # fmt: skip
            collecting.add(waiting[role], role, self._parents(role), keyid, value)
        for role, found in waiting.items():
            self._save_draft(role, found)

    def lacking(self, role: str) -> list[str]:
        """Return what the draft of `role` still lacks; for root under the old root's quorum and its own."""
        return collecting.lacking(self._current_metadata(role), role, self._parents(role), self.record.quorum)

    def awaiting(self) -> dict[str, list[str]]:
        """Return custodian -> the roles that still lack signatures and that this person has not signed."""
        found: dict[str, list[str]] = {}
        for role in (role for role in self.drafts() if self.lacking(role)):
            for person in collecting.silent(self._current_metadata(role), role, self._parents(role)):
                found.setdefault(person, []).append(role)
        return dict(sorted(found.items()))

    def able(self, role: str) -> list[str]:
        """Return the ids of the keys that may sign the draft of `role`."""
        return sorted(collecting.able(role, self._parents(role)))

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
        self._staff.promote()
        self.discard()
        return True

    def _parents(self, role: str) -> collecting.Parents:
        """Return who decides about `role`: for a root the old one and itself."""
        root = self._current("root")
        if role == "root":
            old = self.published("root")
            return [root, old.signed] if old and old.signed.version != root.version else [root]
        return [root] if role in TOP else [self._current("targets")]

    def _draft_signed(self, role: str, kind: Any, issued: datetime, **content: Any) -> None:
        old = self.published(role)
        signed = kind(
            version=old.signed.version + 1 if old else 1, expires=expiry_of(role, issued),
            unrecognized_fields={"issued": stamp(issued), "rootVersion": self.version("root")}, **content,
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
