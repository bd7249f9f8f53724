"""Names a hub, the patience that it is granted, and what is said of one that does not deserve it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from bundles.errors import LinkError, MediumError

PATIENCE_S = 20.0
SLOWEST = 32 * 1024
"""Bytes a second; who sends less uses patience up, who sends more earns it back."""
ASKED_S = 0.25
"""What a whole file earns back, however small: the way there and back takes time on any network."""
_KEPT = "files that arrived whole are kept and not asked for again; what runs goes on running"


@dataclass(frozen=True)
class Address:
    """Where a hub listens.

    Attributes:
        tls: shows this box's certificate, where the hub wants to know whom it sends to; None speaks plain HTTP.
        patience_s: how many seconds the hub may waste before it is given up.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    patience_s: float = PATIENCE_S

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/"


class AwayError(Exception):
    """The hub is not there, is busy, or left in the middle; asking again may help.

    Attributes:
        hung_up: it was there, and hung up without a word: what a hub does whose TLS does not know the box.
    """

    def __init__(self, why: str, *, hung_up: bool = False) -> None:
        """Say why."""
        super().__init__(why)
        self.hung_up = hung_up


class Patience:
    """The seconds that a hub may still waste; bytes and answers earn them back, never beyond the first measure."""

    def __init__(self, address: Address) -> None:
        """Begin with all the patience that `address` grants."""
        self._where, self._most, self.left = str(address), address.patience_s, address.patience_s

    def spend(self, seconds: float, why: str = "it sends next to nothing") -> None:
        """Take `seconds` off.

        Raises:
            LinkError: none are left.
        """
        self.left -= seconds
        if self.left <= 0:
            raise away(self._where, why)

    def earn(self, size: int, *, seconds: float = 0.0) -> None:
        """Give back for `size` bytes, and `seconds`."""
        self.left = min(self._most, self.left + size / SLOWEST + seconds)


def away(where: str, why: str) -> LinkError:
    """Return that the hub cannot be had any more."""
    return LinkError("HUB-AWAY", f"{where}: {why}", safe=_KEPT,
                     advice="is `hybrid site hub` running there, the cable in? Then repeat the command")  # fmt: skip


def lies(address: Address, name: str, why: str) -> MediumError:
    """Return that an answer is none of a hub's."""
    return MediumError("HUB-ANSWER", f"{address}: {name}: {why}", safe=_KEPT,
                       advice="do not use this hub: it is none of ours, or something sits in between")  # fmt: skip


def stranger(address: Address, why: str) -> LinkError:
    """Return that the hub and this box do not come to speak TLS, or only one of them does."""
    unknown = (
        "a hub lets in only boxes that its bundle's plan admits: was this box's request admitted? Else use the stick, "
        "or --plain at the hub"
    )
    advice = unknown if address.tls else "does it speak TLS? Write https:// as the hub prints it"
    return LinkError("HUB-TLS", f"{address}: {why}", safe=_KEPT, advice=advice)
