"""Opens what a bundle lies on: a folder, one `.tar` that is read without being unpacked, or a hub on the network.

Rooms: `nouns` (an entry, a file open for reading, what every carrier can do) · `folder` · `tar` · `hub`, at an
`address`, over a `line` (HTTP with somebody who may lie). A carrier says which names it holds and opens one of them;
whether those names belong to a bundle is the medium's to judge. It follows no link, opens no device, waits for no
pipe, and for a hub no longer than its patience.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bundles.carrier.address import Address
from bundles.carrier.folder import Folder
from bundles.carrier.hub import Hub
from bundles.carrier.nouns import Carrier, refuse
from bundles.carrier.tar import Tar

__all__ = ["Address", "Carrier", "Place", "open_carrier"]

Place = Path | Address
"""Where a bundle lies: the path of a folder or `.tar`, or where a hub listens."""


def open_carrier(path: Place) -> Carrier:
    """Open `path`, once, as what it is; a hub is asked nothing yet.

    Raises:
        MediumError: a link, a device or a pipe.
        FileNotFoundError: nothing is there.
    """
    if isinstance(path, Address):
        return Hub(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        if path.is_symlink():
            raise refuse("SYMLINK", f"{path} is a link") from None
        raise
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind == stat.S_IFDIR:
        return Folder(handle)
    if kind == stat.S_IFREG:
        return Tar(handle)
    os.close(handle)
    raise refuse("DEVICE", f"{path} is neither a folder nor a file")
