"""What is asked of the far end: its free space, its files, their digests, and that they are on the disk.

Only a POSIX shell and coreutils are asked; paths are quoted, and names (`parcel.NAME`) travel on stdin.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Mapping
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


def digests(link: Connection, folder: str, sizes: Mapping[str, int]) -> dict[str, str]:
    """Return, in one command, the SHA-256 in hex of the first `sizes[name]` bytes of each file below `folder`.

    A length is given for whole files too: sshd's side of a cut connection may still be writing to a part.
    """
    if not sizes:
        return {}
    loop = 'while IFS= read -r n && IFS= read -r f; do echo "$(head -c "$n" -- "$f" | sha256sum | cut -c1-64) $f"; done'
    asked = "".join(f"{size}\n{name}\n" for name, size in sizes.items())
    output = link.run(f"cd -- {quote(folder)} && {loop}", stdin=asked.encode(), reading=sum(sizes.values()))
    return {line[65:]: line[:64] for line in output.splitlines()}


def make_files_durable(link: Connection, folder: str, names: tuple[str, ...], *, writing: int) -> None:
    """Put files below `folder` on the disk, in one command; `writing` is the sum of their bytes."""
    link.run(f"cd -- {quote(folder)} && xargs -0 sync --", stdin="\0".join(names).encode(), reading=writing)


def make_durable(link: Connection, folders: tuple[str, ...]) -> None:
    """Put the names in `folders` on the disk."""
    link.run("sync -- " + " ".join(map(quote, folders)))
