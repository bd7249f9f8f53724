"""Reads a bundle from another box over the local network, believing that box no more than a stick.

The hub says which files it has; every byte is held against what was signed, by whoever reads. A transfer that breaks is
taken up again where it broke, by the same reader in the same pass, so what is hashed is what was received, from
wherever it came.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

from pydantic import Field

from bundles.carrier.address import ASKED_S, Address, AwayError, Patience, away, stranger
from bundles.carrier.line import Answer, Line
from bundles.carrier.nouns import Entry, refuse
from bundles.document import DOCUMENT_CAP, Noun, read

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OFFER_NAME = "offer.json"
PAUSE_S = 0.25


class Offer(Noun):
    """What a hub has: name -> bytes. It is not signed and decides nothing: names and sizes are held against what is.

    A name is printable here, so that it can be shown; whether it belongs to a bundle is the medium's to judge.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["BundleOffer"] = "BundleOffer"
    files: dict[Annotated[str, Field(pattern=r"^[!-~]{1,200}$")], Annotated[int, Field(ge=0, lt=2**53)]]


class Hub:
    """A hub, asked over as few connections as there are files open at a time."""

    def __init__(self, address: Address) -> None:
        """Remember the address; nothing is asked yet."""
        self._address, self._patience = address, Patience(address)
        self._idle: Line | None = None
        self._sizes: dict[str, int] = {}
        self._met = False

    def close(self) -> None:
        """Hang up."""
        if self._idle:
            self._idle.close()
            self._idle = None

    def entries(self) -> Iterator[Entry]:
        """Yield every file that the hub offers.

        Raises:
            LinkError: it does not answer.
            MediumError: what it answers is no offer.
        """
        offer = read(Offer, self._whole(OFFER_NAME, DOCUMENT_CAP), what=f"{self._address}{OFFER_NAME}")
        self._sizes = dict(offer.files)
        for name, size in sorted(self._sizes.items()):
            yield Entry(name, "file", size)

    def open(self, name: str) -> BinaryIO:
        """Open `name`; it is asked for at the first read, and again where it broke."""
        if not self._sizes:
            for _ in self.entries():
                pass
        if name not in self._sizes:
            raise refuse("MISSING", f"{name} cannot be read: the hub has no such file")
        return cast("BinaryIO", Remote(self, name, self._sizes[name]))

    def ask(self, name: str, start: int, size: int) -> tuple[Line, Answer]:
        """Return the connection and what comes over it: file `name` of `size` bytes, from byte `start`.

        Raises:
            LinkError: the hub cannot be had any more.
            MediumError: it answers otherwise.
        """
        while True:
            try:
                return self._asked(name, start, lambda answer: answer.expect(size))
            except AwayError as error:
                self.wait(str(error), hung_up=error.hung_up)

    def give_back(self, line: Line, answer: Answer) -> None:
        """Keep a connection for the next file, if all of the last one came."""
        if answer.whole:
            self._patience.earn(0, seconds=ASKED_S)
        if answer.reusable and self._idle is None:
            self._idle = line
        else:
            line.close()

    def wait(self, why: str, *, hung_up: bool = False) -> None:
        """Pause before asking again.

        Raises:
            LinkError: the hub was never there, or has been away for too long; or it does not want this box.
        """
        if not self._met:
            raise stranger(self._address, why) if hung_up else away(str(self._address), why)
        self._patience.spend(PAUSE_S, why)
        time.sleep(PAUSE_S)

    def _asked(self, name: str, start: int, check: Callable[[Answer], None]) -> tuple[Line, Answer]:
        line, self._idle = self._idle or Line(self._address, self._patience), None
        try:
            answer = line.ask(name, start)
            self._met = True
            check(answer)
        except BaseException:
            line.close()
            raise
        return line, answer

    def _whole(self, name: str, cap: int) -> bytes:
        """Return a document of a length that only the hub knows, at most `cap`."""
        while True:
            try:
                line, answer = self._asked(name, 0, lambda answer: answer.expect_at_most(cap))
                data = bytearray(answer.length)
                view = memoryview(data)
                while view and (size := answer.readinto(view)):
                    view = view[size:]
            except AwayError as error:
                self.wait(str(error), hung_up=error.hung_up)
                continue
            except OSError as error:
                line.close()
                self.wait(str(error))
                continue
            if not view:
                self.give_back(line, answer)
                return bytes(data)
            line.close()
            self.wait("the connection broke")


class Remote(io.RawIOBase):
    """A file at a hub, read once from its start to its end, over as many connections as it takes."""

    def __init__(self, hub: Hub, name: str, size: int) -> None:
        """Ask for nothing yet."""
        self._hub, self._name, self._at, self._size = hub, name, 0, size
        self._coming: tuple[Line, Answer] | None = None

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or as many as are left."""
        left = self._size - self._at
        data = bytearray(left if size < 0 else min(size, left))
        self._fill(memoryview(data))
        return bytes(data)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` as far as the file reaches."""
        view = memoryview(buffer).cast("B")[: self._size - self._at]
        self._fill(view)
        return len(view)

    def close(self) -> None:
        """Let the connection go, or keep it where all of the file came."""
        if self._coming:
            self._hub.give_back(*self._coming)
            self._coming = None
        super().close()

    def _fill(self, view: memoryview) -> None:
        while view:
            if self._coming is None:
                self._coming = self._hub.ask(self._name, self._at, self._size)
            line, answer = self._coming
            try:
                size = answer.readinto(view)
            except OSError:
                size = 0
            if size == 0:
                line.close()
                self._coming = None
                self._hub.wait(f"it left {self._name[:24]} at byte {self._at} of {self._size}")
            self._at += size
            view = view[size:]
