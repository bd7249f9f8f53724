"""What protects data beside the law's verdicts: bounded copies that can be erased, and declared ways over an air gap.

Invariants 18 and 19 of design/residency.md, as reasons against a site. Whoever declares no cap and no media is not
asked; whoever declares them is held to them, and what is then missing refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from placement.knowledge import Knowledge
from placement.pipeline import Stage
from sites.data import UNLABELLED, Label, is_or_descends, label_of
from sites.policy import Policy, Retention
from sites.site import Site

DAY = 86_400 * 10**6
"""Microseconds."""

CROSSINGS = (("bundle", "in", "brings a bundle in"), ("receipt", "out", "takes a receipt out"))
"""What must cross the air gap of a site that runs anything: software on the way in, receipts on the way home."""


class Copy(NamedTuple):
    """What a stage leaves at its site, and for how long (microseconds; None: nobody says)."""

    label: Label
    retain: int | None


def against(
    stage: Stage, label: Label, site: Site, policy: Policy, stores: Mapping[str, Knowledge]
) -> Iterator[tuple[str, str]]:
    """Yield (rule, sentence) for each reason against a stage with that label at a site."""
    yield from unreachable(site)
    for copy in copies(stage, label, stores):
        for cap in concerning(policy.spec.retention or (), copy.label):
            yield from _beyond(cap, copy, stage, site)


def unreachable(site: Site) -> Iterator[tuple[str, str]]:
    """Yield what no declared medium carries over the air gap of a site that declares some."""
    if site.spec.connectivity.mode != "disconnected" or site.spec.media is None:
        return
    for what, way, said in CROSSINGS:
        if not any(what in medium.carries and medium.direction in (way, "both") for medium in site.spec.media):
            yield f"media:{what}", f"{site.name} declares no medium that {said}"


def copies(stage: Stage, label: Label, stores: Mapping[str, Knowledge]) -> Iterator[Copy]:
    """Yield the copies that a stage with that label leaves: what it retains or queues, and what it reads from."""
    if stage.retain is not None or stage.is_async or stage.task == "queue":
        yield Copy(label, stage.retain)
    if stage.knowledge is not None:
        store = stores[stage.knowledge].spec
        yield Copy(label_of(store.data), store.retain)
    elif stage.task == "retrieve" and stage.retain is None and not stage.is_async:
        yield Copy(label, None)


def concerning(caps: Iterable[Retention], label: Label) -> Iterator[Retention]:
    """Yield the caps on any class of a label; as requirements do, a cap concerns descendants and ancestors."""
    for cap in caps:
        if any(
            atom.data == UNLABELLED or is_or_descends(atom.data, cap.data) or is_or_descends(cap.data, atom.data)
            for atom in label
        ):
            yield cap


def _beyond(cap: Retention, copy: Copy, stage: Stage, site: Site) -> Iterator[tuple[str, str]]:
    erasure = site.spec.erasure
    if erasure is None:
        yield "erasure:none", f"{site.name} declares no way to erase what {stage.name} keeps"
    if copy.retain is None:
        yield f"retention:{cap.data}", f"nobody says how long {stage.name} keeps {cap.data}"
    elif copy.retain + (erasure.within if erasure else 0) > cap.most:
        kept, erased = _days(copy.retain), _days(erasure.within if erasure else 0)
        text = f"{stage.name} keeps {cap.data} {kept}, {site.name} erases within {erased}: more than {_days(cap.most)}"
        yield f"retention:{cap.data}", text


def _days(microseconds: int) -> str:
    return f"{microseconds / DAY:g} d"
