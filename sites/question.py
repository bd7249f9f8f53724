"""One question of residency: may this atom undergo this activity at this place, with these parties taking part?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sites.data import Atom
from sites.site import EXPECTED_ROLES, Activity, Party, Site


@dataclass(frozen=True, slots=True)
class Window:
    """The days that a verdict holds for, both ends included. Raises ValueError when it ends before it begins."""

    since: dt.date
    until: dt.date

    def __post_init__(self) -> None:
        """Refuse a window of no day: every rule would cover it."""
        if self.until < self.since:
            raise ValueError(f"a window from {self.since} to {self.until} has no day")


class Involved(NamedTuple):
    """A party in the role it plays; None is a party that nobody named."""

    role: str
    party: Party | None


@dataclass(frozen=True, slots=True)
class Question:
    """What one decision is about.

    Attributes:
        atom: the data.
        activity: what happens to it.
        place: country or subdivision where it happens; None when unknown.
        parties: everybody who takes part. For `access` the one who looks.
        purpose: the stage's purpose; None when the stage gives none, and on a hop.
        origin: the site where the data is born.
        site: where it happens; None on a hop.
        hop: the two ends, on a hop.
    """

    atom: Atom
    activity: Activity
    place: str | None
    parties: tuple[Involved, ...]
    purpose: str | None
    origin: Site
    site: Site | None
    hop: tuple[Site, Site] | None = None

    @property
    def sites(self) -> tuple[Site, ...]:
        """Return the sites whose facts count: the site, or both ends of a transit; none for an intermediary."""
        if self.site is not None:
            return (self.site,)
        return self.hop if self.hop is not None and self.activity == "transit" else ()

    @property
    def compellers(self) -> frozenset[str | None]:
        """Return the place and the countries of all parties and their controllers; None stands for an unknown one."""
        reached: set[str | None] = {self.place}
        for involved in self.parties:
            reached.update(_reach(involved.party))
        return frozenset(reached)


def _reach(party: Party | None) -> Iterator[str | None]:
    if party is None:
        yield None
        return
    yield party.country
    if party.controlled_by is None:
        yield None
        return
    for controller in party.controlled_by:
        yield from _reach(controller)


def taking_part(site: Site) -> tuple[Involved, ...]:
    """Return everybody who can touch what runs at `site`: the expected roles, named or not, then the further ones.

    Each is followed by its sub-processors. Support is left out only where the site says `access: {support: none}`.
    """
    named = site.spec.parties
    roles = [*EXPECTED_ROLES, *sorted(role for role in named if role not in EXPECTED_ROLES)]
    if site.spec.access.support == "none":
        roles.remove("support")
    return tuple(involved for role in roles for involved in with_subprocessors(role, named.get(role)))


def with_subprocessors(role: str, party: Party | None) -> Iterator[Involved]:
    """Yield a party in its role, then everybody whom it lets process on its behalf, recursively (invariant 14)."""
    yield Involved(role, party)
    for hired in (party.subprocessors if party else None) or ():
        yield from with_subprocessors(f"{role}'s sub-processor", hired)
