"""Which host keys are known, read strictly from OpenSSH's known_hosts: doubt refuses.

paramiko's own reader raises for a whole file at one `@cert-authority` line and takes `@revoked` for a host name.
Here a revoked key is refused for every host, a certificate authority vouches for nothing (host certificates are not
supported, and never mistaken for a host's own key), and a line that cannot be read is passed over unless it revokes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from hybrid.delivery.errors import HostKeyError

MARKERS = ("@revoked", "@cert-authority")


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line: who it is about, the key blob, and where the line stands (`file:line`)."""

    marker: str
    patterns: tuple[str, ...]
    kind: str
    blob: bytes
    where: str


def read_known_hosts(files: tuple[Path, ...]) -> tuple[KnownKey, ...]:
    """Read every file that exists, in order.

    Raises:
        HostKeyError: a line that revokes a key cannot be read: then no key can be trusted.
    """
    lines: list[KnownKey] = []
    for file in files:
        if not file.exists():
            continue
        for number, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            line = _parse(text, f"{file}:{number}")
            if line:
                lines.append(line)
    return tuple(lines)


def _parse(text: str, where: str) -> KnownKey | None:
    fields = text.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    try:
        if marker and marker not in MARKERS:
            raise ValueError(f"unknown marker {marker}")
        patterns, kind, encoded = fields[:3]
        return KnownKey(marker, tuple(patterns.split(",")), kind, base64.b64decode(encoded, validate=True), where)
    except (ValueError, binascii.Error) as error:
        if not marker or marker == "@cert-authority":
            return None
        raise HostKeyError(
            f"{where}: a line with {marker} cannot be read, so no host key can be trusted",
            advice="mend or remove that line",
        ) from error


def name_of(host: str, port: int) -> str:
    """Return the name under which known_hosts lists a host: `[host]:port` unless the port is 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def kinds_known(known: tuple[KnownKey, ...], name: str) -> tuple[str, ...]:
    """Return the key types known for a host, so that the server is asked for one that can be checked."""
    return tuple(dict.fromkeys(key.kind for key in known if not key.marker and _matches(key, name)))


def check(known: tuple[KnownKey, ...], name: str, kind: str, blob: bytes) -> None:
    """Return when the key is the host's; raise HostKeyError when it is revoked, another one, or unknown."""
    print_ = fingerprint(blob)
    for key in known:
        if key.marker == "@revoked" and key.blob == blob:
            raise HostKeyError(
                f"{name} shows a key that is revoked ({print_}; {key.where})",
                advice="do not use this host until its operator has replaced the key and told you the new fingerprint",
            )
    own = [key for key in known if not key.marker and _matches(key, name)]
    if any(key.blob == blob for key in own):
        return
    if own:
        listed = ", ".join(f"{fingerprint(key.blob)} ({key.where})" for key in own)
        raise HostKeyError(
            f"{name} shows another key than the one known: {kind} {print_}; known: {listed}",
            advice="ask its operator whether the key was changed; if not, somebody stands in between",
        )
    raise HostKeyError(f"the key of {name} is not known: {kind} {print_}", advice=_how_to_add(known, name))


def _how_to_add(known: tuple[KnownKey, ...], name: str) -> str:
    if any(key.marker == "@cert-authority" and _matches(key, name) for key in known):
        return "host certificates are not supported: add the host's own key to known_hosts"
    return "compare this fingerprint with one that its operator gave you, then add the key to known_hosts"


def fingerprint(blob: bytes) -> str:
    """Return OpenSSH's fingerprint, `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _matches(key: KnownKey, name: str) -> bool:
    """OpenSSH's rule: some pattern matches and no negated one does."""
    hit = False
    for pattern in key.patterns:
        negated = pattern.startswith("!")
        if _pattern_matches(pattern[negated:], name):
            if negated:
                return False
            hit = True
    return hit


def _pattern_matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _hash_matches(pattern, name)
    # Brackets are literal in known_hosts ("[host]:22022"), so this is not fnmatch.
    shape = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern.lower())
    return re.fullmatch(shape, name) is not None


def _hash_matches(pattern: str, name: str) -> bool:
    try:
        salt, wanted = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), wanted)
