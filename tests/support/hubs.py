"""An honest hub in a thread, and a lying one: an HTTP server that answers as it is told to, honest until then."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bundles.carrier import Address
from bundles.carrier.hub import OFFER_NAME, Offer
from bundles.document import canonical
from bundles.layout import Box
from bundles.medium import Medium
from bundles.verification import verify
from hybrid.gateway.listening import listen
from hybrid.hub.application import Application
from hybrid.hub.calling import as_box
from hybrid.hub.doors import Doors
from hybrid.hub.offer import Guests, Offered
from hybrid.hub.service import serve
from tests.support.bundles import ABox

PATIENCE_S = 1.5
"""What a box's patience with a hub is in a test: short, so that its end is seen."""


@dataclass
class AHub:
    """An honest hub that runs: what it offers, and what it sent."""

    address: Address
    application: Application
    files: Mapping[str, int]

    def sent(self) -> int:
        return self.application.sent.total()

    def plainly(self, request: bytes) -> bytes:
        """Return everything that is answered to these bytes, until the hub hangs up."""
        with socket.create_connection((self.address.host, self.address.port), timeout=10) as link:
            link.sendall(request)
            found = b""
            with contextlib.suppress(ConnectionError):
                while piece := link.recv(65536):
                    found += piece
        return found


@contextmanager
def a_hub(
    box: ABox,
    bundle: Path,
    *,
    tls: bool = False,
    rate: float | None = None,
    doors: Doors | None = None,
    port: int = 0,
    narrow: bool = False,
) -> Iterator[AHub]:
    """Run a hub at `box` that offers `bundle`, verified as the command does; plain HTTP unless `tls`.

    `narrow` leaves the kernel next to no room for what was sent and not yet taken.
    """
    here = box.standing()
    with Medium(bundle) as medium:
        verified = verify(medium, here.trust())
        verified.check_blobs()
        guests = Guests.of(verified, here.time.now)
        offered = Offered.of(verified)
        application = Application(offered, guests.digests if tls else None, rate=rate)
        context = guests.context(here.box.identity) if tls else None
        bound = listen("127.0.0.1", port)
        if narrow:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        address = Address("127.0.0.1", bound.getsockname()[1], patience_s=PATIENCE_S)
        with contextlib.closing(bound), _in_a_thread(application, bound, context, doors or Doors()):
            yield AHub(address, application, offered.files | {OFFER_NAME: 0})


def asked_by(box: ABox, address: Address) -> Address:
    """Return the address as `box` asks it: over TLS, showing its certificate."""
    return replace(address, tls=as_box(Box(box.root)))


@contextmanager
def _in_a_thread(application: Application, bound: socket.socket, tls: Any, doors: Doors) -> Iterator[None]:
    ready, ends = threading.Event(), []
    failed: list[BaseException] = []

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        await serve(application, bound, tls=tls, stop=stop, doors=doors, ready=ready.set)

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # seen by `application.error`
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            ends[0]()
        thread.join()
        assert not failed or failed[0] is application.error, failed


@dataclass(frozen=True)
class Reply:
    """What a hub answers: an honest one until a lie replaces fields.

    Attributes:
        body: sent piece by piece; `hang` waits after it until the test is over, else a short body hangs up.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Iterable[bytes]
    hang: bool = False
    close: bool = False

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode()

    def having(self, **changed: str) -> Reply:
        """Return the reply with these headers instead of those of the same name."""
        named = {name.replace("_", "-").lower(): value for name, value in changed.items()}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in named)
        return replace(self, headers=kept + tuple(named.items()))


Lie = Callable[[str, int, Reply], Reply]
"""(name that is asked for, byte to begin at, the honest reply) -> what is sent."""


@dataclass
class ALiar:
    """A lying hub that runs: what it was asked for, and what it answers from."""

    address: Address
    files: dict[str, bytes]
    asked: list[tuple[str, int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    sent: int = 0


def files_of(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle, by name."""
    return {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def offering(files: dict[str, bytes], **others: int) -> bytes:
    """Return the offer of `files`, with `others` (name -> size) in it too."""
    return canonical(Offer(files={name: len(data) for name, data in files.items()} | others))


@contextmanager
def a_liar(bundle: Path | dict[str, bytes], lie: Lie, *, patience_s: float = PATIENCE_S) -> Iterator[ALiar]:
    """Run a hub that answers from `bundle`, as `lie` has it."""
    files = files_of(bundle) if isinstance(bundle, Path) else dict(bundle)
    files.setdefault("offer.json", offering(files))

    class Door(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self._one():
                    pass

        def _one(self) -> bool:
            line = self.rfile.readline().decode()
            if not line:
                return False
            headers = {}
            while (found := self.rfile.readline().decode().strip()) != "":
                headers[found.split(":")[0].lower()] = found.split(":", 1)[1].strip()
            name = line.split(" ")[1][1:]
            start = int(headers.get("range", "bytes=0-")[6:-1])
            liar.asked.append((name, start))
            reply = lie(name, start, _honest(files, name, start))
            self.wfile.write(reply.head())
            sent = 0
            for piece in reply.body:
                self.wfile.write(piece)
                sent += len(piece)
                liar.sent += len(piece)
                if liar.over.is_set():
                    return False
            if reply.hang:
                liar.over.wait()
            said = dict(reply.headers).get("Content-Length") or dict(reply.headers).get("content-length")
            return not reply.close and not reply.hang and said == str(sent)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Door) as server:
        liar = ALiar(Address("127.0.0.1", server.server_address[1], patience_s=patience_s), files)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield liar
        finally:
            liar.over.set()
            server.shutdown()
            thread.join()


def _honest(files: dict[str, bytes], name: str, start: int) -> Reply:
    if name not in files:
        return Reply(404, (("Content-Length", "0"),), ())
    data = files[name]
    headers: tuple[tuple[str, str], ...] = (("Content-Length", str(len(data) - start)),)
    if start:
        headers += (("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}"),)
    return Reply(206 if start else 200, headers, (data[start:],))


def honest(name: str, start: int, reply: Reply) -> Reply:
    """Tell no lie."""
    return reply
