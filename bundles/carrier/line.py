"""Asks one file of a host that may lie, dawdle, or never end; nothing that it answers is believed beyond its bytes.

One line is one connection, HTTP/1.1 by the standard library's parser over a reader of ours: no more bytes are taken
than an answer may have, and no more time is waited than patience is left. Redirects, encodings, chunks and lengths
other than the wanted one are refused.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import TYPE_CHECKING, cast

from bundles.carrier.address import Address, AwayError, Patience, lies, stranger
from bundles.carrier.nouns import refuse
from bundles.errors import MediumError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_CAP = 32 * 1024
CONNECT_S = 5.0
_BUFFER = 64 * 1024


class Line:
    """One connection to a hub."""

    def __init__(self, address: Address, patience: Patience) -> None:
        """Connect.

        Raises:
            AwayError: nobody listens, or not in time.
            LinkError: no TLS with this box.
        """
        self.address, self._patience = address, patience
        self._allowed = 0
        began = time.monotonic()
        try:
            self._socket = _connected(address, min(CONNECT_S, patience.left))
        except ssl.SSLEOFError:
            raise AwayError("it hangs up") from None
        except ssl.SSLError as error:
            raise stranger(address, (error.reason or "no TLS").lower().replace("_", " ")) from None
        except OSError as error:
            raise AwayError(f"no connection: {error.strerror or error}") from None
        finally:
            patience.spend(time.monotonic() - began, "no connection")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, name: str, start: int) -> Answer:
        """Ask for file `name` from byte `start` on, and return what is answered once its head is read.

        Raises:
            AwayError: the hub left, or is busy.
            MediumError: the hub does not have the file, or answers as no hub of ours does.
        """
        ranged = f"Range: bytes={start}-\r\n" if start else ""
        host = str(self.address).split("/")[2]
        self._allowed = HEAD_CAP
        reply = http.client.HTTPResponse(cast("socket.socket", self), method="GET")
        try:
            request = f"GET /{name} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n{ranged}\r\n"
            self._socket.settimeout(self._patience.left)
            self._socket.sendall(request.encode("ascii"))
            reply.begin()
        except ssl.SSLError as error:
            raise stranger(self.address, (error.reason or "no TLS").lower().replace("_", " ")) from None
        except OSError as error:  # also RemoteDisconnected, an HTTPException too
            raise AwayError(f"the connection broke: {error.strerror or error}", hung_up=True) from None
        except (http.client.HTTPException, ValueError) as error:
            raise lies(self.address, name, f"no HTTP: {type(error).__name__}") from None
        return Answer(self, reply, name, start)

    def allow(self, size: int) -> None:
        """Let `size` bytes more come."""
        self._allowed += size

    def readinto(self, buffer: memoryview) -> int:
        """Wait for bytes as long as there is patience; return how many came, 0 at the end.

        Raises:
            LinkError: patience ran out.
            MediumError: more came than an answer may have.
            OSError: the connection broke.
        """
        if not self._allowed:
            raise lies(self.address, "the answer", "it does not end")
        began = time.monotonic()
        size = 0
        try:
            self._socket.settimeout(self._patience.left)
            size = self._socket.recv_into(buffer[: self._allowed])
        finally:
            self._patience.spend(time.monotonic() - began)
        self._allowed -= size
        self._patience.earn(size)
        return size

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file over this line, for the parser; closing it leaves the line open."""
        return io.BufferedReader(_Reader(self), _BUFFER)


class _Reader(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._line.readinto(memoryview(buffer).cast("B"))


class Answer:
    """A file that is coming, its head read."""

    def __init__(self, line: Line, reply: http.client.HTTPResponse, name: str, start: int) -> None:
        self._line, self._reply, self._name, self._start = line, reply, name, start

    def expect(self, size: int) -> None:
        """Hold the head against what is wanted: the file from the byte asked for, `size` bytes in all.

        Raises:
            AwayError: the hub is busy.
            MediumError: it has not the file, or its answer is not exactly that.
        """
        start = self._start
        if (
            start
            and self._reply.status == 206
            and self._reply.headers.get_all("Content-Range") != [f"bytes {start}-{size - 1}/{size}"]
        ):
            raise self._lie(f"another range than {start}-{size - 1}/{size}")
        self.expect_at_most(size - start)
        if self._reply.length != size - start:
            raise self._lie(f"{self._reply.length} bytes, not {size - start}")

    def expect_at_most(self, cap: int) -> None:
        """Hold the head against a file of at most `cap` bytes.

        Raises:
            AwayError: the hub is busy.
            MediumError: it has not the file; or it is longer, of no one length, encoded, or sent in chunks.
        """
        headers, wanted = self._reply.headers, 206 if self._start else 200
        if self._reply.status in (429, 503):
            raise AwayError("it is busy with other boxes")
        if self._reply.status == 404:
            raise refuse("MISSING", f"{self._name} is not at the hub")
        if self._reply.status != wanted:
            raise self._lie(f"status {self._reply.status}, not {wanted}")
        if headers.get("Content-Encoding") or headers.get("Transfer-Encoding"):
            raise self._lie("it is encoded, and a bundle never is")
        if len(headers.get_all("Content-Length", [])) != 1 or self._reply.length is None:
            raise self._lie("it says no length, or several")
        if self._reply.length > cap:
            raise self._lie(f"{self._reply.length} bytes, at most {cap} are wanted")
        self._line.allow(self._reply.length)

    @property
    def length(self) -> int:
        """The bytes that are still to come."""
        return self._reply.length or 0

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as bytes are there; 0 at the end, or where the hub left."""
        return self._reply.readinto(buffer)

    @property
    def whole(self) -> bool:
        """Whether all of it came."""
        return self._reply.length == 0

    @property
    def reusable(self) -> bool:
        """Whether all of it came and the line may be asked again."""
        return self.whole and not self._reply.will_close

    def _lie(self, why: str) -> MediumError:
        return lies(self._line.address, self._name, why)


def _connected(address: Address, seconds: float) -> socket.socket:
    raw = socket.create_connection((address.host, address.port), timeout=seconds)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return address.tls.wrap_socket(raw) if address.tls else raw
    except BaseException:
        raw.close()
        raise
