"""The checker's own rule evaluator: three-valued layers, written from design/residency.md and plainly.

It shares the nouns and the country table with `sites.verdict`, and no line of its rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from placement.check.conditions import Case, Ground, failing, holds, selected
from placement.check.logic import below, every, opposite, related, some
from sites.country import Truth, country_of, within
from sites.data import UNLABELLED, Atom
from sites.policy import Pack, Policy, Rule

Outcome = Literal["permit", "undetermined", "deny"]
ORG_DEFAULT = "org-default"


@dataclass(frozen=True, slots=True)
class Reason:
    """What decided one layer.

    Attributes:
        rule: `layer/rule`, or the name of a refusal.
        tests: the conditions of the rule that were not met, or `applicability`, `no-pack`, `purpose`, `unknown`,
            `no-permit`.
        unknown: whether a missing fact decided.
    """

    rule: str
    tests: tuple[str, ...] = ()
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome over all layers, and the reasons of the layers that made it so."""

    outcome: Outcome
    reasons: tuple[Reason, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the cited names, sorted."""
        return tuple(sorted({reason.rule for reason in self.reasons}))


@dataclass(frozen=True)
class Layer:
    """Rules that are weighed together, each with the name it is cited by."""

    name: str
    rules: tuple[tuple[str, Rule], ...]

    def of(self, effect: str, case: Case) -> tuple[tuple[str, Rule], ...]:
        """Return the rules of one effect that may be about a case, in file order; looked for once per atom."""
        key = (effect, case.atom, case.activity)
        if key not in self._about:
            self._about[key] = tuple(
                (name, rule) for name, rule in self.rules if rule.effect == effect and selected(rule, case) is not False
            )
        return self._about[key]

    @cached_property
    def _about(self) -> dict[tuple[str, Atom, str], tuple[tuple[str, Rule], ...]]:
        return {}


class Judge:
    """Decides cases under one policy for one window (days, ends included)."""

    def __init__(self, policy: Policy, packs: Mapping[str, Pack], since: dt.date, until: dt.date) -> None:
        self._policy = policy.spec
        self._since, self._until = since, until
        named = (packs[name] for name in policy.spec.packs if name != ORG_DEFAULT)
        self._packs = tuple((pack, self._layer_of(pack)) for pack in named)
        self._own = self._own_layer(policy, packs.get(ORG_DEFAULT))

    @cached_property
    def asks_for_origin(self) -> bool:
        """Return whether any rule's answer depends on the origin (`instrument`, or `ORIGIN` among countries)."""
        layers = [self._own, *(layer for _, layer in self._packs)]
        rules = [rule for layer in layers for _, rule in layer.rules]
        return any(rule.instrument is not None or "ORIGIN" in (rule.countries or ()) for rule in rules)

    def decide(self, case: Case) -> Judgement:
        """Return the judgement of one case: any deny, else any undetermined, else permit."""
        found = list(self._layers(case))
        for outcome in ("deny", "undetermined"):
            reasons = tuple(reason for verdict, reason in found if verdict == outcome)
            if reasons:
                return Judgement(outcome, reasons)
        return Judgement("permit", tuple(reason for _, reason in found))

    def in_force(self, rule: Rule) -> bool:
        """Return whether a rule counts: a permit for the whole window, the others on any day of it."""
        first = rule.validity.since or dt.date.min
        last = rule.validity.until or dt.date.max
        if rule.effect == "permit":
            return first <= self._since and self._until <= last
        return first <= self._until and self._since <= last

    def _layer_of(self, pack: Pack) -> Layer:
        named = ((f"{pack.name}/{rule.id}", rule) for rule in pack.spec.rules)
        return Layer(pack.name, tuple((name, rule) for name, rule in named if self.in_force(rule)))

    def _own_layer(self, policy: Policy, default: Pack | None) -> Layer:
        waived = {waiver.rule for waiver in policy.spec.waivers if waiver.until >= self._until}
        kept = [
            (f"{policy.name}/{rule.id}", rule)
            for rule in policy.spec.rules
            if rule.effect == "permit" or rule.id not in waived
        ]
        kept += [(f"{ORG_DEFAULT}/{rule.id}", rule) for rule in (default.spec.rules if default else ())]
        return Layer(policy.name, tuple((name, rule) for name, rule in kept if self.in_force(rule)))

    def _layers(self, case: Case) -> Iterator[tuple[Outcome, Reason]]:
        yield self._weigh(self._own, case, self._own_trusted)
        for pack, layer in self._packs:
            triggered = triggers(pack, case)
            if triggered is None:
                yield "undetermined", Reason(f"{pack.name}/applicability", ("applicability",), unknown=True)
            elif triggered:
                yield self._weigh(layer, case, self._trusted)
        yield from self._coverage(case)
        if case.purpose is not None:
            yield purpose_layer(case)

    def _trusted(self, name: str, rule: Rule) -> bool:
        return rule.confidence == "high" or name in self._policy.adopt

    def _own_trusted(self, name: str, rule: Rule) -> bool:
        return rule.confidence in (None, "high") or name in self._policy.adopt

    def _weigh(self, layer: Layer, case: Case, trusted: Callable[[str, Rule], bool]) -> tuple[Outcome, Reason]:
        weighed = self._prohibited(layer, case), self._required(layer, case), self._permitted(layer, case, trusted)
        for outcome, wanted in (("deny", False), ("undetermined", None)):
            for value, reason in weighed:
                if value is wanted:
                    return outcome, reason  # type: ignore[return-value]
        return "permit", weighed[2][1]

    def _prohibited(self, layer: Layer, case: Case) -> tuple[Truth, Reason]:
        """Return whether no prohibition strikes, and the first that decides."""
        values = []
        for name, rule in layer.of("prohibit", case):
            struck = every((selected(rule, case), holds(self._ground(rule, case))))
            values.append((opposite(struck), Reason(name, ("prohibition",), unknown=struck is None)))
        return _and(values, Reason(layer.name))

    def _required(self, layer: Layer, case: Case) -> tuple[Truth, Reason]:
        """Return whether every requirement that matches is met, and the first that decides."""
        values = []
        for name, rule in layer.of("require", case):
            met = holds(self._ground(rule, case))
            value = some((opposite(selected(rule, case)), met))
            tests = () if value else failing(self._ground(rule, case))
            values.append((value, Reason(name, tests, unknown=value is None)))
        return _and(values, Reason(layer.name))

    def _permitted(self, layer: Layer, case: Case, trusted: Callable[[str, Rule], bool]) -> tuple[Truth, Reason]:
        """Return whether some permit is true, and the first that decides."""
        unknown: Reason | None = None
        missed: list[str] = []
        for name, rule in layer.of("permit", case):
            value = every((selected(rule, case), holds(self._ground(rule, case))))
            if value is True and trusted(name, rule):
                return True, Reason(name)
            tests = failing(self._ground(rule, case))
            if value is not False and unknown is None:
                unknown = Reason(name, tests or ("confidence",), unknown=True)
            if selected(rule, case) is True:
                missed += tests
        return (None, unknown) if unknown else (False, Reason(f"{layer.name}/no-permit", ("no-permit", *missed)))

    def _ground(self, rule: Rule, case: Case) -> Ground:
        return Ground(rule, case, self._policy, (self._since, self._until))

    def _coverage(self, case: Case) -> Iterator[tuple[Outcome, Reason]]:
        """Yield a layer for an unknown place, an unknown law, and every country without a pack."""
        countries = set(case.atom.law or ())
        if case.place is None:
            yield "undetermined", Reason("unknown/place", ("unknown",), unknown=True)
        else:
            countries.add(country_of(case.place))
        if case.atom.law is None:
            yield "undetermined", Reason("unknown/law", ("unknown",), unknown=True)
        for country in sorted(countries):
            if not self._has_pack(country) and not self._excused(country, case):
                yield "undetermined", Reason(f"no-pack/{country}", ("no-pack",), unknown=True)

    def _has_pack(self, country: str) -> bool:
        return any(within(country, pack.spec.jurisdiction) for pack, _ in self._packs)

    def _excused(self, country: str, case: Case) -> bool:
        return any(
            entry.country == country
            and (entry.data is None or (case.atom.data != UNLABELLED and below(case.atom.data, entry.data)))
            and entry.until >= self._until
            for entry in self._policy.no_pack
        )


def _and(values: list[tuple[Truth, Reason]], none: Reason) -> tuple[Truth, Reason]:
    whole = every(value for value, _ in values)
    return whole, next((reason for value, reason in values if value is whole), none)


def triggers(pack: Pack, case: Case) -> Truth:
    """Return whether a pack's scope reaches a case: by class, and by law, place, site or a party's own country."""
    scope = pack.spec.scope
    if not (scope.data == "all" or any(related(case.atom.data, data) for data in scope.data)):
        return False
    if scope.countries == "all":
        return True
    laws: tuple[str | None, ...] = (None,) if case.atom.law is None else case.atom.law
    located = tuple(site.spec.location for site in case.sites)
    own = tuple(None if party is None else party.country for party in case.parties)
    return some(within(place, scope.countries) for place in (*laws, case.place, *located, *own))


def purpose_layer(case: Case) -> tuple[Outcome, Reason]:
    """Return the layer `invariant/13`: the stage's purpose is among the atom's purposes."""
    outcome: Outcome = "deny"
    if not case.atom.purposes:
        outcome = "undetermined"
    elif any(below(case.purpose or "", purpose) for purpose in case.atom.purposes):
        outcome = "permit"
    return outcome, Reason("invariant/13", ("purpose",), unknown=outcome == "undetermined")
