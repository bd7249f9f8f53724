"""Answers with a file of the offer, or the rest of one, by its exact name; there is nothing else to ask for."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from bundles.errors import BundleError
from hybrid.gateway.tls import ARRIVAL
from hybrid.hub.doors import ENTRANCE, Entrance, Pace
from hybrid.hub.offer import Offered

READERS = 4
MOST_COUNTED = 256
_REST = re.compile(rb"bytes=(0|[1-9][0-9]{0,15})-")
Headers = list[tuple[bytes, bytes]]


class Application:
    """The hub's one application (ASGI).

    Attributes:
        sent: bytes of blobs sent, by address; `broken` is set once the medium could not be read any more.
    """

    def __init__(self, offered: Offered, guests: frozenset[str] | None, *, rate: float | None = None) -> None:
        """Offer the files of `offered` to whoever shows one of the certificates `guests`, or to anybody where None."""
        self._offered, self._guests, self._pace = offered, guests, Pace(rate)
        self._readers = ThreadPoolExecutor(READERS, "medium")
        self.sent: Counter[str] = Counter()
        self.error: BundleError | None = None
        self.broken = asyncio.Event()

    def close(self) -> None:
        """End the threads that read the medium."""
        self._readers.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request.

        Raises:
            TimeoutError: the box takes nothing any more. BundleError: the medium cannot be read.
        """
        send = _patient(send, scope[ENTRANCE].stuck_s)
        status, headers = self._refusal(scope)
        if status:
            await _brief(send, status, headers)
            return
        name = _name(scope["raw_path"])
        if (document := self._offered.documents.get(name)) is not None:
            await _brief(send, 200, [], document)
        elif name in self._offered.blobs:
            await self._blob(scope, send, name)
        else:
            await _brief(send, 404, [])

    def _refusal(self, scope: Any) -> tuple[int, Headers]:
        """Return the status of a request that is not answered, 0 for one that is."""
        if not scope[ENTRANCE].room:
            return 503, [(b"retry-after", b"1"), (b"connection", b"close")]
        if self._guests is not None and scope[ARRIVAL].peer not in self._guests:
            return 403, [(b"connection", b"close")]
        return (0, []) if scope["method"] == "GET" else (405, [(b"allow", b"GET"), (b"connection", b"close")])

    async def _blob(self, scope: Any, send: Any, name: str) -> None:
        size = self._offered.blobs[name]
        start = _start(scope["headers"])
        if start is not None and start >= size:
            await _brief(send, 416, [(b"content-range", b"bytes */%d" % size)])
            return
        headers: Headers = [(b"content-length", b"%d" % (size - (start or 0)))]
        if start is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, size - 1, size)))
        await send({"type": "http.response.start", "status": 200 if start is None else 206, "headers": headers})
        await self._stream(send, scope[ENTRANCE], name, start or 0, self._whom(scope))

    def _whom(self, scope: Any) -> str:
        """Return under which address is counted what is sent: the first of them by their own, the rest together."""
        address = scope["client"][0] if scope["client"] else ""
        return address if address in self.sent or len(self.sent) < MOST_COUNTED else "others"

    async def _stream(self, send: Any, entrance: Entrance, name: str, start: int, where: str) -> None:
        left = self._offered.blobs[name] - start
        if not left:
            await send({"type": "http.response.body"})
            return
        with contextlib.closing(await self._read(self._offered.open, name, start)) as file:
            while left and not entrance.gone():
                piece = await self._read(file.read, min(self._pace.piece, left))
                if not piece:
                    self._break(BundleError("MEDIUM-READ", f"{name} ends early", advice="push the medium in again"))
                left -= len(piece)
                await self._pace.keep(len(piece))
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
                self.sent[where] += len(piece)

    async def _read(self, act: Any, *arguments: Any) -> Any:
        """Read the medium in a thread: a stick may take its time."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, act, *arguments)
        except BundleError as error:
            self._break(error)

    def _break(self, error: BundleError) -> NoReturn:
        self.error = error
        self.broken.set()
        raise error


def _patient(send: Any, seconds: float) -> Callable[[Any], Awaitable[None]]:
    """Return `send` that waits `seconds` for a box to take what was sent before, and no longer."""

    async def sending(message: Any) -> None:
        async with asyncio.timeout(seconds):
            await send(message)

    return sending


def _name(path: bytes) -> str:
    """Return the name behind the slash; empty, which is no file's, for a path that begins with anything else."""
    return path[1:].decode("ascii", "replace") if path.startswith(b"/") else ""


def _start(headers: Headers) -> int | None:
    """Return where the rest that is asked for begins; None for the whole file, as for any range of another form."""
    asked = [value for name, value in headers if name == b"range"]
    found = _REST.fullmatch(asked[0]) if len(asked) == 1 else None
    return int(found[1]) if found else None


async def _brief(send: Any, status: int, headers: Headers, body: bytes = b"") -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
