"""TLS 1.3, mutual, between gateways: certificates pinned from the signed key registry, and no authority above them.

The certificates of the registry are self-signed and are the only ones that a context trusts: a server's context trusts
every site's, a client's the one site that it calls. The protocol class tells the application who called, and whether
a body came before it was asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hybrid.errors import EvidenceError

ARRIVAL = "hybrid.arrival"


@dataclass
class Arrival:
    """How a request arrived; it stands in the ASGI scope under `ARRIVAL`.

    Attributes:
        peer: `sha256:` digest of the peer's certificate; None on a plain connection.
        early: bytes of the body that came before the application asked for any.
        unasked: called once when a body comes although the answer was a refusal.
    """

    peer: str | None
    early: Callable[[], int]
    unasked: Callable[[], object] | None = None


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with the peer's certificate in the scope and an eye on bodies that nobody asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Wrap the application of this connection."""
        super().__init__(*args, **kwargs)
        self._inner: Any = self.app
        self._arrival: Arrival | None = None
        self.app = self._announced

    async def _announced(self, scope: Any, receive: Any, send: Any) -> None:
        cycle = self.cycle
        self._arrival = Arrival(self._peer(), early=lambda: len(cycle.body))
        scope[ARRIVAL] = self._arrival
        await self._inner(scope, receive, send)

    def _peer(self) -> str | None:
        ssl_object = self.transport.get_extra_info("ssl_object")
        certificate = None if ssl_object is None else ssl_object.getpeercert(True)
        return None if certificate is None else "sha256:" + sha256(certificate).hexdigest()

    def data_received(self, data: bytes) -> None:
        """Notice a body that comes although the answer, without it, is out."""
        refused = self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        arrival = self._arrival
        super().data_received(data)
        if refused and arrival is not None and arrival.unasked is not None:
            arrival.unasked()
            arrival.unasked = None


def server_context(certificate: Path, key: Path, trusted: Iterable[str]) -> ssl.SSLContext:
    """Return the context of the gateway's own end; callers must show one of the `trusted` certificates (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _pinned(context, certificate, key, trusted)


def client_context(certificate: Path, key: Path, trusted: Iterable[str]) -> ssl.SSLContext:
    """Return the context for calling one site, which must show one of the `trusted` certificates (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _pinned(context, certificate, key, trusted)


def _pinned(context: ssl.SSLContext, certificate: Path, key: Path, trusted: Iterable[str]) -> ssl.SSLContext:
    pems = "\n".join(trusted)
    if not pems:
        raise EvidenceError(
            "the site plan has no TLS certificate in force for the other side",
            advice="admit its enrolment request and build a new bundle",
        )
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cadata=pems)
    return context
