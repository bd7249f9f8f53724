"""Holds who the custodians are and by which rules: those in force, and those that a root waiting for signatures brings.

What a root brings lies in `pending/next/` until the root is published; thrown away, whoever was in force still is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from bundles.document import canonical, read
from bundles.store import write_durably
from bundles.trust.custody import Custodian, load_custodian
from bundles.trust.drafting import Rules

RECORD = "repository.json"


class RepositoryRecord(Rules):
    """What the repository was made with; `epochs` lists the plan digests in the order they were built."""

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["TrustRepository"] = "TrustRepository"
    epochs: tuple[str, ...] = ()


class Staff:
    """The record and the custodians of the repository in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._next = folder, folder / "pending" / "next"

    def record(self) -> RepositoryRecord:
        """Return the record; while a change of it waits, as it will be."""
        file = self._place / RECORD
        return read(RepositoryRecord, file.read_bytes(), what=str(file))

    def remember(self, record: RepositoryRecord) -> None:
        """Replace the record."""
        write_durably(self._place / RECORD, canonical(record))

    def custodians(self) -> list[Custodian]:
        """Return the custodians by name; while a change of them waits, as they will be."""
        return [load_custodian(path) for path in sorted((self._place / "custodians").glob("*.json"))]

    def employ(self, record: RepositoryRecord, people: list[Custodian]) -> None:
        """Put `record` and `people` in force at once, in a new repository; the record last, which makes it one."""
        _lay(self._folder, record, people)

    def stage(self, record: RepositoryRecord, people: list[Custodian]) -> None:
        """Lay `record` and `people` beside the drafts, in force once these are published."""
        (self._next / RECORD).unlink(missing_ok=True)
        _lay(self._next, record, people)

    def promote(self) -> None:
        """Put what was staged in force; run again after a cut, it does the same."""
        if self._place == self._next:
            _lay(self._folder, self.record(), self.custodians())

    def unstage(self) -> None:
        """Forget what was staged; the record first, without which the rest means nothing."""
        (self._next / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self._next, ignore_errors=True)

    def tidy(self) -> None:
        """Forget what was staged for a root that was never drafted, before another root is."""
        if self._place == self._folder:
            self.unstage()

    @property
    def _place(self) -> Path:
        """What is staged counts only beside the draft of the root that brings it: a cut between the two is nothing."""
        brought = (self._next / RECORD).is_file() and (self._folder / "pending" / "root.json").is_file()
        return self._next if brought else self._folder


def _lay(folder: Path, record: RepositoryRecord, people: list[Custodian]) -> None:
    for person in people:
        write_durably(folder / "custodians" / f"{person.custodian}.json", canonical(person))
    for file in (folder / "custodians").glob("*.json"):
        if file.stem not in {person.custodian for person in people}:
            file.unlink()
    write_durably(folder / RECORD, canonical(record))
