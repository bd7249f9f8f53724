"""Names the hub to install from, and shows it who asks."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from bundles.carrier import Address, Place
from bundles.layout import Box
from hybrid.errors import InputError

PORT = 8480
_HOST = re.compile(r"[0-9A-Za-z_.:%-]{1,253}")


def place_of(text: str, root: Path) -> Place:
    """Return where a bundle lies: a path, or a hub such as `https://10.0.0.5:8480/`, asked as the box under `root`.

    Raises:
        InputError: an address of another form, or a box without its TLS key.
    """
    if not re.match(r"https?://", text, re.IGNORECASE):
        return Path(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or PORT
    except ValueError as error:
        raise _odd(text, str(error)) from None
    more = (parts.username, parts.query, parts.fragment, parts.path.removeprefix("/"))
    if not _HOST.fullmatch(host) or any(more):
        raise _odd(text, "a host and a port, nothing else")
    return Address(host, port, as_box(Box(root)) if parts.scheme == "https" else None)


def as_box(box: Box) -> ssl.SSLContext:
    """Return the context that shows this box's certificate to a hub.

    The hub's own certificate is not checked: a box believes no hub, whoever it is, and a false one learns nothing from
    it with which it could ask the true one (TLS 1.3 signs the handshake). So a box needs no plan to install its first.

    Raises:
        InputError: the box has no TLS key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.load_cert_chain(box.identity / "tls.crt", box.identity / "tls.key")
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"{box.identity}/tls.key: {error.strerror or error}", advice="hybrid site enrol, as root"
        ) from None
    return context


def _odd(text: str, why: str) -> InputError:
    return InputError(f"{text!r} is no hub's address: {why}", advice="for example https://10.0.0.5:8480/")
