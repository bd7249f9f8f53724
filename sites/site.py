"""A site: where it lies, who can touch what runs there, its machines and its links."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from sites.country import CountryCode, Place
from sites.noun import AsTuple, Called, Described, Metadata, Name, Noun, Selector
from sites.quantity import BitsPerSecond, Bytes, Microseconds, PricePerGB, PricePerHour, SomeBytes

EXPECTED_ROLES = ("operator", "owner", "keyCustodian", "support")
"""Roles that every site has whether named or not; an unnamed one is an unknown party."""

Basis = Literal["hint", "declared", "contracted", "certified", "attested", "observed"]
Activity = Literal["process", "store", "backup", "log", "failover", "access", "transit"]


def _date(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError(f"expected a day such as 2027-05-31, found {value!r}")
    return dt.date.fromisoformat(value)


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a reason, found none: whoever is refused is told it")
    return text


Day = Annotated[dt.date, BeforeValidator(_date)]


ELSEWHERE = ("backup", "log", "failover")


def _elsewhere(activity: Activity) -> Activity:
    if activity not in ELSEWHERE:
        raise ValueError(f"{activity} happens where the machines stand; only {', '.join(ELSEWHERE)} may be elsewhere")
    return activity


Elsewhere = Annotated[Activity, AfterValidator(_elsewhere), Described(lambda _: {"enum": list(ELSEWHERE)})]
"""An activity that may happen at another place than where the machines stand."""

IsaName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]{0,31}$")]
"""An instruction-set extension as Linux and compilers name it, such as `avx512_vnni`."""


class Party(Noun):
    """Somebody who can touch data: unknown where a field is None, independent where `controlled_by` is empty.

    Whoever takes part brings its `subprocessors`, and theirs, who then take part too; `()` declares that there are
    none, None leaves invariant 14 unchecked. Of a controller, who takes no part, they are not asked.
    """

    name: Called
    country: CountryCode | None = None
    controlled_by: Annotated[tuple[Party, ...] | None, AsTuple] = None
    subprocessors: Annotated[tuple[Party, ...] | None, AsTuple] = None
    holds_keys: bool | None = None
    basis: Basis | None = None


class Access(Noun):
    """How support staff reach the site; None is unknown."""

    support: Literal["none", "supervised", "unrestricted"] | None = None


class Assurance(Noun):
    """A certification the site holds, until a day (included); without a day it is unknown whether it lasts."""

    scheme: Called
    until: Day | None = None
    basis: Basis | None = None


class Accelerators(Noun):
    """Accelerators of one kind in each node of a hardware group; `memory` is bytes per device."""

    kind: Name
    count: PositiveInt
    memory: SomeBytes


class Hardware(Noun):
    """A group of `count` equal nodes; memory and disk in bytes per node, price per node and hour."""

    name: Name
    count: PositiveInt
    arch: Literal["x86_64", "aarch64"]
    isa: Annotated[tuple[IsaName, ...], AsTuple] = ()
    cpus: PositiveInt
    memory: SomeBytes
    disk: Bytes
    price: PricePerHour
    accelerators: Accelerators | None = None


class Link(Noun):
    """A wire to another site: bit/s, round trip in microseconds, price per GB.

    `transit` lists the countries crossed (`()` is direct, None unknown); `tls` omitted counts as terminated, by
    `intermediary` (absent is an unknown party), which then processes in every country that the hop touches, those of
    its two ends included.
    """

    to: Name
    bandwidth: BitsPerSecond
    rtt: Microseconds
    price: PricePerGB
    transit: Annotated[tuple[CountryCode, ...] | None, AsTuple] = None
    tls: Literal["passthrough", "terminated"] | None = None
    intermediary: Party | None = None


class Connectivity(Noun):
    """How the site is reached; a disconnected site has no links."""

    mode: Literal["disconnected", "intermittent", "connected"]
    links: Annotated[tuple[Link, ...], AsTuple] = ()


class Taint(Noun):
    """What keeps everything off a site that does not tolerate it, and why."""

    name: Name
    reason: Annotated[str, AfterValidator(_reason)]


class Erasure(Noun):
    """That what is kept here can be erased: the last copy, backups included, is gone `within` microseconds."""

    within: Microseconds


class Medium(Noun):
    """What crosses the air gap of a site by hand: which way it may go, and what it carries."""

    kind: Name
    direction: Literal["in", "out", "both"]
    carries: Annotated[tuple[Literal["bundle", "receipt", "evidence"], ...], Field(min_length=1), AsTuple]


class SiteSpec(Noun):
    """The facts of a site; a missing fact is unknown and never a default that permits.

    `assurances` None is unknown, a list is all that it holds; `activities` names the place of an activity (backup, log,
    failover) that happens elsewhere than at `location`. `media` are all that cross to a disconnected site.
    """

    location: Place | None = None
    serves: Literal["own", "any"] | Selector = "own"
    parties: dict[str, Party] = {}
    access: Access = Access()
    assurances: Annotated[tuple[Assurance, ...] | None, AsTuple] = None
    activities: dict[Elsewhere, Place] = {}
    telemetry: Literal["none"] | Place | None = None
    erasure: Erasure | None = None
    media: Annotated[tuple[Medium, ...] | None, AsTuple] = None
    hardware: Annotated[tuple[Hardware, ...], AsTuple] = ()
    connectivity: Connectivity
    taints: Annotated[tuple[Taint, ...], AsTuple] = ()
    basis: Basis | None = None


class Site(Noun):
    """A manifest of kind Site."""

    metadata: Metadata
    spec: SiteSpec = Field()

    @property
    def name(self) -> str:
        """Return the site's name."""
        return self.metadata.name
