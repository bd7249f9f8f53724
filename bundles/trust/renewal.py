"""Drafts again what runs out soon, so that no site waits for signatures that ended while nobody looked."""

from __future__ import annotations

from datetime import datetime, timedelta

from bundles.errors import InputError
from bundles.trust.repository import Repository


def ends(repository: Repository) -> dict[str, datetime]:
    """Return role -> when what is published of it runs out, root first."""
    folder = repository.folder / "metadata"
    names = ["root", *sorted(path.stem for path in folder.glob("*.json") if path.name.count(".") == 1)]
    return {role: found.signed.expires for role in names if (found := repository.published(role))}


def ending(repository: Repository, now: datetime, within: timedelta) -> list[str]:
    """Return the published roles that run out `within` so long of `now`, or have."""
    return [role for role, end in ends(repository).items() if end - now < within]


def renew(repository: Repository, issued: datetime, within: timedelta) -> list[str]:
    """Draft again what runs out `within` so long, and what stands above it; return the roles drafted.

    A delegation that is drafted again has another version, so the bundles that name it are to be built again.

    Raises:
        InputError: something waits for signatures already, or nothing runs out so soon.
    """
    repository.require_quiet()
    roles = ending(repository, issued, within)
    if not roles:
        raise InputError("NOTHING", f"nothing runs out within {within.days} days", advice="hybrid trust status TRUST")
    if "root" in roles:
        repository.draft_root(issued)
    targets = repository.published("targets")
    if targets is not None and roles != ["root"]:
        repository.draft_targets({}, dict(targets.signed.targets), repository.sites(), issued)
    return repository.drafts()
