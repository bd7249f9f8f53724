"""Policies, packs, sites and atoms that nobody thought of, as strategies, for who compares two evaluators."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sites.data import UNKNOWN_LABEL
from sites.policy import Policy
from tests.support.check import Shape, a_pack, a_policy, an_atom, noun, packs_of

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
    readableBy=st.fixed_dictionaries({"within": some_of(REGIONS)}),
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


NOBODY: st.SearchStrategy[list[Shape]] = st.just([])


def a_random_party(
    controllers: st.SearchStrategy[list[Shape]], hired: st.SearchStrategy[list[Shape]] = NOBODY
) -> st.SearchStrategy[Shape]:
    facts = optional(
        name=st.sampled_from(("Somebody", "Another")), country=st.sampled_from(COUNTRIES), holdsKeys=st.booleans(),
        basis=st.sampled_from(BASES), controlledBy=controllers, subprocessors=hired,
    )  # fmt: skip
    return facts.map(lambda shape: {"name": "Somebody", **shape})


CHAIN = st.lists(a_random_party(st.lists(a_random_party(st.just([])), max_size=1)), max_size=2)
HIRED = st.lists(a_random_party(CHAIN, st.lists(a_random_party(CHAIN), max_size=1)), max_size=1)
PARTY = a_random_party(CHAIN, HIRED)


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
