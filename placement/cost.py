"""What a plan costs, exactly: fractions of a currency per hour, rounded once, when they are written."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from placement.catalogue import Needs
from placement.graph import exact
from sites.site import Hardware

SECONDS_PER_HOUR = 3600
BYTES_PER_GB = 10**9
EIGHTHS = 8


def dominant_share(needs: Needs, hardware: Hardware) -> Fraction:
    """Return the largest fraction of one node that a replica takes, of cpus, memory, disk and accelerators.

    A resource of which the node has none and the replica needs none counts nothing; one that is needed and not
    there makes the share infinite in spirit: such a pair is refused before anybody asks what it costs.
    """
    shares = [exact(needs.cpus) / hardware.cpus]
    shares += [Fraction(n, has) for n, has in ((needs.memory, hardware.memory), (needs.disk, hardware.disk)) if has]
    if needs.accelerator and hardware.accelerators:
        shares.append(Fraction(needs.accelerator, EIGHTHS * hardware.accelerators.count))
    return max(shares)


def replica_per_hour(needs: Needs, hardware: Hardware) -> Fraction:
    """Return what one replica costs per hour: its dominant share of its node's price."""
    return dominant_share(needs, hardware) * hardware.price.amount


@lru_cache(maxsize=1 << 16)
def egress_per_hour(per_second: Fraction, size: int, price_per_gb: Fraction) -> Fraction:
    """Return what a flow of `size` bytes, `per_second` times, costs per hour over a route of that price."""
    return per_second * SECONDS_PER_HOUR * size * price_per_gb / BYTES_PER_GB


def money(amount: Fraction) -> float:
    """Return an amount as the plan writes it: six decimals, half to even."""
    return float(round(amount, 6))
