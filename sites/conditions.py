"""What a rule's conditions say to a question, each a function from the two to true, false or unknown.

`CONDITIONS` is the whole list: one entry per field of `Rule` that is a condition. To add one is a field, a function
and an entry. Lists name alternatives; conditions are joined by *and*; no condition at all is true.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

from sites.country import Truth, country_of, within
from sites.data import UNLABELLED, is_or_descends
from sites.policy import Instrument, Rule
from sites.question import Question, Window
from sites.site import Assurance, Basis, Party, Site
from sites.truth import all_of, any_of, negate

_BASES: tuple[str, ...] = get_args(Basis)


@dataclass(frozen=True, slots=True)
class Ground:
    """What conditions stand on besides the question: the organisation's instruments, and the window to cover."""

    instruments: tuple[Instrument, ...]
    window: Window


Condition = Callable[[Rule, Question, Ground], Truth]


def holds(rule: Rule, question: Question, ground: Ground) -> Truth:
    """Return whether every condition that `rule` gives holds for `question`."""
    return all_of(
        condition(rule, question, ground) for field, condition in CONDITIONS.items() if getattr(rule, field) is not None
    )


def lasts(since: dt.date | None, until: dt.date | None, window: Window) -> Truth:
    """Return whether a fact in force from `since` to `until` covers the window; a missing end is unknown."""
    return all_of(
        (None if since is None else since <= window.since, None if until is None else until >= window.until),
    )


def _reaches(basis: str | None, wanted: str | None) -> Truth:
    if wanted is None:
        return True
    return None if basis is None else _BASES.index(basis) >= _BASES.index(wanted)


def _countries(rule: Rule, question: Question, ground: Ground) -> Truth:
    named = rule.countries or ()
    truths = [within(question.place, [region for region in named if region != "ORIGIN"])]
    if "ORIGIN" in named:
        home = question.origin.spec.location
        truths.append(None if home is None else within(question.place, (country_of(home),)))
    return any_of(truths)


def _compellable(rule: Rule, question: Question, ground: Ground) -> Truth:
    assert rule.compellable_by is not None
    regions = rule.compellable_by.within
    truths = (within(place, regions) for place in question.compellers)
    return any_of(truths) if rule.effect == "prohibit" else all_of(truths)


def _readable(rule: Rule, question: Question, ground: Ground) -> Truth:
    """In transit a reader holds a key, anywhere else everybody who takes part reads (invariant 11)."""
    assert rule.readable_by is not None
    regions = rule.readable_by.within
    if question.activity != "transit":
        truths = [within(place, regions) for place in question.compellers]
        return any_of(truths) if rule.effect == "prohibit" else all_of(truths)
    chains = [chain for involved in question.parties for chain in _chains(involved.party)]
    if rule.effect == "prohibit":
        return any_of(all_of((_holds_keys(chain), any_of(_inside(chain, regions)))) for chain in chains)
    return all_of(any_of((negate(_holds_keys(chain)), all_of(_inside(chain, regions)))) for chain in chains)


def _chains(party: Party | None) -> Iterator[tuple[Party | None, ...]]:
    """Yield for a party, and for each of its controllers, that one followed by all who control it; None is unknown."""
    controllers = [] if party is None else [None] if party.controlled_by is None else party.controlled_by
    above = [chain for controller in controllers for chain in _chains(controller)]
    yield (party, *(chain[0] for chain in above))
    yield from above


def _holds_keys(chain: tuple[Party | None, ...]) -> Truth:
    return None if chain[0] is None else chain[0].holds_keys


def _inside(chain: tuple[Party | None, ...], regions: tuple[str, ...]) -> Iterator[Truth]:
    return (within(None if party is None else party.country, regions) for party in chain)


def _purposes(rule: Rule, question: Question, ground: Ground) -> Truth:
    if question.purpose is None:
        return None
    return any(is_or_descends(question.purpose, purpose) for purpose in rule.purposes or ())


def _identifiability(rule: Rule, question: Question, ground: Ground) -> Truth:
    known = question.atom.identifiability
    return None if known is None else known in (rule.identifiability or ())


def _basis(rule: Rule, question: Question, ground: Ground) -> Truth:
    bases: list[str | None] = [site.spec.basis for site in question.sites]
    bases += [basis for involved in question.parties for basis in _bases(involved.party)]
    return all_of(_reaches(basis, rule.basis) for basis in bases)


def _bases(party: Party | None) -> Iterator[str | None]:
    """Yield how firm the facts about a party and its controllers are; None where nobody says."""
    yield None if party is None else party.basis
    for controller in (party.controlled_by if party else None) or ():
        yield from _bases(controller)


def _assurances(rule: Rule, question: Question, ground: Ground) -> Truth:
    if not question.sites:
        return None
    truths = (_assured(rule, site, ground.window) for site in question.sites)
    return any_of(truths) if rule.effect == "prohibit" else all_of(truths)


def _assured(rule: Rule, site: Site, window: Window) -> Truth:
    if site.spec.assurances is None:
        return None
    return any_of(counts(rule, held, window) for held in site.spec.assurances)


def counts(rule: Rule, held: Assurance, window: Window) -> Truth:
    """Return whether an assurance is one that `rule` asks for, lasts, and rests on the basis asked for."""
    if held.scheme not in (rule.assurances or ()):
        return False
    return all_of((lasts(window.since, held.until, window), _reaches(held.basis, rule.basis)))


def _instrument(rule: Rule, question: Question, ground: Ground) -> Truth:
    return any_of(covers(rule, instrument, question, ground.window) for instrument in ground.instruments)


def covers(rule: Rule, instrument: Instrument, question: Question, window: Window) -> Truth:
    """Return whether an instrument is of a type that `rule` names and covers class, ends and the whole window."""
    if instrument.type not in (rule.instrument or ()):
        return False
    atom = question.atom.data
    return all_of(
        (
            None if atom == UNLABELLED else is_or_descends(atom, instrument.data),
            _binds(instrument, question),
            lasts(instrument.validity_from, instrument.until, window),
            _reaches(instrument.basis, rule.basis),
        )
    )


def _binds(instrument: Instrument, question: Question) -> Truth:
    if question.hop is not None:
        a, b = question.hop
        return any_of((_between(instrument, a, b), _between(instrument, b, a)))
    if question.activity == "access":
        (looking,) = question.parties
        importer = None if looking.party is None else looking.party.name == instrument.importer
        return all_of((_named(instrument.exporter, question.origin), importer))
    assert question.site is not None
    return _between(instrument, question.origin, question.site)


def _between(instrument: Instrument, exporter: Site, importer: Site) -> Truth:
    return all_of((_named(instrument.exporter, exporter), _named(instrument.importer, importer)))


def _named(name: str, site: Site) -> Truth:
    operator = site.spec.parties.get("operator")
    return any_of((name == site.name, None if operator is None else name == operator.name))


CONDITIONS: dict[str, Condition] = {
    "countries": _countries,
    "compellable_by": _compellable,
    "readable_by": _readable,
    "instrument": _instrument,
    "assurances": _assurances,
    "purposes": _purposes,
    "identifiability": _identifiability,
    "basis": _basis,
}
