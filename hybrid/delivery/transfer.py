"""Files to the far end: continued after a cut, and given their names only when the far end's digests are ours."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.delivery import far_end
from hybrid.delivery.connection import Connection
from hybrid.delivery.errors import DeliveryError, explained
from hybrid.delivery.parcel import PART, Item

BLOCK = 1 << 20
REQUEST = 261_120  # sftp-server takes messages of up to 256 KiB; paramiko's default is 32 KiB


def send(link: Connection, item: Item, folder: str, start: int, advance: Callable[[float], None]) -> None:
    """Send a file to its `.part` below `folder`, of which the first `start` bytes are there already.

    Raises:
        DeliveryError: the disk there is full.
        LinkLostError: the link failed; the part stays and the next run continues it.
    """
    advance(start)
    if start < item.size or item.size == 0:
        _write(link, item, f"{folder}/{item.name}{PART}", start, advance)


def put_in_place(link: Connection, folder: str, items: tuple[Item, ...]) -> None:
    """Give sent files their names, once all of them are on the disk there with our digests: two commands for them all.

    Raises:
        DeliveryError: some arrived damaged; those are removed, and none has got its name.
    """
    if not items:
        return
    names, size = tuple(item.name + PART for item in items), sum(item.size for item in items)
    far_end.make_files_durable(link, folder, names, writing=size)
    # One byte more than there should be: a longer file has another digest.
    found = far_end.digests(link, folder, {item.name + PART: item.size + 1 for item in items})
    damaged = [item for item in items if found.get(item.name + PART) != item.digest]
    with explained(link.where, "putting files in place"):
        for item in damaged:
            link.sftp.remove(f"{folder}/{item.name}{PART}")
        if not damaged:
            for item in items:
                link.sftp.posix_rename(f"{folder}/{item.name}{PART}", f"{folder}/{item.name}")
    if damaged:
        raise DeliveryError(
            f"{link.where}: {', '.join(item.name for item in damaged)} arrived damaged; removed",
            advice="run the same command again; if it repeats, suspect the disk there or a file that changes here",
        )


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
