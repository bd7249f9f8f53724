"""Where records lie: one canonical JSON record per line, 4,096 lines to a file, an erased record an empty line.

The name of a segment is the index of its first record. Appending needs one `write`; what a crash tore off at the end
is cut back to the last whole line. Erasing rewrites one segment beside itself and renames it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from hybrid.errors import EvidenceError

SEGMENT_RECORDS = 4096
FOLDER = "records"


def segment_path(directory: Path, first: int) -> Path:
    """Return the file of the segment that begins with record `first`."""
    return directory / FOLDER / f"{first:012d}.jsonl"


def segment_starts(directory: Path) -> list[int]:
    """Return the first index of every segment, in order. Raises EvidenceError when they do not follow each other."""
    names = sorted(path.name for path in (directory / FOLDER).iterdir() if not path.name.endswith(".part"))
    for position, name in enumerate(names):
        if name != segment_path(directory, position * SEGMENT_RECORDS).name:
            raise EvidenceError(
                f"record {position * SEGMENT_RECORDS}: its segment is missing ({FOLDER}/{name} stands in its place)"
            )
    return [position * SEGMENT_RECORDS for position in range(len(names))]


def read_records(directory: Path, begin: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (index, line) from the segment that holds `begin` on; the line keeps its `\\n` unless it was torn off.

    Lines longer than a megabyte come in pieces that will not verify; memory stays bounded.
    """
    for first in segment_starts(directory):
        if first + SEGMENT_RECORDS <= begin:
            continue
        with open(segment_path(directory, first), "rb") as file:
            index = first
            while line := file.readline(1 << 20):
                if index >= first + SEGMENT_RECORDS:
                    raise EvidenceError(f"record {index}: a line too many in {FOLDER}/{first:012d}.jsonl")
                yield index, line
                index += 1


def is_whole(line: bytes) -> bool:
    """Return whether a line could be a record or an erased one: ends in a line break, holds no torn block of zeros."""
    return line.endswith(b"\n") and b"\0" not in line and (line == b"\n" or (line[:1] == b"{" and line[-2:-1] == b"}"))


def cut_torn_tail(directory: Path) -> int:
    """Cut an unfinished last record off the last segment and return how many records there are.

    Only the very last line may be unfinished; a damaged line with whole ones after it is for the caller's digests.
    """
    starts = segment_starts(directory)
    if not starts:
        return 0
    path = segment_path(directory, starts[-1])
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not is_whole(lines[-1]):
        os.truncate(path, sum(map(len, lines[:-1])))
        lines.pop()
    return starts[-1] + len(lines)


def erase_lines(directory: Path, first: int, indices: Collection[int]) -> None:
    """Replace the records `indices` of one segment with empty lines: neighbour file, fsync, rename, fsync folder."""
    path = segment_path(directory, first)
    lines = path.read_bytes().splitlines(keepends=True)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        file.writelines(b"\n" if first + at in indices else line for at, line in enumerate(lines))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
