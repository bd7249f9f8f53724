"""Remembers what this box has seen, so that nobody can show it the past.

Two fsynced copies, bound to box and machine, with a floor derived from the installed releases. One damaged copy is
healed from the other; lost, zeroed, foreign or outdated state refuses, because python-tuf's own client accepts old
metadata in silence once its files are emptied.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bundles.document import Noun, canonical, digest, read
from bundles.errors import BundleError, StateError
from bundles.layout import Box
from bundles.store import write_durably
from bundles.trust.clock import Floor

_RECOVER = "keep the box as it is and telephone headquarters: it is mended by hybrid site recover --challenge FILE"


class Installed(Noun):
    """The release last installed here."""

    number: int
    bundle_digest: str
    epoch: int
    security_version: int


class LogHead(Noun):
    """The evidence log as root last saw it signed: no shorter log, and no other one, is believed afterwards.

    Attributes:
        root: of the tree of `size` leaves, base64, as in the checkpoint.
        peaks: the tree's right edge, hex, the lowest level first (empty: none there), so that what was appended since
            is compared without reading the log again from its start.
    """

    size: Annotated[int, Field(ge=0)]
    root: str
    peaks: tuple[str, ...]


class LastReceipt(Noun):
    """The receipt this box signed last; the next one has the next counter and names this digest."""

    counter: Annotated[int, Field(ge=1)]
    digest: str


class State(Noun):
    """Everything that may only grow.

    Attributes:
        versions: role -> highest version trusted; `digests`: role -> digest of its signed part at that version.
        min_security_version: the highest floor any installed site plan named.
        revoked: every digest and key id that any installed site plan revoked.
        answered: the nonce of the challenge that a recovery order answered last; no order is obeyed twice.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["BoxState"] = "BoxState"
    box_id: str
    machine: str
    sequence: int
    versions: dict[str, int]
    digests: dict[str, str]
    floor: Floor
    clock_suspect: bool = False
    min_security_version: int = 0
    revoked: tuple[str, ...] = ()
    installed: Installed | None = None
    log: LogHead | None = None
    receipt: LastReceipt | None = None
    answered: str | None = None


class Copy(Noun):
    """One copy on disk: the state and the digest that shows it is whole."""

    state: State
    digest: str


def machine_id() -> str:
    """Return a digest that names this machine (from /etc/machine-id), so that a copied state is foreign elsewhere."""
    try:
        text = Path("/etc/machine-id").read_text().strip()
    except OSError:
        text = ""
    return "sha256:" + hashlib.sha256(b"sovereign-hybrid box\0" + text.encode()).hexdigest()


class StateCopies:
    """The two files of a box's state."""

    def __init__(self, box: Box) -> None:
        self._files = (box.trust / "state-a.json", box.trust / "state-b.json")

    def save(self, state: State) -> State:
        """Write both copies, one after the other, with the next sequence number; return what was written."""
        state = state.model_copy(update={"sequence": state.sequence + 1})
        data = canonical(Copy(state=state, digest=digest(canonical(state))))
        for file in self._files:
            write_durably(file, data)  # no secret: the service, under a user of its own, reads the time's floor here
        return state

    def known(self, box_id: str) -> list[State]:
        """Return every whole copy of a state of `box_id`, of whatever machine or age: for a recovery."""
        return [state for file in self._files if (state := _whole(file)) and state.box_id == box_id]

    def load(self, *, box_id: str, machine: str, installed: int) -> State:
        """Return the newest whole copy.

        Args:
            box_id: the box of the enrolment record.
            machine: this machine's own digest.
            installed: the highest number among the releases on disk; state below it is from the past.

        Raises:
            StateError: both copies lost or zeroed, another box's or machine's, or behind the installed releases.
        """
        whole = [state for file in self._files if (state := _whole(file))]
        if not whole:
            raise StateError("STATE-LOST", "both copies of the anti-rollback state are gone or damaged",
                             safe="what runs goes on running; nothing new is installed", advice=_RECOVER)  # fmt: skip
        if any(state.box_id != box_id or state.machine != machine for state in whole):
            raise StateError("STATE-FOREIGN", "the anti-rollback state belongs to another box or machine",
                             safe="what runs goes on running; nothing new is installed", advice=_RECOVER)  # fmt: skip
        newest = max(whole, key=lambda state: state.sequence)
        if (newest.installed.number if newest.installed else 0) < installed:
            raise StateError("STATE-BEHIND", f"the state is older than release {installed}, which is installed",
                             safe="what runs goes on running; nothing new is installed", advice=_RECOVER)  # fmt: skip
        return newest


def _whole(file: Path) -> State | None:
    """Return the state in `file`, or None when it is missing, zeroed or torn."""
    try:
        copy = read(Copy, file.read_bytes(), what=file.name)
    except (OSError, BundleError):
        return None
    return copy.state if digest(canonical(copy.state)) == copy.digest else None
