"""Takes the signed head of a box's log into its anti-rollback state, and refuses a log that does not continue it.

The service writes the log and may not write the state; root may write both. So root looks at every start, stop and
hour, and the service opens its log against what root saw. What root reads here the service's user owns: no link is
followed, nothing is read for longer than it is.
"""

from __future__ import annotations

import io
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bundles.trust.state import LogHead
from hybrid.errors import EvidenceError
from hybrid.evidence import merkle, note
from hybrid.evidence.recovery import CHECKPOINTS, LEAVES, RESTORE

_DASH = "\N{EM DASH} ".encode()

if TYPE_CHECKING:
    from bundles.install import Standing
    from bundles.layout import Box


def continued(here: Standing) -> LogHead | None:
    """Return the head that the box's log signed last, after the one in the state; None while there is no log.

    Only what was appended since the remembered head is read.

    Raises:
        EvidenceError: the log is gone, shorter, signed by another key, or does not continue the remembered head.
    """
    return _after(here.state.log, here.box, here.enrolment.site)


def begun(box: Box, site: str) -> LogHead | None:
    """Return the head that the log at `box` signed last, read from its start; None while there is no log.

    Raises:
        EvidenceError: see `continued`.
    """
    return _after(None, box, site)


def _after(before: LogHead | None, box: Box, site: str) -> LogHead | None:
    directory = box.root / "evidence"
    last = _last_note(directory / CHECKPOINTS)
    if last is None:
        if before is None:
            return None
        raise EvidenceError(f"{directory}: the log is gone; {before.size} records were signed", advice=RESTORE)
    return _lengthened(directory, note.verify(last, site, _log_key(box)), before)


def _last_note(path: Path) -> str | None:
    """Return the last whole note of a log, read from the file's end; None where there is none."""
    with _regular(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * note.MAX_NOTE_BYTES))
        parts = file.read(2 * note.MAX_NOTE_BYTES).split(b"\n\n")
    for text, signatures in reversed(list(pairwise(parts[:-1]))):
        if signatures.startswith(_DASH):
            return f"{text.decode('utf-8', 'replace')}\n\n{signatures.decode('utf-8', 'replace')}\n"
    return None


def _regular(path: Path) -> BinaryIO:
    """Open a file that the service's user owns, as root: no link, no pipe, no device; empty where there is none.

    Raises:
        EvidenceError: something else lies there.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return io.BytesIO()
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}", advice=RESTORE) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise EvidenceError(f"{path}: no regular file", advice=RESTORE)
    return os.fdopen(handle, "rb")


def remembered(head: LogHead | None) -> tuple[int, bytes] | None:
    """Return the size and root of a remembered head, as `EvidenceLog.open` takes them."""
    return None if head is None else (head.size, b64decode(head.root))


def _lengthened(directory: Path, signed: note.Checkpoint, before: LogHead | None) -> LogHead:
    tree = merkle.Frontier.of_peaks(bytes.fromhex(peak) or None for peak in before.peaks) if before else None
    tree = tree or merkle.Frontier()
    if before and (tree.size, tree.root()) != remembered(before):
        raise EvidenceError("the head in the state is not whole", advice="ask headquarters for a recovery order")
    if signed.size < tree.size:
        raise EvidenceError(
            f"{directory}: {signed.size} records are signed, there were {tree.size}: the log was cut", advice=RESTORE
        )
    for leaf in _leaves(directory / LEAVES, tree.size, signed.size):
        tree.append(leaf)
    if (tree.size, tree.root()) != (signed.size, signed.root):
        raise EvidenceError(f"{directory}: the log does not continue the one that was signed before", advice=RESTORE)
    peaks = tuple((peak or b"").hex() for peak in tree.peaks)
    return LogHead(size=tree.size, root=b64encode(tree.root()).decode(), peaks=peaks)


def _leaves(path: Path, begin: int, end: int) -> Iterator[bytes]:
    """Yield the leaf hashes from `begin` on, before `end`; fewer where the file ends before."""
    with _regular(path) as file:
        file.seek(begin * merkle.HASH_BYTES)
        left = end - begin
        while left and (block := file.read(merkle.HASH_BYTES * min(left, 2048))):
            whole = [block[at : at + merkle.HASH_BYTES] for at in range(0, len(block), merkle.HASH_BYTES)]
            yield from (merkle.leaf_hash(data) for data in whole if len(data) == merkle.HASH_BYTES)
            left -= len(whole)


def _log_key(box: Box) -> Ed25519PublicKey:
    """Return the log key that this box made at enrolment, from the request that lies beside it."""
    from bundles.document import read
    from bundles.nouns import EnrolmentRequest

    request = read(EnrolmentRequest, box.request.read_bytes(), what=str(box.request))
    public = load_pem_public_key(next(key.public_key for key in request.keys if key.use == "log").encode())
    if not isinstance(public, Ed25519PublicKey):
        raise EvidenceError(f"{box.request}: the log key is not Ed25519", advice="enrol this box again")
    return public
