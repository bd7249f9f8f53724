"""Listens: sockets bound before anything else happens, and uvicorn on them for as long as a block of code runs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from hybrid.errors import HybridError
from hybrid.gateway.tls import PeerProtocol

MOST_HEADERS = 1 << 16
GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket; port 0 takes a free one. Raises HybridError when the address is taken."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind((host, port))
        bound.listen(1)
    except OSError as error:
        bound.close()
        advice = "stop what listens there, or choose another port"
        raise HybridError(f"cannot listen on {host}:{port}: {error.strerror}", advice=advice) from error
    return bound


def listen_unix(path: Path) -> socket.socket:
    """Return a bound Unix socket that its user and group may use. Raises HybridError when somebody listens there."""
    probe = socket.socket(socket.AF_UNIX)
    with contextlib.closing(probe), contextlib.suppress(OSError):
        probe.connect(str(path))
        raise HybridError(f"cannot listen on {path}: address in use", advice="stop what listens there")
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    path.chmod(0o660)
    return bound


@contextlib.asynccontextmanager
async def listening(
    application: Any, bound: socket.socket, *, tls: ssl.SSLContext | None = None, protocol: Any = PeerProtocol
) -> AsyncIterator[None]:
    """Serve an ASGI `application` on a bound socket while the body runs; then let what is in work finish.

    `protocol` makes the HTTP protocol of a connection, as uvicorn calls it.
    """
    config = uvicorn.Config(
        application, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, date_header=False, h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_context_factory=None if tls is None else lambda config, default: tls,
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not task.done():
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task
