"""Numbers the bundles of a repository: what has the same content keeps its number, time, nonce and epoch."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bundles.document import Noun, canonical, digest, read, stamp
from bundles.store import write_durably
from bundles.trust.repository import Repository


class BuildRecord(Noun):
    """What the last build of a site was made of, so that the same content gets the same number, time and nonce."""

    content: str
    number: int
    issued: str
    nonce: str
    epoch: int


def numbered(
    content: Mapping[str, Any], site: str, plan_digest: str, repository: Repository, issued: datetime
) -> BuildRecord:
    """Return number, time, nonce and epoch: the last build's while content and published versions are the same."""
    made_of = digest(canonical(dict(content)))
    file = repository.folder / "builds" / f"{site}.json"
    if file.is_file():
        last = read(BuildRecord, file.read_bytes(), what=str(file))
        if last.content == made_of and last.number == repository.version("targets"):
            return last
    published = repository.published("targets")
    number = published.signed.version + 1 if published else 1
    record = BuildRecord(content=made_of, number=number, issued=stamp(issued), nonce=secrets.token_hex(32),
                         epoch=_epoch(repository, plan_digest))  # fmt: skip
    write_durably(file, canonical(record))
    return record


def _epoch(repository: Repository, plan_digest: str) -> int:
    """Return the fleet-wide number of this plan: the same for every site that gets it."""
    known = repository.record.epochs
    if plan_digest in known[-1:]:
        return len(known)
    repository.remember(repository.record.model_copy(update={"epochs": (*known, plan_digest)}))
    return len(known) + 1
