"""Worlds that nobody thought of, and what each of two evaluators says of them: one generator for all who compare.

Everything is drawn from a `random.Random`: Hypothesis gives one with a seed of its own, the mutants one with theirs.
Vocabularies are small and days lie close to the ends of the window, so that rules meet what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from placement.check import evaluator as checker_evaluator
from placement.check import questions as checker_questions
from placement.check.labels import joined_with_keys
from placement.check.snapshot import Snapshot
from sites import decisions as planner_decisions
from sites import verdict as planner_verdict
from sites.data import UNKNOWN_LABEL, Label, join
from sites.policy import Pack, Policy
from sites.question import Window
from sites.site import Site
from tests.support.check import SINCE, UNTIL, Shape, a_pack, a_policy, an_atom, noun, packs_of

CLASSES = ("user", "user.health_and_medical", "user.health_and_medical.genetic", "user.financial", "system.operations")
PLACES = ("FR", "FR-69", "DE", "CH", "US", "RE")
COUNTRIES = ("FR", "DE", "CH", "US")
REGIONS = ("EU", "EEA", "FR", "FR-69", "DE", "CH", "US")
ACTIVITIES = ("process", "store", "backup", "log", "failover", "access", "transit")
PURPOSES = ("essential", "essential.service", "analytics", "essential.service.security")
KINDS = ("identified", "pseudonymised", "anonymised")
BASES = ("hint", "contracted", "observed")
FIRM = (*BASES, "observed", "observed", "observed")
DAYS = ("2026-11-30", "2026-12-01", "2027-01-15", "2027-03-31", "2027-04-01")
NAMES = ("a", "b", "Somebody", "Another")
ROLES = ("operator", "owner", "keyCustodian", "support", "auditor")

T = TypeVar("T")


def some_of(random: Random, values: Sequence[T], most: int = 2) -> list[T]:
    """Return one or a few of the values, none twice."""
    return random.sample(values, random.randint(1, min(most, len(values))))


def perhaps(random: Random, often: float, **fields: Callable[[], Any]) -> Shape:
    """Return each of these fields, or leave it out."""
    return {name: draw() for name, draw in fields.items() if random.random() < often}


CONDITIONS: dict[str, Callable[[Random], Any]] = {
    "law": lambda random: some_of(random, REGIONS, 3),
    "countries": lambda random: some_of(random, (*REGIONS, "ORIGIN", "ORIGIN", "ORIGIN"), 3),
    "compellableBy": lambda random: {"within": some_of(random, REGIONS, 4)},
    "readableBy": lambda random: {"within": some_of(random, REGIONS, 4)},
    "instrument": lambda random: some_of(random, ("scc", "bcr")),
    "assurances": lambda random: some_of(random, ("HDS", "C5")),
    "purposes": lambda random: some_of(random, PURPOSES),
    "identifiability": lambda random: some_of(random, KINDS),
    "basis": lambda random: random.choice(BASES),
    "validity": lambda random: perhaps(
        random, 0.6, **{"from": lambda: random.choice(DAYS), "until": lambda: random.choice(DAYS)}
    ),
    "confidence": lambda random: random.choice(("high", "medium", "low")),
}
"""What a rule may say beside its selectors."""


THEMES = (*sorted(CONDITIONS), "instrument", "readableBy", "readableBy")
"""Conditions that a world may be about; those with most to go wrong more often."""


@dataclass(frozen=True)
class Theme:
    """What the rules of one world are mostly about, so that what they say meets: an effect and a condition."""

    effect: str
    condition: str

    @classmethod
    def of(cls, random: Random) -> Theme:
        """Return a theme."""
        return cls(random.choice(("permit", "permit", "require", "prohibit")), random.choice(THEMES))


def a_rule_of(random: Random, index: int, theme: Theme, *, own: bool) -> Shape:
    """Return a rule with a few conditions; those of packs are mostly of high confidence."""
    names = set(random.sample(sorted(CONDITIONS), random.choice((0, 0, 0, 1, 2))))
    names |= {theme.condition} if random.random() < 0.6 else set()
    names |= {"basis"} if names & {"assurances", "instrument"} and random.random() < 0.4 else set()
    kept = {name: CONDITIONS[name](random) for name in sorted(names)}
    sure = {} if own or "confidence" in kept or random.random() < 0.2 else {"confidence": "high"}
    effect = theme.effect if random.random() < 0.5 else random.choice(("permit", "permit", "require", "prohibit"))
    return {
        "id": f"r{index}", "effect": effect, "source": "random",
        "data": "all" if random.random() < 0.6 else some_of(random, CLASSES),
        "activities": "all" if random.random() < 0.6 else some_of(random, ACTIVITIES, 4), **sure, **kept,
    }  # fmt: skip


def rules_of(random: Random, least: int, most: int, theme: Theme, *, own: bool) -> list[Shape]:
    """Return rules; more often than not the first permits everything, so that the others decide."""
    count = max(least, random.randint(-1, most))
    found = [a_rule_of(random, index, theme, own=own) for index in range(count)]
    if found and random.random() < (0.5 if theme.effect == "permit" and own else 0.85):
        sure = {} if own or random.random() < 0.1 else {"confidence": "high"}
        found[0] = {"id": "r0", "effect": "permit", "data": "all", "activities": "all", "source": "random", **sure}
    return found


def a_party_of(random: Random, depth: int = 0) -> Shape:
    """Return a party of which some facts are missing, with controllers and sub-processors to a depth of three."""
    above = lambda: [a_party_of(random, depth + 1) for _ in range(random.choice((0, 0, 1, 2)) if depth < 2 else 0)]  # noqa: E731
    hired = lambda: [a_party_of(random, depth + 1) for _ in range(random.choice((0, 0, 1, 2)) if depth < 2 else 0)]  # noqa: E731
    facts = perhaps(
        random, 0.85, name=lambda: random.choice(("Somebody", "Another")), country=lambda: random.choice(COUNTRIES),
        holdsKeys=lambda: random.random() < 0.4, controlledBy=above, subprocessors=hired,
        basis=lambda: random.choice(FIRM),
    )  # fmt: skip
    return {"name": "Somebody", **facts}


def a_site_of(random: Random, name: str, **connectivity: Any) -> Site:
    """Return a site of which some facts are missing."""
    group, strangers = a_party_of(random), random.choice((0, 0, 0.5))
    party = lambda: a_party_of(random) if random.random() < strangers else group  # noqa: E731
    expected = [role for role in ROLES[:4] if random.random() < 0.9]
    roles = (*expected, *(("auditor",) if random.random() < 0.2 else ()))
    spec = perhaps(
        random, 0.85,
        location=lambda: random.choice(PLACES),
        parties=lambda: {role: party() for role in roles},
        access=lambda: {"support": random.choice(("none", "supervised", "supervised"))},
        assurances=lambda: [
            {"scheme": random.choice(("HDS", "C5")),
             **perhaps(random, 0.8, until=lambda: random.choice(DAYS), basis=lambda: random.choice(BASES))}
            for _ in range(random.randint(0, 2))
        ],
        basis=lambda: random.choice(FIRM),
    )  # fmt: skip
    spec |= perhaps(
        random, 0.3,
        activities=lambda: {activity: random.choice(PLACES) for activity in some_of(random, ACTIVITIES[2:5])},
        telemetry=lambda: random.choice(("none", *PLACES)),
    )  # fmt: skip
    whole = {**spec, "connectivity": {"mode": "connected", **connectivity}}
    return noun(Site, {"metadata": {"name": name}, "spec": whole})


def a_link_of(random: Random, to: str) -> Shape:
    """Return a link; every other one passes TLS through."""
    facts = perhaps(
        random, 0.7, transit=lambda: random.sample(COUNTRIES, random.randint(0, 2)),
        tls=lambda: random.choice(("passthrough", "passthrough", "terminated")),
        intermediary=lambda: a_party_of(random),
    )  # fmt: skip
    return {"to": to, "bandwidth": "1Mbit/s", "rtt": "1ms", "price": "0 EUR/GB", **facts}


def an_atom_of(random: Random) -> Any:
    """Return an atom of which some facts are missing."""
    return an_atom(
        random.choice(CLASSES),
        law=None if random.random() < 0.08 else sorted(some_of(random, COUNTRIES)),
        **perhaps(
            random, 0.75, identifiability=lambda: random.choice(KINDS),
            purposes=lambda: sorted(some_of(random, PURPOSES)), key_ref=lambda: random.choice(("one", "two")),
        ),
    )  # fmt: skip


def a_label_of(random: Random) -> Label:
    """Return a label of one to three classes, or now and then the unlabelled one."""
    return (
        UNKNOWN_LABEL
        if random.random() < 0.15
        else join((an_atom_of(random),) for _ in range(random.choice((1, 1, 1, 2, 3))))
    )


def a_policy_of(random: Random) -> tuple[Policy, dict[str, Pack]]:
    """Return a policy with up to two packs, of which one often speaks for every country."""
    names, theme = ("p1", "p2")[: random.choice((0, 1, 1, 2))], Theme.of(random)
    packs = [
        a_pack(
            name,
            data="all" if random.random() < 0.6 else some_of(random, CLASSES),
            countries="all" if random.random() < 0.5 else some_of(random, REGIONS, 4),
            jurisdiction=["EU", "CH", "US"] if random.random() < 0.8 else some_of(random, REGIONS),
        )
        for name in names
    ]  # fmt: skip
    for pack in packs:
        pack["spec"]["rules"] = rules_of(random, random.choice((0, 1, 1, 1)), 3, theme, own=False)
    own = rules_of(random, random.choice((0, 1, 1, 1)), 4, theme, own=True)
    waived = [rule["id"] for rule in own if rule["effect"] != "permit" and random.random() < 0.3]
    adopted = [f"{layer}/r{index}" for layer in ("org", *names) for index in range(4) if random.random() < 0.2]
    policy = a_policy(
        packs=[*names, *(["org-default"] if random.random() < 0.1 else [])],
        adopt=adopted,
        instruments=[an_instrument_of(random) for _ in range(random.choice((0, 1, 3, 6)))],
        noPack=[
            {"country": random.choice(COUNTRIES), "until": random.choice(DAYS), "reason": "r", "by": "b",
             **perhaps(random, 0.5, data=lambda: random.choice(CLASSES))}
            for _ in range(random.randint(0, 3))
        ],
        waivers=[{"rule": rule, "reason": "r", "by": "b", "until": random.choice(DAYS)} for rule in waived],
    )  # fmt: skip
    policy["spec"]["rules"] = own
    default = [rule for rule in rules_of(random, 0, 1, theme, own=True) if rule["effect"] != "permit"]
    return noun(Policy, policy), packs_of(*packs, a_pack("org-default", *default, jurisdiction=[]))


def an_instrument_of(random: Random) -> Shape:
    """Return an instrument between two of the names that a world knows."""
    ends = perhaps(
        random, 0.85, **{"from": lambda: random.choice(DAYS[:3]), "until": lambda: random.choice(DAYS[2:])},
        basis=lambda: random.choice(BASES),
    )  # fmt: skip
    return {
        "type": random.choice(("scc", "bcr")), "exporter": random.choice(("a", "a", "Somebody", *NAMES)),
        "importer": random.choice(("b", "b", "Somebody", *NAMES)), "data": random.choice(("user", *CLASSES)), **ends,
    }  # fmt: skip


class Asked(NamedTuple):
    """A label with a purpose, at a site `b` and on the wire between `a` and `b`; `often` asks in every direction."""

    a: Site
    b: Site
    label: Label
    purpose: str | None
    retains: bool
    queues: bool
    failover: bool
    often: bool

    def ways(self) -> tuple[tuple[Site, Site, str | None], ...]:
        """Return who asks about which site, for what; more than once, so that what is remembered is asked again."""
        a, b, usual = self.a, self.b, self.purpose
        other = "analytics" if usual != "analytics" else None
        return ((a, b, usual), (b, a, usual), (b, b, usual), (a, b, other)) if self.often else ((a, b, usual),)


@dataclass(frozen=True)
class World:
    """A policy, and what is asked under it."""

    policy: Policy
    packs: Mapping[str, Pack]
    asked: tuple[Asked, ...]


def a_world(random: Random, questions: int = 3) -> World:
    """Return a world in which this many labels are asked about, each between two sites of its own."""
    policy, packs = a_policy_of(random)
    purposes = (*[None] * 8, *PURPOSES)
    asked = (
        Asked(
            a_site_of(random, "a", links=[a_link_of(random, "b")]),
            a_site_of(random, "b"),
            a_label_of(random),
            random.choice(purposes),
            random.random() < 0.5,
            random.random() < 0.5,
            random.random() < 0.5,
            index == 0,
        )
        for index in range(questions)
    )
    return World(policy, packs, tuple(asked))


Answer = tuple[Any, ...]
"""(atom, activity, place, role, outcome, cited rules)."""


def planned(
    world: World, verdict: ModuleType = planner_verdict, decisions: ModuleType = planner_decisions
) -> Iterator[Collection[Answer]]:
    """Yield what the planner's evaluator answers to each question of a world, all of them asked of one evaluator."""
    evaluator = verdict.Evaluator(world.policy, world.packs, Window(SINCE, UNTIL))
    for each in world.asked:
        a, b, label = each.a, each.b, each.label
        for origin, site, purpose in each.ways():
            asked = decisions.stage_questions(
                label, site, origin,
                purpose=purpose, retains=each.retains, queues=each.queues, failover=each.failover,
            )  # fmt: skip
            yield {_as_planned(q, evaluator.decide(q), hop=False) for q in asked}
            asked = decisions.hop_questions(label, a.spec.connectivity.links[0], a, b, origin)
            yield {_as_planned(q, evaluator.decide(q), hop=True) for q in asked}


def _as_planned(question: Any, verdict: Any, *, hop: bool) -> Answer:
    alone = len(question.parties) == 1 and (hop or question.activity == "access")
    role = question.parties[0].role if alone else None
    return (question.atom, question.activity, question.place, role, str(verdict.outcome), tuple(verdict.rules))


def checked(
    world: World, evaluator: ModuleType = checker_evaluator, questions: ModuleType = checker_questions
) -> Iterator[Collection[Answer]]:
    """Yield what the checker's evaluator answers to each question of a world, in the order of `planned`."""
    judge, policies = evaluator.Judge(world.policy, world.packs, SINCE, UNTIL), {"default": world.policy}
    for each in world.asked:
        sites, label = {"a": each.a, "b": each.b}, each.label
        asker = questions.Questions(judge, Snapshot(sites, {}, {}, {}, policies, world.packs, {}))
        kept = ("store", "backup") if each.retains or each.queues else ()
        extra = (*kept, *(("failover",) if each.failover else ()))
        for origin, site, purpose in each.ways():
            found: tuple[Any, ...] = ()
            for part in (label, joined_with_keys(label)):
                found += asker.placing(part, site, origin, purpose, extra)
                found += asker.telemetry(part, site, origin, purpose)
            yield {_as_checked(decision) for decision in found}
            yield {_as_checked(decision) for decision in asker.crossing(label, "a", "b", origin)}


def _as_checked(decision: Any) -> Answer:
    judged = decision.judgement
    return (decision.atom, decision.activity, decision.place, decision.role, judged.outcome, tuple(judged.rules))
