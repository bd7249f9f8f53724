"""Remembers on a custodian's own machine what these keys signed, and objects to what does not follow from it.

Headquarters may be wrong, or not headquarters: a request for another repository, or for a version that was signed
with other content, is not signed without the custodian saying so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from bundles.document import Noun, canonical, digest, read, stamp
from bundles.errors import InputError
from bundles.store import write_durably
from bundles.trust.custody import Custodian
from bundles.trust.quorum import needs_compliance
from bundles.trust.signing import RoleRequest, SigningRequest

LEDGER_FILE = "signed.json"
CLOCKS_DIFFER = timedelta(days=1)


class Entry(Noun):
    """The last content of a role that was signed here."""

    version: int
    digest: str


class Ledger(Noun):
    """What these keys signed, role -> entry, for the one repository that they serve."""

    repository: str
    roles: dict[str, Entry] = {}


def load_ledger(folder: Path) -> Ledger | None:
    """Return the ledger in a custodian's folder; None when nothing was signed here yet.

    Raises:
        MediumError: it is damaged.
    """
    file = folder / LEDGER_FILE
    return read(Ledger, file.read_bytes(), what=str(file)) if file.is_file() else None


def require_own(request: SigningRequest, person: Custodian, ledger: Ledger | None) -> None:
    """Refuse a request that these keys have no business with.

    Raises:
        InputError: another environment or repository, a role that is something else, nothing for these keys, or
            something that is not their duty.
    """
    ids = {key.keyid for key in person.tuf_keys()}
    if request.environment != person.environment:
        raise InputError("ENVIRONMENT", f"the request is of the environment {request.environment}, "
                         f"the keys of {person.custodian} of {person.environment}",
                         advice="ask headquarters which request is meant for you")  # fmt: skip
    if ledger is not None and ledger.repository != request.repository:
        raise InputError("REPOSITORY", f"the keys of {person.custodian} serve another repository "
                         f"({ledger.repository[:12]}), the request is of {request.repository[:12]}",
                         advice="ask headquarters which request is yours; keys serve one repository")  # fmt: skip
    kinds = {"root": "root", "timestamp": "timestamp", "snapshot": "snapshot"}
    wrong = [item.role for item in request.roles if item.signed.get("_type") != kinds.get(item.role, "targets")]
    if wrong:
        raise InputError("REQUEST", f"what is called {', '.join(wrong)} is something else",
                         advice="sign nothing of this; tell headquarters")  # fmt: skip
    asked = [item.role for item in request.roles if ids & set(item.keyids)]
    if not asked:
        raise InputError("NOT-ASKED", f"nothing in this request is for the keys of {person.custodian}",
                         advice="ask headquarters whether it knows these keys: hybrid trust status TRUST")  # fmt: skip
    if outside := [role for role in asked if not _is_business_of(person.duty, role)]:
        raise InputError("DUTY", f"{', '.join(outside)}: not to be signed by the duty {person.duty}",
                         advice="sign nothing of this; tell headquarters")  # fmt: skip


def _is_business_of(duty: str, role: str) -> bool:
    """Return whether a duty signs `role` at all: recovery signs orders, compliance site plans, release everything."""
    return duty == "release" or (duty == "compliance" and needs_compliance(role))


def doubts(request: SigningRequest, ledger: Ledger | None, now: datetime) -> list[str]:
    """Return what does not follow from what was signed here, or from the time `now` of this machine.

    That is an older version, one version with two contents, another past than the one that was signed, or a time to
    come: a box never goes back behind the newest signed time.
    """
    known = ledger.roles if ledger else {}
    said = [line for item in request.roles if item.role in known for line in _doubts(item, known[item.role])]
    return said + [
        f"{item.role} says that it is issued at {issued}, which is still to come by this machine's clock"
        for item in request.roles
        if (issued := str(item.signed.get("issued"))) > stamp(now + CLOCKS_DIFFER)
    ]


def _doubts(item: RoleRequest, known: Entry) -> list[str]:
    said, version, before = [], int(item.signed.get("version", 0)), item.published or {}
    if version < known.version:
        said.append(f"{item.role} v{version} is older than v{known.version}, which was signed here")
    if version == known.version and _digest(item.signed) != known.digest:
        said.append(f"{item.role} v{version} was signed here with other content")
    if before.get("version") == known.version and _digest(before) != known.digest:
        said.append(f"{item.role} v{known.version} is said to be published, with other content than was signed here")
    return said


def note(folder: Path, request: SigningRequest, signed: set[str]) -> None:
    """Write down that the roles `signed` of `request` were signed here."""
    before = load_ledger(folder) or Ledger(repository=request.repository)
    made = {
        item.role: Entry(version=int(item.signed["version"]), digest=_digest(item.signed))
        for item in request.roles
        if item.role in signed
    }
    write_durably(folder / LEDGER_FILE, canonical(before.model_copy(update={"roles": {**before.roles, **made}})))


def _digest(signed: dict[str, object]) -> str:
    return digest(canonical(signed))
