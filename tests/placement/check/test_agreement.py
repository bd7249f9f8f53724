"""Two evaluators, written apart, give one answer on policies, sites and atoms that nobody thought of."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.check.evaluator import Judge
from placement.check.questions import Decision, Questions
from placement.check.snapshot import Snapshot
from sites.data import UNKNOWN_LABEL, Label
from sites.decisions import hop_questions, stage_questions
from sites.policy import Policy
from sites.question import Question, Window
from sites.site import Site
from sites.verdict import Evaluator, Verdict
from tests.support.check import SINCE, UNTIL, Shape, a_pack, a_policy, an_atom, noun, packs_of

CLASSES = ("user", "user.health_and_medical", "user.health_and_medical.genetic", "user.financial", "system.operations")
PLACES = ("FR", "FR-69", "DE", "CH", "US", "RE")
COUNTRIES = ("FR", "DE", "CH", "US")
REGIONS = ("EU", "EEA", "FR", "FR-69", "DE", "CH", "US")
ACTIVITIES = ("process", "store", "backup", "log", "failover", "access", "transit")
PURPOSES = ("essential", "essential.service", "analytics", "essential.service.security")
KINDS = ("identified", "pseudonymised", "anonymised")
BASES = ("hint", "contracted", "observed")
DAYS = ("2026-11-30", "2026-12-01", "2027-01-15", "2027-03-31", "2027-04-01")


def some_of(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Shape]:
    return st.fixed_dictionaries({}, optional=fields)


CONDITIONS = optional(
    law=some_of(REGIONS),
    countries=some_of((*REGIONS, "ORIGIN")),
    compellableBy=st.fixed_dictionaries({"within": some_of(REGIONS)}),
    instrument=some_of(("scc", "bcr")),
    assurances=some_of(("HDS", "C5")),
    purposes=some_of(PURPOSES),
    identifiability=some_of(KINDS),
    basis=st.sampled_from(BASES),
    confidence=st.sampled_from(("high", "medium", "low")),
    validity=optional(**{"from": st.sampled_from(DAYS), "until": st.sampled_from(DAYS)}),
)


@st.composite
def a_random_rule(draw: st.DrawFn, index: int) -> Shape:
    conditions = draw(CONDITIONS)
    kept = {key: conditions[key] for key in sorted(conditions)[: draw(st.integers(0, 3))]}
    return {
        "id": f"r{index}", "effect": draw(st.sampled_from(("permit", "permit", "require", "prohibit"))),
        "data": draw(st.one_of(st.just("all"), some_of(CLASSES))),
        "activities": draw(st.one_of(st.just("all"), some_of(ACTIVITIES))), "source": "random", **kept,
    }  # fmt: skip


def rules(most: int) -> st.SearchStrategy[list[Shape]]:
    return st.integers(0, most).flatmap(lambda count: st.tuples(*map(a_random_rule, range(count))).map(list))


def a_random_party(controllers: st.SearchStrategy[list[Shape]]) -> st.SearchStrategy[Shape]:
    facts = optional(country=st.sampled_from(COUNTRIES), basis=st.sampled_from(BASES), controlledBy=controllers)
    return facts.map(lambda shape: {"name": "Somebody", **shape})


PARTY = a_random_party(st.lists(a_random_party(st.lists(a_random_party(st.just([])), max_size=1)), max_size=2))


@st.composite
def a_random_site(draw: st.DrawFn, name: str) -> Shape:
    spec = draw(
        optional(
            location=st.sampled_from(PLACES),
            parties=st.dictionaries(
                st.sampled_from(("operator", "owner", "keyCustodian", "support", "auditor")), PARTY, max_size=5
            ),
            access=optional(support=st.sampled_from(("none", "supervised"))),
            assurances=st.lists(
                st.fixed_dictionaries(
                    {"scheme": st.sampled_from(("HDS", "C5"))},
                    optional={"until": st.sampled_from(DAYS), "basis": st.sampled_from(BASES)},
                ),
                max_size=2,
            ),
            activities=st.dictionaries(st.sampled_from(("backup", "log", "failover")), st.sampled_from(PLACES)),
            telemetry=st.sampled_from(("none", *PLACES)),
            basis=st.sampled_from(BASES),
        )
    )
    return {"metadata": {"name": name}, "spec": {**spec, "connectivity": {"mode": "connected"}}}


INSTRUMENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(("scc", "bcr")),
        "exporter": st.sampled_from(("a", "b", "Somebody")),
        "importer": st.sampled_from(("a", "b", "Somebody")),
        "data": st.sampled_from(CLASSES),
    },
    optional={"from": st.sampled_from(DAYS), "until": st.sampled_from(DAYS), "basis": st.sampled_from(BASES)},
)
NO_PACK = st.fixed_dictionaries(
    {"country": st.sampled_from(COUNTRIES), "until": st.sampled_from(DAYS)},
    optional={"data": st.sampled_from(CLASSES)},
).map(lambda shape: {"reason": "random", "by": "Office (example)", **shape})


@st.composite
def a_world(draw: st.DrawFn) -> tuple[Policy, dict[str, Any]]:
    packs = [
        a_pack(
            name, *draw(rules(3)), data=draw(st.one_of(st.just("all"), some_of(CLASSES))),
            countries=draw(st.one_of(st.just("all"), some_of(REGIONS))), jurisdiction=draw(some_of(REGIONS)),
        )
        for name in ("p1", "p2")[: draw(st.integers(0, 2))]
    ]  # fmt: skip
    own = draw(rules(4))
    waivable = [rule["id"] for rule in own if rule["effect"] != "permit"]
    waived = waivable[: draw(st.integers(0, 1))]
    policy = a_policy(
        packs=[pack["metadata"]["name"] for pack in packs],
        adopt=draw(st.lists(st.sampled_from(("p1/r0", "p2/r0", "org/r0")), max_size=2)),
        instruments=draw(st.lists(INSTRUMENT, max_size=2)),
        noPack=draw(st.lists(NO_PACK, max_size=2)),
        waivers=[{"rule": rule, "reason": "r", "by": "b", "until": draw(st.sampled_from(DAYS))} for rule in waived],
    )
    policy["spec"]["rules"] = own
    default = [rule for rule in draw(rules(1)) if rule["effect"] != "permit"]
    everything = [*packs, a_pack("org-default", *default, jurisdiction=[])]
    return noun(Policy, policy), packs_of(*everything)


ATOM = st.builds(
    an_atom,
    st.sampled_from(CLASSES),
    law=st.one_of(st.none(), some_of(COUNTRIES).map(sorted)),
    identifiability=st.one_of(st.none(), st.sampled_from(KINDS)),
    purposes=st.one_of(st.none(), some_of(PURPOSES).map(sorted)),
)
LABEL = st.one_of(st.just(UNKNOWN_LABEL), ATOM.map(lambda atom: (atom,)))


def as_asked(question: Question, verdict: Verdict) -> tuple[Any, ...]:
    party = question.parties[0].role if question.activity == "access" or len(question.parties) == 1 else None
    cited = () if verdict.outcome != "permit" else tuple(sorted(verdict.rules))
    return (question.atom, question.activity, question.place, party, str(verdict.outcome), cited)


def as_checked(decision: Decision) -> tuple[Any, ...]:
    judgement = decision.judgement
    cited = () if judgement.outcome != "permit" else judgement.rules
    return (decision.atom, decision.activity, decision.place, decision.role, judgement.outcome, cited)


def without_role(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*answer[:3], *answer[4:])


FREELY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def snapshot_of(*sites: Site) -> Snapshot:
    return Snapshot({site.name: site for site in sites}, {}, {}, {}, {}, {}, {})


@FREELY
@given(a_world(), LABEL, a_random_site("a"), a_random_site("b"), st.one_of(st.none(), st.sampled_from(PURPOSES)))
def test_both_evaluators_answer_the_same_about_a_stage(
    world: tuple[Policy, dict[str, Any]], label: Label, origin: Shape, place: Shape, purpose: str | None
) -> None:
    policy, packs = world
    home, site = noun(Site, origin), noun(Site, place)
    questions = Questions(Judge(policy, packs, SINCE, UNTIL), snapshot_of(home, site))
    placed = questions.placing(label, site, home, purpose, ("store", "backup", "failover"))
    checked = (*placed, *questions.telemetry(label, site, home, purpose))
    evaluator = Evaluator(policy, packs, Window(SINCE, UNTIL))
    asked = stage_questions(label, site, home, purpose=purpose, retains=True, queues=True, failover=True)
    planned = {as_asked(question, evaluator.decide(question)) for question in asked}
    assert {as_checked(decision) for decision in checked} == planned


@FREELY
@given(
    a_world(), LABEL, a_random_site("a"), a_random_site("b"),
    optional(
        transit=st.lists(st.sampled_from(COUNTRIES), max_size=2), intermediary=PARTY,
        tls=st.sampled_from(("passthrough", "terminated")),
    ),
)  # fmt: skip
def test_both_evaluators_answer_the_same_about_a_hop(
    world: tuple[Policy, dict[str, Any]], label: Label, one: Shape, other: Shape, facts: Shape
) -> None:
    policy, packs = world
    link = {"to": "b", "bandwidth": "1Mbit/s", "rtt": "1ms", "price": "0 EUR/GB", **facts}
    one["spec"]["connectivity"]["links"] = [link]
    a, b = noun(Site, one), noun(Site, other)
    questions = Questions(Judge(policy, packs, SINCE, UNTIL), snapshot_of(a, b))
    evaluator = Evaluator(policy, packs, Window(SINCE, UNTIL))
    asked = hop_questions(label, a.spec.connectivity.links[0], a, b, a)
    planned = {without_role(as_asked(question, evaluator.decide(question))) for question in asked}
    assert {without_role(as_checked(decision)) for decision in questions.crossing(label, "a", "b", a)} == planned
