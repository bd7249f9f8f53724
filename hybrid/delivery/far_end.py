"""What is asked of the far end: its free space, its files, their digests, and that they are on the disk.

Only POSIX sh and coreutils are asked; every name is quoted, lists travel on stdin, separated by NUL.
"""

from __future__ import annotations

import errno
import stat
from shlex import quote

from hybrid.delivery.connection import Connection
from hybrid.delivery.errors import explained


def resolve(link: Connection, folder: str) -> str:
    """Return `folder` as an absolute path; a relative one is below the account's home."""
    if folder.startswith("/"):
        return folder.rstrip("/") or "/"
    return f"{link.run('pwd -P').rstrip()}/{folder}".rstrip("/")


def free_bytes(link: Connection, folder: str) -> int:
    """Return what the account may still write on the file system of `folder`, or of its nearest parent."""
    command = f'd={quote(folder)}; while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done; df -Pk -- "$d"'
    return int(link.run(command).splitlines()[-1].split()[3]) * 1024


def make_folders(link: Connection, folders: tuple[str, ...]) -> None:
    """Make folders with their parents."""
    link.run("mkdir -p -- " + " ".join(map(quote, folders)))


def sizes(link: Connection, folder: str) -> dict[str, int]:
    """Return the bytes of each regular file directly in `folder`; links and the like count as absent."""
    with explained(link.where, f"listing {folder}"):
        try:
            found = link.sftp.listdir_attr(folder)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return {}
            raise
    return {entry.filename: entry.st_size or 0 for entry in found if stat.S_ISREG(entry.st_mode or 0)}


def digests(link: Connection, folder: str, names: tuple[str, ...], *, reading: int) -> dict[str, str]:
    """Return the SHA-256 in hex of files below `folder`, in one command; `reading` is the sum of their bytes."""
    if not names:
        return {}
    command = f"cd -- {quote(folder)} && xargs -0 sha256sum -z --"
    output = link.run(command, stdin="\0".join(names).encode(), reading=reading)
    return {line[66:]: line[:64] for line in output.split("\0") if line}


def prefix_digest(link: Connection, path: str, length: int) -> str:
    """Return the SHA-256 in hex of the first `length` bytes."""
    return link.run(f"head -c {length} -- {quote(path)} | sha256sum", reading=length)[:64]


def durable_digest(link: Connection, path: str, size: int) -> str:
    """Return the SHA-256 in hex of a file of `size` bytes once it is on the disk."""
    return link.run(f"sync -- {quote(path)} && sha256sum -z -- {quote(path)}", reading=size)[:64]


def make_durable(link: Connection, folders: tuple[str, ...]) -> None:
    """Put the names in `folders` on the disk."""
    link.run("sync -- " + " ".join(map(quote, folders)))
