"""Bounds what a network can take of a hub: so many connections, none of them idle for long, so many bytes a second."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bundles.errors import BundleError
from bundles.store import CHUNK
from hybrid.gateway.tls import PeerProtocol

OUTSIDE = 4
SMALLEST = 32 * 1024
ENTRANCE = "hybrid.hub.entrance"


@dataclass
class Doors:
    """Who is there: `most` connections in all and `each` of one address are answered, the others told to wait.

    Several times as many may stand outside, their TLS not spoken yet or told to wait; who comes then is not let in at
    all. One address cannot take the places of another.

    Attributes:
        idle_s: how long a connection may ask for nothing.
        stuck_s: how long a box may take nothing of what is being sent to it.
    """

    most: int = 32
    each: int = 8
    idle_s: float = 10.0
    stuck_s: float = 30.0
    _inside: Counter[str] = field(default_factory=Counter)
    _there: Counter[str] = field(default_factory=Counter)

    def come(self, address: str) -> bool:
        """Count a connection from `address`, and return True; False, and nothing counted, where too many are there."""
        if self._there[address] >= OUTSIDE * self.each or self._there.total() >= OUTSIDE * self.most:
            return False
        self._there[address] += 1
        return True

    def go(self, address: str) -> None:
        """Count one less."""
        self._there[address] -= 1
        self._there += Counter()  # forgets who is gone

    def enter(self, address: str) -> bool:
        """Give a place to a connection from `address`, and return True; False where there is none."""
        if self._inside[address] >= self.each or self._inside.total() >= self.most:
            return False
        self._inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Take the place back."""
        self._inside[address] -= 1
        self._inside += Counter()


class Porch(socket.socket):
    """A listening socket that lets in as many as `doors` bear, before a byte is read."""

    doors: Doors

    @classmethod
    def over(cls, bound: socket.socket, doors: Doors) -> Porch:
        """Return the porch that takes `bound` over."""
        porch = cls(fileno=bound.detach())
        porch.doors = doors
        return porch

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection and its address.

        Raises:
            BlockingIOError: nobody is there, or too many are.
        """
        link, address = super().accept()
        if not self.doors.come(address[0]):
            link.close()
            raise BlockingIOError
        return _Link(link, self.doors, address[0]), address


class _Link(socket.socket):
    def __init__(self, link: socket.socket, doors: Doors, address: str) -> None:
        super().__init__(fileno=link.detach())
        self._doors, self._from = doors, address

    def close(self) -> None:
        if self.fileno() >= 0:
            self._doors.go(self._from)
        super().close()


@dataclass
class Pace:
    """Bytes a second that leave in all; None lets them leave as fast as they can."""

    rate: float | None
    _due: float = 0.0

    @property
    def piece(self) -> int:
        """How many bytes leave at a time: fewer where they leave slowly, so that no box waits long for its next."""
        return CHUNK if self.rate is None else max(SMALLEST, min(CHUNK, int(self.rate / 32)))

    async def keep(self, size: int) -> None:
        """Wait until `size` bytes more may leave."""
        if self.rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - 0.1) + size / self.rate
        if self._due > now:
            await asyncio.sleep(self._due - now)


@dataclass(frozen=True)
class Entrance:
    """A connection as the application sees it, in the scope under `ENTRANCE`."""

    room: bool
    gone: Callable[[], bool]
    stuck_s: float


class HubProtocol(PeerProtocol):
    """uvicorn's HTTP/1.1 with a door: a connection that asks for nothing is closed, and one that takes nothing too."""

    def __init__(self, *args: Any, doors: Doors, **kwargs: Any) -> None:
        """Wrap the application of this connection; `doors` are those of the whole hub."""
        super().__init__(*args, **kwargs)
        self._doors, self._room, self._from = doors, False, ""
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Count it, and wait for its first request, not for long."""
        super().connection_made(transport)
        self._from = self.client[0] if self.client else ""
        self._room = self._doors.enter(self._from)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        if self._room:
            self._doors.leave(self._from)
        self._unwatch()
        super().connection_lost(exc)

    async def _announced(self, scope: Any, receive: Any, send: Any) -> None:
        cycle = self.cycle
        scope[ENTRANCE] = Entrance(self._room, lambda: cycle.disconnected, self._doors.stuck_s)
        self._unwatch()
        try:
            await super()._announced(scope, receive, send)
        except (OSError, TimeoutError, BundleError):
            self.transport.abort()  # what was promised is not coming: say so by hanging up
        finally:
            self._watch()

    def _watch(self) -> None:
        self._unwatch()
        self._alarm = self.loop.call_later(self._doors.idle_s, self._idle, self.transport.get_write_buffer_size())

    def _idle(self, before: int) -> None:
        """Hang up, unless what was sent last is still being taken."""
        if 0 < self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

    def _unwatch(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
