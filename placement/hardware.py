"""What a variant does on a hardware group: how fast, and whether one replica fits one node."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from placement.catalogue import Needs, Speed, Variant
from placement.graph import exact
from sites.site import Hardware


def speed_on(variant: Variant, group: Hardware) -> Speed | None:
    """Return the speed that applies: of those that match, the highest throughput, then the least service.

    A key is an accelerator kind, an `arch`, or `arch-isa`.
    """
    names = {group.arch, *(f"{group.arch}-{isa}" for isa in group.isa)}
    if group.accelerators is not None:
        names.add(group.accelerators.kind)
    fitting = [speed for speed in variant.speed if speed.hardware in names and speed.throughput > 0]
    return max(fitting, key=lambda speed: (speed.throughput, -speed.service), default=None)


def shortages(needs: Needs, group: Hardware, stored: int) -> Iterator[tuple[str, str]]:
    """Yield (resource, sentence) for each resource of which an empty node has too little for one replica.

    Args:
        stored: bytes of disk that the knowledge it reads takes on the same node.
    """
    if exact(needs.cpus) > group.cpus:
        yield "cpus", f"needs {needs.cpus:g} cpus, a node of {group.name} has {group.cpus}"
    if needs.memory > group.memory:
        yield "memory", f"needs {_size(needs.memory)} of memory, a node of {group.name} has {_size(group.memory)}"
    if needs.disk + stored > group.disk:
        yield "disk", f"needs {_size(needs.disk + stored)} of disk, a node of {group.name} has {_size(group.disk)}"
    if needs.accelerator and group.accelerators is None:
        yield "accelerator", f"needs {Fraction(needs.accelerator, 8)} of an accelerator, {group.name} has none"


def _size(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
