"""A policy: rules, packs, instruments, waivers and declassifiers, as an organisation and the law write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sites.country import CountryCode, Region
from sites.data import DataClass, DeclaredAtom, Identifiability, Purpose
from sites.noun import AsTuple, Called, Digest, Metadata, Name, Names, Noun, OneOrMany, OneOrManyOf, Person
from sites.quantity import Microseconds
from sites.site import Activity, Basis, Day

ORG_DEFAULT = "org-default"
"""The shipped pack that is part of every organisation's own layer."""

ACTIVITIES: tuple[Activity, ...] = ("process", "store", "backup", "log", "failover", "access", "transit")


def _all_or_many(value: Any) -> Any:
    if value == "all":
        return value
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


AllOrMany = OneOrManyOf(_all_or_many)


class CompellableBy(Noun):
    """The condition on who can compel disclosure: every compeller (permit, require) lies within these regions."""

    within: Annotated[tuple[Region, ...], AsTuple, Field(min_length=1)]


class ReadableBy(Noun):
    """The condition on who can read: every reader (permit, require) lies within these regions."""

    within: Annotated[tuple[Region, ...], AsTuple, Field(min_length=1)]


class Validity(Noun):
    """First and last day of force, both included; None is open."""

    since: Day | None = Field(default=None, alias="from")
    until: Day | None = None


class Rule(Noun):
    """One rule: selectors say what it is about, conditions (joined by *and*) when it is true.

    Selectors. A permit covers an atom whose every law lies within `law`; a requirement or prohibition concerns one of
    which any does. Conditions. Lists name alternatives. `countries` is about the place of the decision (`ORIGIN` is
    the origin's own country); `purposes` about the stage's purpose, which is one of them or lies below;
    `readableBy` is where encryption is relied on: in transit only who holds keys reads, anywhere else everybody who
    takes part, as for `compellableBy`; `identifiability` about the atom; `assurances` about the site (of a hop both
    ends, in a prohibition either; unknown for an intermediary); `basis` is reached by each site's facts, each party's
    with its controllers', and the instrument's or assurance's that counts. `confidence` omitted is low in a pack and
    high in the organisation's own rules.
    """

    id: Name
    effect: Literal["permit", "require", "prohibit"]
    data: Annotated[Literal["all"] | tuple[DataClass, ...], AllOrMany]
    activities: Annotated[Literal["all"] | tuple[Activity, ...], AllOrMany]
    law: Annotated[tuple[Region, ...] | None, OneOrMany] = None
    countries: Annotated[tuple[Region | Literal["ORIGIN"], ...] | None, OneOrMany] = None
    compellable_by: CompellableBy | None = None
    readable_by: ReadableBy | None = None
    instrument: Annotated[tuple[str, ...] | None, OneOrMany] = None
    assurances: Annotated[tuple[str, ...] | None, OneOrMany] = None
    purposes: Annotated[tuple[Purpose, ...] | None, OneOrMany] = None
    identifiability: Annotated[tuple[Identifiability, ...] | None, OneOrMany] = None
    basis: Basis | None = None
    source: str
    checked: Day | None = None
    confidence: Literal["high", "medium", "low"] | None = None
    validity: Validity = Validity()


class Instrument(Noun):
    """A transfer instrument between two named sites or parties, for a data class, over a period.

    `exporter` and `importer` are a site's name or its operator's (for access: the party's that looks). On a hop they
    name opposite ends, in either order. Without `from` or `until` it is unknown whether it covers a window.
    """

    type: Called
    exporter: Called
    importer: Called
    data: DataClass
    validity_from: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    fallback: str | None = None
    basis: Basis | None = None


class Declassifier(Noun):
    """A registered stage at which labels fall; `digest` is that of the stage's only approved model.

    `parameters` are all that the stage runs with, as its Pipeline gives them.
    """

    stage: Name
    digest: Digest
    parameters: dict[str, str | int | bool] = {}
    from_atoms: Annotated[tuple[DeclaredAtom, ...], AsTuple]
    to_atoms: Annotated[tuple[DeclaredAtom, ...], AsTuple]
    recipients: Names
    sites: Names
    approver: Person
    until: Day


class Approver(Noun):
    """Who may approve that labels of a data class, or one below it, fall: from the first day to the last, included."""

    name: Person
    data: DataClass
    since: Day = Field(alias="from")
    until: Day


class Retention(Noun):
    """The longest that any copy of a data class may exist, backups included; `most` in microseconds."""

    data: DataClass
    most: Microseconds


class Waiver(Noun):
    """One requirement or prohibition of the organisation's own layer, set aside by a named person until a day.

    `rule` is the id of a rule in the same policy; rules of packs, `org-default` included, cannot be waived.
    """

    rule: Name
    reason: str
    by: Person
    until: Day


class NoPack(Noun):
    """A person's word that no pack is needed for a country (and a data class)."""

    country: CountryCode
    data: DataClass | None = None
    reason: str
    by: Person
    until: Day


class PolicySpec(Noun):
    """The organisation's layer, and the packs and facts it stands on.

    `approvers` are all who may approve a declassifier, `retention` all that bounds copies; None leaves invariants 4 and
    18 unchecked.
    """

    packs: Names = ()
    adopt: Annotated[tuple[str, ...], AsTuple] = ()
    instruments: Annotated[tuple[Instrument, ...], AsTuple] = ()
    declassifiers: Annotated[tuple[Declassifier, ...], AsTuple] = ()
    approvers: Annotated[tuple[Approver, ...] | None, AsTuple] = None
    retention: Annotated[tuple[Retention, ...] | None, AsTuple] = None
    waivers: Annotated[tuple[Waiver, ...], AsTuple] = ()
    no_pack: Annotated[tuple[NoPack, ...], AsTuple] = ()
    rules: Annotated[tuple[Rule, ...], AsTuple] = ()


class Policy(Noun):
    """A manifest of kind Policy: exactly one per tenant."""

    metadata: Metadata
    spec: PolicySpec

    @property
    def name(self) -> str:
        """Return the policy's name: the id of the organisation's layer."""
        return self.metadata.name


class Scope(Noun):
    """What triggers a pack: these data classes, and these countries anywhere in the decision."""

    data: Annotated[Literal["all"] | tuple[DataClass, ...], AllOrMany]
    countries: Annotated[Literal["all"] | tuple[Region, ...], AllOrMany]


class PackSpec(Noun):
    """A body of law as dated rules; until `reviewed_by` is named, reports say so."""

    scope: Scope
    jurisdiction: Annotated[tuple[Region, ...], AsTuple]
    reviewed_by: str | None = None
    rules: Annotated[tuple[Rule, ...], AsTuple]


class Pack(Noun):
    """A manifest of kind Pack, shipped in `sites/packs/` or in a fleet's own `packs/`."""

    metadata: Metadata
    spec: PackSpec

    @property
    def name(self) -> str:
        """Return the pack's name: the id of its layer."""
        return self.metadata.name
