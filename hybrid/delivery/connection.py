"""An SSH connection that is authenticated both ways and never waits for ever.

Three clocks bound every wait: TCP_USER_TIMEOUT ends a connection whose bytes nobody takes, keep-alives make a dead
peer notice-able while we wait for an answer, and each channel has a time-out of its own.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid.delivery import host_keys
from hybrid.delivery.destination import Destination
from hybrid.delivery.errors import DeliveryError, explained

if TYPE_CHECKING:
    import paramiko

# Authenticated encryption first: twice the speed of paramiko's default order. CBC, 3DES, MD5 and SHA-1 stay out.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
SLOWEST_HASH = 10_000_000  # bytes per second that the weakest box is expected to hash


@dataclass(frozen=True, slots=True)
class Connection:
    """One open connection: run commands, or use `sftp`. `where` names it in messages."""

    transport: paramiko.Transport
    sftp: paramiko.SFTPClient
    where: str
    patience_s: float

    def run(self, command: str, *, stdin: bytes = b"", reading: int = 0) -> str:
        """Run a shell command and return its stdout; `reading` is how many bytes it has to read before it answers.

        Raises:
            DeliveryError: it exited non-zero; the message carries its stderr.
            LinkLostError: it did not answer in time.
        """
        with explained(self.where, f"running `{command.split(' ')[0]}`"):
            channel = self.transport.open_session(timeout=self.patience_s)
            channel.settimeout(self.patience_s + reading / SLOWEST_HASH)
            channel.exec_command(command)
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            output = _drain(channel.makefile("rb"))
            complaint = _drain(channel.makefile_stderr("rb"))
            status = channel.recv_exit_status() if channel.status_event.wait(self.patience_s) else -1
            channel.close()
        if status != 0:
            said = complaint.strip().splitlines()[-1:] or [f"exit status {status}"]
            raise DeliveryError(f"{self.where}: {said[0]}", advice="the account needs a shell with coreutils there")
        return output


def _drain(stream: paramiko.channel.ChannelFile) -> str:
    data = bytes(stream.read())
    return data.decode("utf-8", errors="replace")


@contextmanager
def connect(to: Destination, *, patience_s: float) -> Iterator[Connection]:
    """Open a connection for the body of a `with`; the host's key is checked before the user's name is told.

    Raises:
        HostKeyError: the key is unknown, another one, or revoked.
        LinkLostError, DeliveryError: it cannot be reached, or does not let us in.
    """
    import paramiko

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # else it prints tracebacks of its thread
    known = host_keys.read_known_hosts(to.known_hosts)
    with explained(str(to), "connecting"):
        transport = paramiko.Transport(_dial(to, patience_s))
    try:
        _handshake(transport, to, known, patience_s)
        _log_in(transport, to)
        with explained(str(to), "starting sftp"):
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            channel = sftp.get_channel()
            assert channel is not None
            channel.settimeout(patience_s)
        yield Connection(transport, sftp, str(to), patience_s)
    finally:
        transport.close()


def _dial(to: Destination, patience_s: float) -> socket.socket:
    sock = socket.create_connection((to.host, to.port), timeout=patience_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience_s * 1000))
    return sock


def _handshake(
    transport: paramiko.Transport, to: Destination, known: tuple[host_keys.KnownKey, ...], patience_s: float
) -> None:
    name = to.known_as or host_keys.name_of(to.host, to.port)
    options = transport.get_security_options()
    options.ciphers = CIPHERS
    options.digests = MACS
    wanted = host_keys.kinds_known(known, name)
    # An RSA key is listed as ssh-rsa and signs as rsa-sha2-*.
    kinds = [kind for kind in options.key_types if kind in wanted or (kind.startswith("rsa-") and "ssh-rsa" in wanted)]
    options.key_types = (*kinds, *(kind for kind in options.key_types if kind not in kinds))
    transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = patience_s
    with explained(str(to), "shaking hands"):
        transport.start_client(timeout=patience_s)
        if not transport.initial_kex_done:  # it returns in silence when time is up
            raise TimeoutError
        key = transport.get_remote_server_key()
    transport.set_keepalive(max(1, int(patience_s / 3)))
    host_keys.check(known, name, key.get_name(), key.asbytes())


def _log_in(transport: paramiko.Transport, to: Destination) -> None:
    import paramiko

    offered = []
    for key, source in _keys(to):
        offered.append(source)
        try:
            with explained(str(to), "logging in"):
                transport.auth_publickey(to.user, key)
            return
        except DeliveryError as error:
            if not isinstance(error.__cause__, paramiko.AuthenticationException):
                raise
    raise DeliveryError(
        f"{to} accepts none of our keys: {', '.join(offered) or 'there are none'}",
        advice="name a private key with --identity, or load it into ssh-agent; passwords are not used",
    )


def _keys(to: Destination) -> Iterator[tuple[paramiko.PKey, str]]:
    import paramiko

    agent = paramiko.Agent()
    try:
        for key in agent.get_keys():
            yield key, f"agent:{key.get_name()}"
    finally:
        agent.close()
    for path in to.identities:
        if not path.is_file():
            continue
        try:
            yield paramiko.PKey.from_path(str(path)), str(path)
        except paramiko.PasswordRequiredException as error:
            raise DeliveryError(f"{path} is encrypted", advice=f"load it first: ssh-add {path}") from error
        except (paramiko.SSHException, ValueError) as error:
            raise DeliveryError(
                f"{path}: no private key that can be used ({error})", advice="check --identity"
            ) from error
