"""Admits a box's keys to the plan's registry, once somebody confirmed its fingerprint out of band."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bundles.carried import carried
from bundles.document import canonical, read
from bundles.enrolment import check_request, fingerprint, grouped
from bundles.errors import TrustError
from bundles.nouns import EnrolmentRequest
from bundles.store import write_durably
from bundles.trust.repository import Repository


def admit(repository: Repository, file: Path, fingerprints: Iterable[str], *, keep: bool = True) -> EnrolmentRequest:
    """Return the request in `file`, admitted: it holds, and its fingerprint is among those that were read out.

    Raises:
        TrustError: the request does not hold, is of another environment, or nobody confirmed its fingerprint.
    """
    request = carried(EnrolmentRequest, file)
    check_request(request)
    own = fingerprint(request)
    if own not in {"".join(given.lower().split()) for given in fingerprints}:
        raise TrustError("FINGERPRINT", f"{request.box_id}: the request's fingerprint is {grouped(own)}",
                         advice="have the site read it out by telephone; if they are equal: --fingerprint")  # fmt: skip
    if request.environment != repository.record.environment:
        raise TrustError("ENVIRONMENT", f"{request.box_id} is enrolled for {request.environment}",
                         advice="enrol it from this repository's seed")  # fmt: skip
    if keep:
        write_durably(repository.folder / "admitted" / f"{request.box_id}.json", canonical(request))
    return request


def admitted(repository: Repository) -> list[EnrolmentRequest]:
    """Return every request admitted before, by box."""
    files = sorted((repository.folder / "admitted").glob("*.json"))
    return [read(EnrolmentRequest, file.read_bytes(), what=str(file)) for file in files]
