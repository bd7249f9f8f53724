"""C2SP signed notes and checkpoints: what a log's head looks like on paper, signed with Ed25519.

A note is text, an empty line, and signature lines (c2sp.org/signed-note). A checkpoint is a note whose text is origin,
size, root (c2sp.org/tlog-checkpoint); ours carries one extension line, the time it was signed, so that a quiet day
can be told from a silent one.
"""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hybrid.errors import EvidenceError

ED25519 = b"\x01"
MAX_NOTE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head: the log of `origin` had `size` leaves under `root` (32 bytes) at `at` (UTC, seconds)."""

    origin: str
    size: int
    root: bytes
    at: dt.datetime

    def text(self) -> str:
        """Return the note's text, which is what gets signed."""
        root = b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {self.at:%Y-%m-%dT%H:%M:%SZ}\n"


def key_id(name: str, public: Ed25519PublicKey) -> bytes:
    """Return the four bytes that tell a signer's keys apart."""
    return sha256(name.encode() + b"\n" + ED25519 + public.public_bytes_raw()).digest()[:4]


def verifier_key(name: str, public: Ed25519PublicKey) -> str:
    """Return the key as the signed-note text form `name+id+base64`."""
    key = b64encode(ED25519 + public.public_bytes_raw()).decode()
    return f"{name}+{key_id(name, public).hex()}+{key}"


def parse_verifier_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """Return (name, key) of a verifier key. Raises EvidenceError when it is none."""
    try:
        name, identity, encoded = text.strip().split("+", 2)
        raw = _decode(encoded)
        if raw[:1] != ED25519:
            raise ValueError("not an Ed25519 key")
        public = Ed25519PublicKey.from_public_bytes(raw[1:])
    except ValueError as error:
        raise EvidenceError(f"not a verifier key of the form name+id+base64: {text.strip()[:80]!r}") from error
    if identity != key_id(name, public).hex():
        raise EvidenceError(f"the verifier key of {name} does not match its own id", advice="copy it again, whole")
    return name, public


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the checkpoint as a signed note; the signer's name is the log's origin."""
    text = checkpoint.text()
    signature = key_id(checkpoint.origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n\N{EM DASH} {checkpoint.origin} {b64encode(signature).decode()}\n"


def verify(note: str, name: str, public: Ed25519PublicKey) -> Checkpoint:
    """Return the checkpoint of a note that `name` signed with `public`; further signatures (witnesses) are ignored.

    Raises EvidenceError when the note is malformed, signed by somebody else, or the signature does not hold.
    """
    if len(note.encode()) > MAX_NOTE_BYTES:
        raise EvidenceError(f"a checkpoint of more than {MAX_NOTE_BYTES} bytes")
    text, gap, signatures = note.partition("\n\n")
    text += "\n"
    checkpoint = parse(text)
    if not signatures.endswith("\n"):
        raise EvidenceError("the last signature line is not whole")
    if not gap or checkpoint.origin != name:
        raise EvidenceError(f"the checkpoint is of log {checkpoint.origin!r}, expected {name!r}")
    wanted = key_id(name, public)
    for line in signatures[:-1].split("\n"):
        mark, _, rest = line.partition(" ")
        signer, _, encoded = rest.rpartition(" ")
        try:
            raw = _decode(encoded)
        except ValueError as error:
            raise EvidenceError("a signature line is not base64") from error
        if mark != "\N{EM DASH}":
            raise EvidenceError("a signature line does not begin with an em dash")
        if signer == name and raw[:4] == wanted:
            try:
                public.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise EvidenceError(f"the signature of {name} over size {checkpoint.size} does not hold") from None
            return checkpoint
    raise EvidenceError(f"no signature of {name} by the expected key (id {wanted.hex()})")


def parse(text: str) -> Checkpoint:
    """Return the checkpoint that an (unverified) note's text states. Raises EvidenceError when it is malformed."""
    try:
        origin, size, root, time = text.removesuffix("\n").split("\n")
        at = dt.datetime.strptime(time, "time %Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
        found = Checkpoint(origin, int(size), _decode(root), at)
    except ValueError as error:
        raise EvidenceError("not a checkpoint: expected the lines origin, size, root and time") from error
    if not origin or len(found.root) != 32 or found.text() != text:
        raise EvidenceError("not a checkpoint in its one canonical form")
    return found


def _decode(encoded: str) -> bytes:
    """Return the bytes of canonical base64; b64decode alone accepts several texts for the same bytes."""
    raw = b64decode(encoded, validate=True)
    if b64encode(raw).decode() != encoded:
        raise ValueError("not canonical base64")
    return raw
