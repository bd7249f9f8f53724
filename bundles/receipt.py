"""Signs, at the site, what a box is and did: a chain of receipts, each naming the one before it.

A receipt is written under its counter before the state remembers it. A cut between the two leaves a receipt that
nobody has seen and that the next one continues; a counter is never used for two receipts, unless a box is cloned or
its disk put back, and that is what headquarters sees.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import Field

from bundles import release
from bundles.document import Noun, canonical, digest, plain, read, stamp
from bundles.enrolment import key_id
from bundles.errors import MediumError, StateError, TrustError
from bundles.install import Standing, standing
from bundles.layout import Box
from bundles.lock import locked
from bundles.nouns import Moment, PlanKey, SiteName
from bundles.oci import Digest
from bundles.store import sync_folder, write_durably
from bundles.trust.expiry import Verdict
from bundles.trust.keys import Environment
from bundles.trust.state import LastReceipt, StateCopies

RECEIPT_CAP = 8192
_NO_KEY = "sha256:" + 64 * "0"
Evidence = Literal["holds", "broken", "unchecked"]
Health = Literal["serves", "unchecked", "rolled-back", "withdrawn"]


class LogSeen(Noun):
    """The head of the evidence log that the box remembers; root in base64."""

    size: Annotated[int, Field(ge=0)]
    root: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]


class Serving(Noun):
    """The release that serves, by what headquarters called it; `nonce` is the bundle's own."""

    release: Annotated[int, Field(ge=1)]
    bundle_digest: Digest
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    expiry: Verdict
    excused_by: Literal["warn", "grace"] | None = None


class Receipt(Noun):
    """What a box says of itself: fixed fields, no free text.

    Attributes:
        previous: digest of the receipt before it, absent on the first.
        health: `serves` when the new release was asked after its switch; `rolled-back` and `withdrawn` when it failed.
        failed: digest of the bundle that failed.
        log: the head that the box remembers; `evidence` says whether the log that lies there continues it.
        at: effective time; `clock_suspect` says that the machine's clock is not believed.
        answered: the nonce of the recovery order that the box obeyed last.
        signature: hex, of the receipt key `keyid`, over the canonical receipt with an empty signature.
    """

    api_version: Literal["hybrid/v1"] = "hybrid/v1"
    kind: Literal["Receipt"] = "Receipt"
    box_id: SiteName
    site: SiteName
    environment: Environment
    counter: Annotated[int, Field(ge=1)]
    previous: Digest | None = None
    serving: Serving | None = None
    health: Health
    failed: Digest | None = None
    log: LogSeen | None = None
    evidence: Evidence
    at: Moment
    clock_suspect: bool
    root_version: Annotated[int, Field(ge=1)]
    answered: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    keyid: Digest
    signature: Annotated[str, Field(pattern=r"^([0-9a-f]{128})?$")] = ""

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        return canonical({**plain(self), "signature": ""})

    @property
    def digest(self) -> str:
        """What the next receipt names."""
        return digest(canonical(self))


def read_receipt(data: bytes, *, what: str) -> Receipt:
    """Return the receipt in `data`, whose signature nobody has checked yet.

    Raises:
        MediumError: not one strict document of that form.
    """
    return read(Receipt, data, what=what, cap=RECEIPT_CAP)


def check_signature(receipt: Receipt, key: PlanKey) -> None:
    """Check that `key` signed `receipt`.

    Raises:
        TrustError: it did not, or it is no receipt key of the receipt's site.
    """
    if (key.use, key.site, key.keyid) != ("receipt", receipt.site, receipt.keyid):
        raise TrustError("RECEIPT-KEY", f"{key.keyid[:19]} is no receipt key of {receipt.site}", advice=_TELEPHONE)
    public = load_pem_public_key(key.public_key.encode())
    try:
        if not isinstance(public, Ed25519PublicKey):
            raise InvalidSignature
        public.verify(bytes.fromhex(receipt.signature), receipt.payload)
    except (InvalidSignature, ValueError):
        raise TrustError("RECEIPT-SIGNATURE", f"receipt {receipt.counter} of {receipt.box_id} is not as it was signed",
                         advice=_TELEPHONE) from None  # fmt: skip


_TELEPHONE = "do not count on it; have the site send its receipts again"


def issue(
    here: Standing, health: Health = "unchecked", *, evidence: Evidence = "unchecked", failed: str | None = None
) -> Receipt:
    """Sign the next receipt, keep it on the box, and remember it in the state.

    Args:
        health: what is known of the release that serves; `failed` is the digest of the bundle that did not come up.
        evidence: whether the log was held against the head in the state.

    Raises:
        StateError: the receipt key is gone.
    """
    with locked(here.box):
        here = standing(here.box.root, here.reading, here.state.machine)
        last, key = last_kept(here.box, here.state.receipt), _key(here.box)
        for left in folder_of(here.box).glob(".*.part"):
            left.unlink()
        said = {"health": health, "evidence": evidence, "failed": failed, "keyid": key_id(key.public_key())}
        made = _draft(here, last).model_copy(update=said)
        made = made.model_copy(update={"signature": key.sign(made.payload).hex()})
        write_durably(_file(here.box, made.counter), canonical(made))
        sync_folder(here.box.root)  # a run that was cut may have made the folder of receipts, and not that name durable
        remembered = LastReceipt(counter=made.counter, digest=made.digest)
        StateCopies(here.box).save(here.state.model_copy(update={"receipt": remembered}))
    return made


def last_kept(box: Box, known: LastReceipt | None) -> LastReceipt | None:
    """Return the receipt to continue: `known`, or a later one on the disk that a cut kept from being remembered.

    One that the disk changed keeps its counter, which is never used again; the next names the last whole one, and
    headquarters sees the gap.
    """
    for file in sorted(_kept(box), reverse=True):
        counter = int(file.stem)
        if known and known.counter >= counter:
            return known
        for whole in sorted(_kept(box), reverse=True):
            with suppress(MediumError):
                return LastReceipt(counter=counter, digest=read_receipt(whole.read_bytes(), what=str(whole)).digest)
        return LastReceipt(counter=counter, digest=known.digest if known else _NO_KEY)
    return known


def _kept(box: Box) -> list[Path]:
    """Return the files of the receipts on the box; their names are their counters."""
    return [file for file in folder_of(box).glob("*.json") if file.stem.isascii() and file.stem.isdigit()]


def carry(box: Box, to: Path) -> list[Path]:
    """Write every receipt kept on the box into the folder `to`, unless it is there; return the new files.

    Raises:
        MediumError: `to` is a link: a stick does not choose where on this machine root writes.
    """
    if to.is_symlink():
        raise MediumError("MEDIUM-SYMLINK", f"{to} is a link", advice="choose a folder: hybrid site receipt --to DIR",
                          safe="the receipts are kept on the box")  # fmt: skip
    made = []
    for path in sorted(_kept(box)):
        try:
            receipt = read_receipt(path.read_bytes(), what=str(path))
        except MediumError:
            continue  # the disk changed it; the next one shows the gap
        target = to / f"{receipt.box_id}-{receipt.counter:08d}.json"
        if not _lies_there(target, data := path.read_bytes()):
            write_durably(target, data)
            made.append(target)
    for folder in (to, to.parent) if to.is_dir() else ():  # what a cut run carried is found, and may not be durable
        sync_folder(folder)
    return made


def _lies_there(target: Path, data: bytes) -> bool:
    """Return whether the file `target` holds `data`; one of another length, however long, is not read."""
    there = target.is_file() and not target.is_symlink() and target.stat().st_size == len(data)
    return there and target.read_bytes() == data


def folder_of(box: Box) -> Path:
    """Return where a box keeps its receipts."""
    return box.root / "receipts"


def _file(box: Box, counter: int) -> Path:
    return folder_of(box) / f"{counter:08d}.json"


def _draft(here: Standing, last: LastReceipt | None) -> Receipt:
    """Return what the box knows of itself; what its caller knows is filled in."""
    number, log = release.current_number(here.box), here.state.log
    return Receipt(
        box_id=here.enrolment.box_id, site=here.enrolment.site, environment=here.enrolment.environment,
        counter=last.counter + 1 if last else 1, previous=last.digest if last else None,
        serving=None if number is None else _serving(here, number), health="unchecked", evidence="unchecked",
        log=LogSeen(size=log.size, root=log.root) if log else None, at=stamp(here.time.now),
        clock_suspect=here.time.suspect, root_version=here.state.versions["root"], answered=here.state.answered,
        keyid=_NO_KEY,
    )  # fmt: skip


def _serving(here: Standing, number: int) -> Serving:
    record = release.load(here.box, number)
    return Serving(release=number, bundle_digest=record.bundle_digest, nonce=record.nonce,
                   expiry=here.expiry().verdict, excused_by=record.excused_by)  # fmt: skip


def _key(box: Box) -> Ed25519PrivateKey:
    file = box.identity / "receipt.key"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise StateError("RECEIPT-KEY", f"{file}: {error}", advice="telephone headquarters",
                         safe="what runs goes on running") from None  # fmt: skip
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError("RECEIPT-KEY", f"{file} is no Ed25519 key", advice="telephone headquarters",
                         safe="what runs goes on running")  # fmt: skip
    return key
