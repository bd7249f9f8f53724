"""Says whether a question of residency is permitted, undetermined or denied, and by which rules.

A *layer* is the organisation's own rules with `org-default`, or one triggered pack. It is the three-valued *and* of: no
prohibition, every requirement, some permit. Over the layers any deny wins, then any undetermined, else permit; only
permit is placed or served. Nothing here reads a file or a clock: policy, packs and window are arguments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sites.conditions import Ground, counts, covers, holds
from sites.country import Truth, country_of, within
from sites.data import UNLABELLED, Atom, is_or_descends
from sites.errors import SitesError
from sites.policy import ORG_DEFAULT, NoPack, Pack, Policy, Rule, Scope
from sites.question import Involved, Question, Window, taking_part
from sites.site import Activity
from sites.truth import all_of, any_of, negate

__all__ = [
    "ORG_DEFAULT",
    "Evaluator",
    "Involved",
    "Outcome",
    "Question",
    "Verdict",
    "Window",
    "permit",
    "taking_part",
    "worst",
]


class Outcome(StrEnum):
    """What a verdict says; only `permit` is placed or served."""

    permit = "permit"
    undetermined = "undetermined"
    deny = "deny"


_OUTCOME: dict[Truth, Outcome] = {True: Outcome.permit, None: Outcome.undetermined, False: Outcome.deny}
_SEVERITY = list(Outcome)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with the rules that decided it.

    Attributes:
        outcome: permit, undetermined or deny.
        rules: sorted; of a permit the permitting rule of every layer, of a refusal what refused (`layer/rule`,
            `layer/no-permit`, `pack/applicability`, `invariant/13`, `no-pack/CC`, `unknown/place`, `unknown/law`).
        until: of a permit, the first day on which a fact that it rests on ends; None when none does.
        failing: of a verdict over several questions, those that were refused, each with its own verdict.
    """

    outcome: Outcome
    rules: tuple[str, ...]
    until: dt.date | None = None
    failing: tuple[tuple[Question, Verdict], ...] = ()


def worst(verdicts: Iterable[tuple[Question, Verdict]]) -> Verdict:
    """Return one verdict over several questions: the worst outcome counts, and the refused ones are kept."""
    asked = list(verdicts)
    outcome = max((verdict.outcome for _, verdict in asked), key=_SEVERITY.index, default=Outcome.permit)
    failing = tuple((question, verdict) for question, verdict in asked if verdict.outcome != Outcome.permit)
    named = [verdict for _, verdict in asked] if not failing else [v for _, v in failing if v.outcome == outcome]
    return Verdict(
        outcome,
        tuple(sorted({rule for verdict in named for rule in verdict.rules})),
        None if failing else _earliest(verdict.until for _, verdict in asked),
        failing,
    )


def permit(verdicts: Iterable[tuple[Question, Verdict]]) -> Verdict | None:
    """Return what `worst` would say if it is a permit; None at the first question that is refused."""
    asked = []
    for question, verdict in verdicts:
        if verdict.outcome != Outcome.permit:
            return None
        asked.append((question, verdict))
    return worst(asked)


def _earliest(days: Iterable[dt.date | None]) -> dt.date | None:
    return min((day for day in days if day is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Clause:
    """A rule under its cited id; `sure` is false for a permit that nobody stands for yet."""

    id: str
    rule: Rule
    sure: bool


@dataclass(frozen=True, slots=True)
class _Layer:
    """Clauses in file order; `scope` is None for the organisation's own, which always applies."""

    name: str
    scope: Scope | None
    clauses: tuple[_Clause, ...]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one layer says: a truth, what is cited for it, and the clauses with the truths they were found to have."""

    truth: Truth
    cited: str
    rests_on: tuple[_Clause, ...] = ()


class Evaluator:
    """Answers questions under one policy, its packs and one window; answers are remembered.

    Raises SitesError when the policy names a pack that is not given, or `org-default` is missing.
    """

    def __init__(self, policy: Policy, packs: Mapping[str, Pack], window: Window) -> None:
        """Build the layers once: rules out of force and waived rules are left out here."""
        named = [name for name in policy.spec.packs if name != ORG_DEFAULT]
        missing = sorted({ORG_DEFAULT, *named} - set(packs))
        if missing:
            raise SitesError(
                f"policy {policy.name}: no pack {missing[0]!r}",
                advice="name a shipped pack, or write packs/NAME.yaml in the fleet",
            )
        self.policy = policy
        self.window = window
        self._ground = Ground(policy.spec.instruments, window)
        self._packs = tuple(packs[name] for name in named)
        own = _Layer(policy.name, None, (*self._own_clauses(), *self._clauses_of(packs[ORG_DEFAULT])))
        self._layers = (own, *(_Layer(p.name, p.spec.scope, tuple(self._clauses_of(p))) for p in self._packs))
        self._waived = tuple(rule for rule in policy.spec.rules if self._waived_until(rule) is not None)
        self._spoken: dict[str, bool] = {}
        self._selected: dict[tuple[str, Atom, Activity], tuple[tuple[_Clause, Truth], ...]] = {}
        self._remembered: dict[tuple[object, ...], tuple[Question, Verdict]] = {}

    def decide(self, question: Question) -> Verdict:
        """Return the verdict over all layers that the question triggers."""
        key = self._key(question)
        if (known := self._remembered.get(key)) is None:
            # The question is kept so that the identities in the key stay those of living sites and parties.
            known = self._remembered[key] = (question, self._decide(question))
        return known[1]

    def _key(self, q: Question) -> tuple[object, ...]:
        parties = tuple((role, id(party)) for role, party in q.parties)
        ends = None if q.hop is None else (id(q.hop[0]), id(q.hop[1]))
        return (q.atom, q.activity, q.place, q.purpose, parties, id(q.site), ends, id(q.origin))

    def _decide(self, question: Question) -> Verdict:
        findings = [
            *(found for layer in self._layers if (found := self._in_layer(layer, question)) is not None),
            *_of_purpose(question),
            *self._unclaimed(question),
        ]
        truth = all_of(finding.truth for finding in findings)
        cited = tuple(sorted({finding.cited for finding in findings if finding.truth is truth}))
        until = self._rests_until(findings, question) if truth else None
        return Verdict(_OUTCOME[truth], cited, until)

    def _own_clauses(self) -> Iterator[_Clause]:
        for rule in self.policy.spec.rules:
            if self._in_force(rule) and self._waived_until(rule) is None:
                yield self._clause(self.policy.name, rule, missing="high")

    def _waived_until(self, rule: Rule) -> dt.date | None:
        """Return the last day of the longest waiver that covers the window; a permit cannot be waived."""
        waivers = self.policy.spec.waivers if rule.effect != "permit" else ()
        days = (waiver.until for waiver in waivers if waiver.rule == rule.id)
        return max((day for day in days if day >= self.window.until), default=None)

    def _clauses_of(self, pack: Pack) -> Iterator[_Clause]:
        return (self._clause(pack.name, rule, missing="low") for rule in pack.spec.rules if self._in_force(rule))

    def _clause(self, layer: str, rule: Rule, missing: str) -> _Clause:
        name = f"{layer}/{rule.id}"
        sure = rule.effect != "permit" or (rule.confidence or missing) == "high" or name in self.policy.spec.adopt
        return _Clause(name, rule, sure)

    def _in_force(self, rule: Rule) -> bool:
        """A permit covers the whole window; a requirement or prohibition counts from any one day of it."""
        since, until = rule.validity.since or dt.date.min, rule.validity.until or dt.date.max
        if rule.effect == "permit":
            return since <= self.window.since and self.window.until <= until
        return since <= self.window.until and self.window.since <= until

    def _in_layer(self, layer: _Layer, question: Question) -> _Finding | None:
        applies = True if layer.scope is None else _triggered(layer.scope, question)
        if applies is False:
            return None
        if applies is None:
            return _Finding(None, f"{layer.name}/applicability")
        found = [
            (clause, all_of((selected, holds(clause.rule, question, self._ground))))
            if clause.rule.effect != "require"
            else (clause, any_of((negate(selected), holds(clause.rule, question, self._ground))))
            for clause, selected in self._select(layer, question)
        ]
        return _combine(layer.name, found)

    def _select(self, layer: _Layer, question: Question) -> tuple[tuple[_Clause, Truth], ...]:
        """Return the clauses that are, or may be, about this atom and activity."""
        key = (layer.name, question.atom, question.activity)
        if key not in self._selected:
            tried = ((clause, _selects(clause.rule, question.atom, question.activity)) for clause in layer.clauses)
            self._selected[key] = tuple((clause, truth) for clause, truth in tried if truth is not False)
        return self._selected[key]

    def _unclaimed(self, question: Question) -> Iterator[_Finding]:
        """Yield an undetermined finding for each place or law that is unknown or that no pack speaks for."""
        if question.place is None:
            yield _Finding(None, "unknown/place")
        if question.atom.law is None:
            yield _Finding(None, "unknown/law")
        places = {*(question.atom.law or ()), *(() if question.place is None else (country_of(question.place),))}
        for country in sorted(places):
            if not self._spoken_for(country) and not any(self._excused(country, question.atom)):
                yield _Finding(None, f"no-pack/{country}")

    def _spoken_for(self, country: str) -> bool:
        if country not in self._spoken:
            self._spoken[country] = any(within(country, pack.spec.jurisdiction) is True for pack in self._packs)
        return self._spoken[country]

    def _excused(self, country: str, atom: Atom) -> Iterator[NoPack]:
        for word in self.policy.spec.no_pack:
            if word.country != country or word.until < self.window.until:
                continue
            if word.data is None or (atom.data != UNLABELLED and is_or_descends(atom.data, word.data)):
                yield word

    def _rests_until(self, findings: list[_Finding], question: Question) -> dt.date | None:
        """Return the earliest end among what a permit rests on: permits, instruments, assurances, waivers, noPack."""
        clauses = [clause for finding in findings for clause in finding.rests_on]
        ends = [day for clause in clauses for day in self._ends(clause.rule, question)]
        ends += [
            self._waived_until(rule)
            for rule in self._waived
            if _selects(rule, question.atom, question.activity) is not False
        ]
        places = {*(question.atom.law or ()), *(() if question.place is None else (country_of(question.place),))}
        for country in places:
            if not self._spoken_for(country):
                ends.append(max(word.until for word in self._excused(country, question.atom)))
        return _earliest(ends)

    def _ends(self, rule: Rule, question: Question) -> Iterator[dt.date | None]:
        if rule.effect == "permit":
            yield rule.validity.until
        if rule.effect != "prohibit" and rule.instrument is not None:
            held = (i.until for i in self._ground.instruments if covers(rule, i, question, self.window))
            yield max((day for day in held if day is not None), default=None)
        if rule.effect != "prohibit" and rule.assurances is not None:
            for site in question.sites:
                held = (a.until for a in site.spec.assurances or () if counts(rule, a, self.window))
                yield max((day for day in held if day is not None), default=None)


def _selects(rule: Rule, atom: Atom, activity: Activity) -> Truth:
    if rule.activities != "all" and activity not in rule.activities:
        return False
    if rule.effect == "permit":
        of_class = _permits_class(rule.data, atom.data)
    else:
        of_class = _concerns_class(rule.data, atom.data)
    return all_of((of_class, _of_law(rule, atom)))


def _permits_class(wanted: str | tuple[str, ...], data: str) -> Truth:
    """Return whether a permit covers a class: itself and its descendants; of the unlabelled atom it is unknown."""
    if data == UNLABELLED:
        return None
    return wanted == "all" or any(is_or_descends(data, key) for key in wanted)


def _concerns_class(wanted: str | tuple[str, ...], data: str) -> bool:
    """Return whether a requirement, prohibition or scope concerns a class: also its ancestors, and the unlabelled."""
    if data == UNLABELLED or wanted == "all":
        return True
    return any(is_or_descends(data, key) or is_or_descends(key, data) for key in wanted)


def _of_law(rule: Rule, atom: Atom) -> Truth:
    if rule.law is None:
        return True
    if atom.law is None:
        return None
    truths = (within(country, rule.law) for country in atom.law)
    return all_of(truths) if rule.effect == "permit" else any_of(truths)


def _triggered(scope: Scope, question: Question) -> Truth:
    if not _concerns_class(scope.data, question.atom.data):
        return False
    if scope.countries == "all":
        return True
    law = question.atom.law
    places: list[str | None] = [question.place, *([None] if law is None else law)]
    places += [None if involved.party is None else involved.party.country for involved in question.parties]
    places += [site.spec.location for site in question.sites]
    return any_of(within(place, scope.countries) for place in places)


def _combine(layer: str, found: list[tuple[_Clause, Truth]]) -> _Finding:
    """Return what a layer says, citing the first deciding rule: prohibition, then requirement, then permit."""
    bans = [(clause, truth) for clause, truth in found if clause.rule.effect == "prohibit"]
    duties = [(clause, truth) for clause, truth in found if clause.rule.effect == "require"]
    permits = [
        (clause, truth if clause.sure else all_of((truth, None)))
        for clause, truth in found
        if clause.rule.effect == "permit"
    ]
    some = any_of(truth for _, truth in permits)
    against = [(c, negate(truth)) for c, truth in bans] + duties
    verdict = all_of([*(truth for _, truth in against), some])
    if verdict:
        permit = next(clause for clause, truth in permits if truth)
        return _Finding(True, permit.id, (permit, *(clause for clause, _ in duties)))
    deciding = next((clause.id for clause, truth in against if truth is verdict), None)
    if deciding is None and verdict is None:
        deciding = next(clause.id for clause, truth in permits if truth is None)
    return _Finding(verdict, deciding or f"{layer}/no-permit")


def _of_purpose(question: Question) -> Iterator[_Finding]:
    """Yield the layer of invariant 13: a stage's purpose is one of the atom's purposes, or lies below one."""
    if question.purpose is None:
        return
    purposes = question.atom.purposes
    truth = any(is_or_descends(question.purpose, purpose) for purpose in purposes) if purposes else None
    yield _Finding(truth, "invariant/13")
