"""Speaks with the person about media: how large they are, and which one is needed next."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundles.carrier import Place

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def size_in(text: str) -> int:
    """Return the bytes that `text` names, e.g. `4GB`, `3.9 GiB`, `700MB`.

    Raises:
        InputError: no size.
    """
    from hybrid.errors import InputError

    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmg]i?)?b?\s*", text.lower())
    if found is None or (size := int(float(found[1]) * _UNITS[found[2] or ""])) < 1:
        raise InputError(f"{text!r} is no size of a medium", advice="for example --split 4GB")
    return size


def asks_for(first: Place, root: Path) -> Callable[[int, int, str], Place] | None:
    """Return what asks for the next part of a split bundle; None where nobody sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    last = first

    def ask(number: int, count: int, why: str) -> Place:
        nonlocal last
        from bundles.errors import MediumError
        from hybrid.hub.calling import place_of

        if why:
            print(f"not that one: {why}", file=sys.stderr)
        print(f"part {number} of {count} is needed: change the medium", file=sys.stderr)
        print(
            f"its folder or hub [{last}], then Enter; Ctrl-D to stop: ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        line = sys.stdin.readline()
        if not line:
            raise MediumError("MEDIUM-PART", f"part {number} of {count} was not put in",
                              advice=f"insert part {number} and repeat the command",
                              safe="what was copied is kept and not read again; what runs goes on running")  # fmt: skip
        last = place_of(line.strip(), root) if line.strip() else last
        return last

    return ask
