"""Which questions a placement raises: the table "what a plan must decide", asked of the checker's evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from placement.check.conditions import Case, Names
from placement.check.evaluator import Judge, Judgement
from placement.check.snapshot import Snapshot
from sites.country import country_of
from sites.data import Atom, Label
from sites.site import EXPECTED_ROLES, Activity, Party, Site

Involved = tuple[str, Party | None]
"""A role and who has it; None is an unknown party."""

SUBPROCESSOR = "'s sub-processor"
"""What follows a role in the name of those who process for it."""

ALWAYS: tuple[Activity, ...] = ("process", "log")


@dataclass(frozen=True, slots=True)
class Decision:
    """One judged question; `role` names the party of an access or the intermediary of a hop."""

    atom: Atom
    activity: Activity
    place: str | None
    role: str | None
    judgement: Judgement


def parties_at(site: Site) -> tuple[Involved, ...]:
    """Return everybody who takes part at a site: the expected roles, further roles, support unless there is none.

    Behind each stand those who process for it, and behind them theirs.
    """
    named = site.spec.parties
    roles = [*EXPECTED_ROLES, *(role for role in named if role not in EXPECTED_ROLES)]
    without = {"support"} if site.spec.access.support == "none" else set()
    return tuple(each for role in roles if role not in without for each in hired_by(role, named.get(role)))


def hired_by(role: str, party: Party | None) -> tuple[Involved, ...]:
    """Return a party under its role, and its sub-processors under theirs."""
    found: list[Involved] = [(role, party)]
    for other in party.subprocessors or () if party else ():
        found += hired_by(role + SUBPROCESSOR, other)
    return tuple(found)


def names_of(site: Site) -> Names:
    """Return the names by which an instrument may call a site: its own and its operator's, None if unnamed."""
    operator = site.spec.parties.get("operator")
    return frozenset({site.name, operator.name if operator else None})


class Decisions(tuple[Decision, ...]):
    """What was decided about one thing."""

    @cached_property
    def refused(self) -> tuple[Decision, ...]:
        """Those that are no permit."""
        return tuple(decision for decision in self if decision.judgement.outcome != "permit")

    @cached_property
    def rules(self) -> frozenset[str]:
        """Every rule that they rest on."""
        return frozenset(rule for decision in self for rule in decision.judgement.rules)


NONE = Decisions()


class Questions:
    """Asks and remembers: by label or atom, activity, purpose, and the facts of law of the site, or of the hop.

    The answer for one site is that for all of its profile: a case holds nothing of a site but what `Profiles` numbers.
    It holds nothing of the origin either, unless a rule asks for it.
    """

    def __init__(self, judge: Judge, snapshot: Snapshot) -> None:
        self._judge, self._snapshot = judge, snapshot
        self._known: dict[tuple[object, ...], tuple[Decision, ...]] = {}
        self._labels: dict[tuple[object, ...], Decisions] = {}

    def placing(
        self, label: Label, site: Site, origin: Site, purpose: str | None, extra: Iterable[Activity] = ()
    ) -> Decisions:
        """Return every decision that a stage at a site needs; `extra` are activities beside process, log, access."""
        activities: tuple[Activity, ...] = (*ALWAYS, *sorted(set(extra)), "access")
        return self._of_label(
            ("placing", label, self._law(site), purpose, activities), origin,
            lambda: (
                decision
                for atom in label
                for activity in activities
                for decision in self._at_site(atom, activity, site, origin, purpose)
            ),
        )  # fmt: skip

    def crossing(self, label: Label, a: str, b: str, origin: Site) -> Decisions:
        """Return every decision that a hop between two neighbours needs."""
        a, b = sorted((a, b))
        return self._of_label(
            ("crossing", label, self._snapshot.crossing(a, b)), origin,
            lambda: (decision for atom in label for decision in self._on_hop(atom, a, b, origin)),
        )  # fmt: skip

    def telemetry(self, label: Label, site: Site, origin: Site, purpose: str | None) -> Decisions:
        """Return the decisions on logs and metrics that a site sends elsewhere; none where it sends none."""
        place = site.spec.telemetry
        if place is None or place == "none":
            return NONE
        return self._of_label(
            ("telemetry", label, self._law(site), purpose), origin,
            lambda: (d for atom in label for d in self._doing(atom, "log", site, origin, purpose, place)),
        )  # fmt: skip

    def law_of(self, origin: Site) -> int | None:
        """Return the number of an origin's facts of law, or None where no rule asks for them."""
        return self._law(origin) if self._judge.asks_for_origin else None

    def _law(self, site: Site) -> int:
        return self._snapshot.profiles.law(site.name)

    def _of_label(
        self, key: tuple[object, ...], origin: Site, decide: Callable[[], Iterable[Decision]]
    ) -> Decisions:  # fmt: skip
        key = (*key, self.law_of(origin))
        if key not in self._labels:
            self._labels[key] = Decisions(decide())
        return self._labels[key]

    def _remember(self, key: tuple[object, ...], origin: Site, found: Iterable[Decision]) -> tuple[Decision, ...]:
        key = (*key, self.law_of(origin))
        if key not in self._known:
            self._known[key] = tuple(found)
        return self._known[key]

    def _at_site(
        self, atom: Atom, activity: Activity, site: Site, origin: Site, purpose: str | None
    ) -> tuple[Decision, ...]:
        asked = self._access if activity == "access" else self._doing
        return self._remember(
            (atom, activity, self._law(site), purpose), origin, asked(atom, activity, site, origin, purpose)
        )  # fmt: skip

    def _doing(
        self, atom: Atom, activity: Activity, site: Site, origin: Site, purpose: str | None, at: str | None = None
    ) -> Iterator[Decision]:
        place = at or site.spec.activities.get(activity, site.spec.location)
        case = Case(
            atom, activity, place, tuple(party for _, party in parties_at(site)), (site,),
            purpose, origin.spec.location, ((names_of(origin), names_of(site)),),
        )  # fmt: skip
        yield Decision(atom, activity, place, None, self._judge.decide(case))

    def _access(
        self, atom: Atom, activity: Activity, site: Site, origin: Site, purpose: str | None
    ) -> Iterator[Decision]:
        for role, party in parties_at(site):
            place = party.country if party else None
            named: Names = frozenset({party.name if party else None})
            case = Case(
                atom, activity, place, (party,), (site,),
                purpose, origin.spec.location, ((names_of(origin), named),),
            )  # fmt: skip
            yield Decision(atom, activity, place, role, self._judge.decide(case))

    def _on_hop(self, atom: Atom, a: str, b: str, origin: Site) -> tuple[Decision, ...]:
        return self._remember(
            (atom, "transit", self._snapshot.crossing(a, b)), origin, self._transit(atom, a, b, origin)
        )

    def _transit(self, atom: Atom, a: str, b: str, origin: Site) -> Iterator[Decision]:
        link = self._snapshot.links[frozenset((a, b))]
        ends = self._snapshot.site(a), self._snapshot.site(b)
        everybody = tuple(party for end in ends for _, party in parties_at(end))
        for place in self._crossed(a, b):
            case = self._hop_case(atom, "transit", place, everybody, ends, origin)
            yield Decision(atom, "transit", place, None, self._judge.decide(case))
            for role, party in hired_by("intermediary", link.intermediary) if link.tls != "passthrough" else ():
                case = self._hop_case(atom, "process", place, (party,), ends, origin)
                yield Decision(atom, "process", place, role, self._judge.decide(case))

    def _crossed(self, a: str, b: str) -> tuple[str | None, ...]:
        """Return each country of a hop once: those of `transit` and of the two ends; None for what is unknown."""
        transit = self._snapshot.links[frozenset((a, b))].transit
        places = [self._snapshot.site(name).spec.location for name in (a, b)]
        countries: list[str | None] = [None if place is None else country_of(place) for place in places]
        return tuple(dict.fromkeys([*countries, *((None,) if transit is None else transit)]))

    def _hop_case(
        self, atom: Atom, activity: Activity, place: str | None, parties: tuple[Party | None, ...],
        ends: tuple[Site, Site], origin: Site,
    ) -> Case:  # fmt: skip
        a, b = names_of(ends[0]), names_of(ends[1])
        where = ends if activity == "transit" else ()
        return Case(
            atom, activity, place, parties, where,
            None, origin.spec.location, ((a, b), (b, a)),
        )  # fmt: skip
