"""Takes the signed head of a box's log into its anti-rollback state, and refuses a log that does not continue it.

The service writes the log and may not write the state; root may write both. So root looks at every start, stop and
hour, and the service opens its log against what root saw.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bundles.trust.state import LogHead
from hybrid.errors import EvidenceError
from hybrid.evidence import merkle, note
from hybrid.evidence.recovery import LEAVES, RESTORE, read_notes

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
    notes = read_notes(directory)
    if not notes:
        if before is None:
            return None
        raise EvidenceError(f"{directory}: the log is gone; {before.size} records were signed", advice=RESTORE)
    return _lengthened(directory, note.verify(notes[-1], site, _log_key(box)), before)


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
    for leaf in _leaves(directory, tree.size, signed.size):
        tree.append(leaf)
    if (tree.size, tree.root()) != (signed.size, signed.root):
        raise EvidenceError(f"{directory}: the log does not continue the one that was signed before", advice=RESTORE)
    peaks = tuple((peak or b"").hex() for peak in tree.peaks)
    return LogHead(size=tree.size, root=b64encode(tree.root()).decode(), peaks=peaks)


def _leaves(directory: Path, begin: int, end: int) -> list[bytes]:
    """Return the leaf hashes from `begin` on, before `end`."""
    with open(directory / LEAVES, "rb") as file:
        file.seek(begin * merkle.HASH_BYTES)
        data = file.read((end - begin) * merkle.HASH_BYTES)
    whole = len(data) - len(data) % merkle.HASH_BYTES
    return [merkle.leaf_hash(data[at : at + merkle.HASH_BYTES]) for at in range(0, whole, merkle.HASH_BYTES)]


def _log_key(box: Box) -> Ed25519PublicKey:
    """Return the log key that this box made at enrolment, from the request that lies beside it."""
    from bundles.document import read
    from bundles.nouns import EnrolmentRequest

    request = read(EnrolmentRequest, box.request.read_bytes(), what=str(box.request))
    public = load_pem_public_key(next(key.public_key for key in request.keys if key.use == "log").encode())
    if not isinstance(public, Ed25519PublicKey):
        raise EvidenceError(f"{box.request}: the log key is not Ed25519", advice="enrol this box again")
    return public
