"""One file to the far end: continued after a cut, and put in place only when the far end's digest is ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid.delivery import far_end
from hybrid.delivery.connection import Connection
from hybrid.delivery.errors import DeliveryError, explained
from hybrid.delivery.parcel import PART, Item, digest_of

BLOCK = 1 << 20
REQUEST = 261_120  # sftp-server takes messages of up to 256 KiB; paramiko's default is 32 KiB


@dataclass(frozen=True, slots=True)
class Sent:
    """What one file cost: bytes that travelled, and the byte at which it was continued (0: from the start)."""

    name: str
    size: int
    sent: int
    resumed_at: int


def send(link: Connection, item: Item, target: str, part_size: int | None, advance: Callable[[float], None]) -> Sent:
    """Send a file to `target`, by way of `target.part`, of which `part_size` bytes are already there (None: no file).

    Raises:
        DeliveryError: the far end's bytes are not ours (the part is removed), or its disk is full.
        LinkLostError: the link failed; the part stays and the next run continues it.
    """
    part = target + PART
    start = _continue_at(link, item, part, part_size)
    advance(start)
    _write(link, item, part, start, advance)
    found = far_end.durable_digest(link, part, item.size)
    if found != item.digest:
        with explained(link.where, f"removing {part}"):
            link.sftp.remove(part)
        raise DeliveryError(
            f"{link.where}: {target} arrived damaged (SHA-256 {found[:12]}…, expected {item.digest[:12]}…); removed",
            advice="run the same command again; if it repeats, suspect the disk there or a file that changes here",
        )
    with explained(link.where, f"putting {target} in place"):
        link.sftp.posix_rename(part, target)
    return Sent(item.name, item.size, item.size - start, start)


def _continue_at(link: Connection, item: Item, part: str, part_size: int | None) -> int:
    """A part is worth continuing only if its bytes are the first of ours; anything else is begun anew."""
    if not part_size or part_size > item.size:
        return 0
    _, ours = digest_of(item.path, length=part_size)
    return part_size if far_end.prefix_digest(link, part, part_size) == ours else 0


def _write(link: Connection, item: Item, part: str, start: int, advance: Callable[[float], None]) -> None:
    with item.path.open("rb", buffering=0) as source, explained(link.where, f"sending {item.name}"):
        source.seek(start)
        try:
            handle = link.sftp.open(part, "r+b" if start else "wb", 0)
            handle.MAX_REQUEST_SIZE = REQUEST
            handle.set_pipelined(True)
            handle.seek(start)
            while block := source.read(BLOCK):
                handle.write(block)
                advance(len(block))
            written = handle.stat().st_size  # waits for every write; paramiko drops the statuses of the last hundred
            handle.close()
        except OSError as error:
            if error.errno is None and link.transport.is_active():
                _blame_the_disk(link, part, error)
            raise
    if written != item.size:
        _blame_the_disk(link, part, None)


def _blame_the_disk(link: Connection, part: str, error: OSError | None) -> None:
    """sftp says only "Failure" when a write fails; look whether the disk is full before saying so."""
    if far_end.free_bytes(link, part.rpartition("/")[0]) < BLOCK:
        raise DeliveryError(
            f"{link.where}: the disk is full at {part}",
            advice="free space there and run the same command again: it continues where it stopped",
        ) from error
    if error is None:
        raise DeliveryError(f"{link.where}: {part} is shorter than what was sent", advice="look at its disk and quota")
