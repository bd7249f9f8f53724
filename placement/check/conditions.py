"""What one rule asks of one case: its selectors, then its conditions, each true, false or unknown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

from placement.check.logic import below, every, opposite, related, some
from sites.country import Truth, country_of, within
from sites.data import UNLABELLED, Atom
from sites.policy import Instrument, PolicySpec, Rule
from sites.site import Activity, Assurance, Basis, Party, Site

BASES: tuple[str, ...] = get_args(Basis)
"""From the weakest to the strongest."""

Days = tuple[dt.date, dt.date]
Names = frozenset[str | None]


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one atom.

    Attributes:
        place: where it happens; None when unknown.
        parties: those taking part; None is an unknown party.
        sites: where it happens: the site, both ends of a hop; none where an intermediary acts.
        purpose: the stage's; None when it gives none.
        origin: the origin's place.
        ends: the pairs (names of the exporter, names of the importer) that an instrument may stand between; None
            among names is one that nobody gave.
    """

    atom: Atom
    activity: Activity
    place: str | None
    parties: tuple[Party | None, ...]
    sites: tuple[Site, ...]
    purpose: str | None
    origin: str | None
    ends: tuple[tuple[Names, Names], ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the conditions of one rule are weighed against."""

    rule: Rule
    case: Case
    policy: PolicySpec
    window: Days


def selected(rule: Rule, case: Case) -> Truth:
    """Return whether a rule is about a case.

    A permit matches the class and its descendants under laws that all lie within; a requirement or prohibition also
    matches ancestors, and one law is enough. Whether a permit is about the unlabelled atom is unknown.
    """
    if rule.activities != "all" and case.activity not in rule.activities:
        return False
    return every((_about_class(rule, case.atom), _about_law(rule, case.atom)))


def _about_class(rule: Rule, atom: Atom) -> Truth:
    if rule.effect != "permit":
        return rule.data == "all" or any(related(atom.data, named) for named in rule.data)
    if atom.data == UNLABELLED:
        return None
    return rule.data == "all" or any(below(atom.data, named) for named in rule.data)


def _about_law(rule: Rule, atom: Atom) -> Truth:
    if rule.law is None:
        return True
    if atom.law is None:
        return None
    inside = [within(country, rule.law) for country in atom.law]
    return every(inside) if rule.effect == "permit" else some(inside)


def holds(ground: Ground) -> Truth:
    """Return the three-valued *and* of the conditions that a rule states; none is true."""
    return every(value for _, value in _weighed(ground))


def failing(ground: Ground) -> tuple[str, ...]:
    """Return the names of the conditions that are not true."""
    return tuple(name for name, value in _weighed(ground) if value is not True)


def _weighed(ground: Ground) -> Iterator[tuple[str, Truth]]:
    for name, condition in CONDITIONS.items():
        if getattr(ground.rule, name) is not None:
            yield name, condition(ground)


def _countries(ground: Ground) -> Truth:
    named = ground.rule.countries or ()
    fixed = [region for region in named if region != "ORIGIN"]
    answers = [within(ground.case.place, fixed)]
    if "ORIGIN" in named:
        origin = ground.case.origin
        answers.append(None if origin is None else within(ground.case.place, [country_of(origin)]))
    return some(answers)


def compellers(case: Case) -> Iterator[str | None]:
    """Yield the place, and the country of everybody taking part with their controllers; None for what is unknown."""
    yield case.place
    for party in case.parties:
        yield from _chain(party)


def _chain(party: Party | None) -> Iterator[str | None]:
    if party is None:
        yield None
        return
    yield party.country
    if party.controlled_by is None:
        yield None
    for controller in party.controlled_by or ():
        yield from _chain(controller)


def _compellable_by(ground: Ground) -> Truth:
    regions = ground.rule.compellable_by.within if ground.rule.compellable_by else ()
    answers = [within(place, regions) for place in compellers(ground.case)]
    return some(answers) if ground.rule.effect == "prohibit" else every(answers)


def _readable_by(ground: Ground) -> Truth:
    """Weigh who can read: in transit only holders of keys, elsewhere everybody who can be compelled there."""
    case, prohibits = ground.case, ground.rule.effect == "prohibit"
    regions = ground.rule.readable_by.within if ground.rule.readable_by else ()
    if case.activity != "transit":
        answers = [within(place, regions) for place in compellers(case)]
        return some(answers) if prohibits else every(answers)
    each = [reader for party in case.parties for reader in _family(party)]
    answers = []
    for reader in each:
        countries = [within(country, regions) for country in _chain(reader)]
        keyed = reader.holds_keys if reader else None
        answers.append(every((keyed, some(countries))) if prohibits else some((opposite(keyed), every(countries))))
    return some(answers) if prohibits else every(answers)


def _family(party: Party | None) -> Iterator[Party | None]:
    """Yield a party and everybody who controls it, near or far; None for one who is unknown."""
    yield party
    if party is None:
        return
    above: tuple[Party | None, ...] = (None,) if party.controlled_by is None else party.controlled_by
    for controller in above:
        yield from _family(controller)


def _instrument(ground: Ground) -> Truth:
    return some(
        _covered(instrument, ground)
        for instrument in ground.policy.instruments
        if instrument.type in (ground.rule.instrument or ())
    )


def _covered(instrument: Instrument, ground: Ground) -> Truth:
    case, (since, until) = ground.case, ground.window
    return every((
        some(every((_called(instrument.exporter, a), _called(instrument.importer, b))) for a, b in case.ends),
        None if case.atom.data == UNLABELLED else below(case.atom.data, instrument.data),
        None if instrument.validity_from is None else instrument.validity_from <= since,
        None if instrument.until is None else until <= instrument.until,
        _firm(instrument.basis, ground.rule.basis),
    ))  # fmt: skip


def _called(name: str, names: Names) -> Truth:
    """Return whether one of `names` is `name`; unknown when only a name that nobody gave could be."""
    return name in names or (None if None in names else False)


def _assurances(ground: Ground) -> Truth:
    if not ground.case.sites:
        return None
    answers = [
        None if site.spec.assurances is None else some(_assured(found, ground) for found in site.spec.assurances)
        for site in ground.case.sites
    ]
    return some(answers) if ground.rule.effect == "prohibit" else every(answers)


def _assured(assurance: Assurance, ground: Ground) -> Truth:
    return every((
        assurance.scheme in (ground.rule.assurances or ()),
        None if assurance.until is None else ground.window[1] <= assurance.until,
        _firm(assurance.basis, ground.rule.basis),
    ))  # fmt: skip


def _purposes(ground: Ground) -> Truth:
    purpose = ground.case.purpose
    return None if purpose is None else any(below(purpose, named) for named in ground.rule.purposes or ())


def _identifiability(ground: Ground) -> Truth:
    found = ground.case.atom.identifiability
    return None if found is None else found in (ground.rule.identifiability or ())


def _firm(basis: str | None, asked: str | None) -> Truth:
    if asked is None:
        return True
    return None if basis is None else BASES.index(basis) >= BASES.index(asked)


def _basis(ground: Ground) -> Truth:
    """Weigh the basis of the sites' facts and the parties'; instruments and assurances are weighed with their own."""
    bases: list[str | None] = [site.spec.basis for site in ground.case.sites]
    bases += [basis for party in ground.case.parties for basis in _bases(party)]
    return every(_firm(basis, ground.rule.basis) for basis in bases)


def _bases(party: Party | None) -> Iterator[str | None]:
    yield None if party is None else party.basis
    for controller in (party.controlled_by if party else None) or ():
        yield from _bases(controller)


CONDITIONS: dict[str, Callable[[Ground], Truth]] = {
    "countries": _countries,
    "compellable_by": _compellable_by,
    "readable_by": _readable_by,
    "instrument": _instrument,
    "assurances": _assurances,
    "purposes": _purposes,
    "identifiability": _identifiability,
    "basis": _basis,
}
"""Every condition that a rule may state, by its field."""
