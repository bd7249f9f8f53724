"""Laws that hold for every value: three-valued logic, joins of labels, containment of places, whole verdicts."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sites.country import EU, OWN_CODE, _table, country_of, within
from sites.data import UNKNOWN_LABEL, Atom, DeclaredAtom, covers, join, label_of, reidentified
from sites.decisions import decide_stage
from sites.truth import all_of, any_of, negate
from sites.verdict import Evaluator, Outcome
from tests.support.sites import WINDOW, a_label, a_pack, a_party, a_policy, a_rule, a_site, packs

steady = settings(deadline=None, max_examples=80)
TRUTHS = (True, False, None)
truths = st.lists(st.sampled_from(TRUTHS), max_size=6)

classes = st.sampled_from(["user.health_and_medical", "user.contact", "system.operations", "unlabelled"])
countries = st.sampled_from(["FR", "DE", "CH", "US"])
PURPOSES = ("essential", "essential.service", "essential.service.operations", "analytics", "train_ai_system")
purposes = st.sampled_from(PURPOSES)
atoms = st.builds(
    Atom,
    classes,
    st.none() | st.sets(countries, max_size=3).map(lambda s: tuple(sorted(s))),
    st.none() | st.sampled_from(["identified", "pseudonymised", "anonymised"]),
    st.none() | st.sets(purposes, max_size=3).map(lambda s: tuple(sorted(s))),
    st.none() | st.sampled_from(["k1", "k2"]),
    st.sets(st.sampled_from(["hipaa", "nis2"])).map(lambda s: tuple(sorted(s))),
)
labels = st.lists(atoms, min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize(("a", "b"), list(product(TRUTHS, TRUTHS)))
def test_and_or_and_not_are_kleene_s(a: bool | None, b: bool | None) -> None:
    order = {False: 0, None: 1, True: 2}
    assert all_of([a, b]) == min((a, b), key=lambda v: order[v])
    assert any_of([a, b]) == max((a, b), key=lambda v: order[v])


@steady
@given(truths)
def test_de_morgan(values: list[bool | None]) -> None:
    assert negate(all_of(values)) == any_of(map(negate, values))


@steady
@given(truths, st.randoms())
def test_order_does_not_matter(values: list[bool | None], random: object) -> None:
    shuffled = sorted(values, key=lambda _: getattr(random, "random")())  # noqa: B009
    assert all_of(values) is all_of(shuffled)
    assert any_of(values) is any_of(shuffled)


@steady
@given(truths)
def test_learning_a_fact_never_turns_an_answer_round(values: list[bool | None]) -> None:
    for learnt in (True, False):
        known = [learnt if value is None else value for value in values]
        for combine in (all_of, any_of):
            assert combine(values) in (None, combine(known))


@steady
@given(labels, labels, labels)
def test_join_is_a_semilattice(a: tuple[Atom, ...], b: tuple[Atom, ...], c: tuple[Atom, ...]) -> None:
    assert join([a, b]) == join([b, a])
    assert join([a, join([b, c])]) == join([join([a, b]), c])
    assert join([join([a])]) == join([a])


@steady
@given(labels, labels)
def test_join_covers_its_parts_and_keeps_every_class(a: tuple[Atom, ...], b: tuple[Atom, ...]) -> None:
    joined = join([a, b])
    assert {atom.data for atom in joined} == {atom.data for atom in a + b}
    assert len({atom.law for atom in joined}) == 1
    for part in (a, b):
        assert covers(joined, part)


@steady
@given(atoms, atoms)
def test_joined_atom_allows_a_purpose_only_where_both_did(a: Atom, b: Atom) -> None:
    label = join([(a,), (Atom(a.data, b.law, b.identifiability, b.purposes),)])
    (joined,) = label
    for purpose in PURPOSES:
        allows = [
            atom.purposes is not None and any(purpose == p or purpose.startswith(p + ".") for p in atom.purposes)
            for atom in (joined, a, b)
        ]
        assert allows[0] <= (allows[1] and allows[2])


def test_nothing_declared_is_unlabelled_and_declared_nothing_is_nothing() -> None:
    assert label_of(None) == UNKNOWN_LABEL
    assert label_of([]) == ()
    assert join([]) == join([(), ()]) == UNKNOWN_LABEL
    operations = label_of([DeclaredAtom(data="system.operations", law=("FR",))])
    assert join([operations, label_of([])]) == operations
    assert join([operations, UNKNOWN_LABEL])[0].law is None


def test_places() -> None:
    assert within("FR-69", ["FR"]) is True
    assert within("FR", ["FR-69"]) is None
    assert within("DE", ["FR-69"]) is False
    assert within(None, ["EU"]) is None
    assert within("GP", ["EU"]) is True
    assert within("NO", ["EU"]) is False
    assert within("NO", ["EEA"]) is True
    assert {country_of(place) for place in EU} == EU


def test_what_has_two_codes_is_known_by_its_country_s_alone() -> None:
    countries, subdivisions = _table()
    assert {code for code in subdivisions if code.startswith("FR-") and code[3:] in countries} <= OWN_CODE.keys()
    assert OWN_CODE.keys() <= subdivisions
    assert set(OWN_CODE.values()) <= countries.keys()
    assert {code for code in OWN_CODE.values() if code in EU} == {"GP", "MQ", "GF", "RE", "YT", "MF", "AX"}


facts = st.fixed_dictionaries(
    {
        "location": st.none() | st.sampled_from(["FR", "DE", "CH", "US"]),
        "country": st.none() | st.sampled_from(["FR", "US"]),
        "controlled": st.none() | st.just([]) | st.sampled_from([["FR"], ["US"]]),
    }
)
rules = st.lists(
    st.fixed_dictionaries(
        {
            "effect": st.sampled_from(["permit", "require", "prohibit"]),
            "data": st.sampled_from(["all", "user", "user.health_and_medical", "system.operations"]),
        },
        optional={
            "countries": st.sampled_from(["EU", "CH", "ORIGIN"]),
            "compellableBy": st.sampled_from([{"within": ["EU"]}, {"within": ["US"]}]),
            "identifiability": st.just("identified"),
            "law": st.sampled_from(["FR", "CH"]),
        },
    ),
    max_size=4,
)


@steady
@given(rules, facts, atoms)
def test_learning_who_controls_never_turns_a_verdict_round(
    drawn: list[dict[str, Any]], known: dict[str, Any], atom: Atom
) -> None:
    """Whatever was permitted or denied with a fact unknown stays so when the fact becomes known."""
    law = a_pack(a_rule("ok"), countries="all", jurisdiction=["EEA", "CH", "US"])
    policy = a_policy(*[a_rule(f"r{i}", **rule) for i, rule in enumerate(drawn)] or [a_rule()], packs=["law"])
    evaluator = Evaluator(policy, packs(law), WINDOW)
    veiled = {"name": "Operator", "country": known["country"]}
    open_ = {**veiled, "controlledBy": [a_party(c) for c in known["controlled"] or []]}
    home = a_site("home")
    before, after = (
        decide_stage(evaluator, (atom,), a_site(location=known["location"], operator=party), home)
        for party in (veiled, open_)
    )
    assert before.outcome in (after.outcome, Outcome.undetermined)


@steady
@given(rules, st.integers(0, 3))
def test_a_further_prohibition_or_requirement_never_permits_more(drawn: list[dict[str, Any]], at: int) -> None:
    law = a_pack(a_rule("ok"))
    written = [a_rule(f"r{i}", **rule) for i, rule in enumerate(drawn)]
    label, site = a_label("user.health_and_medical"), a_site()
    said = []
    for more in (
        [],
        [a_rule("more", ("require", "prohibit")[at % 2], compellableBy={"within": ["EU", "US"][at // 2 :]})],
    ):
        evaluator = Evaluator(a_policy(a_rule(), *written, *more, packs=["law"]), packs(law), WINDOW)
        said.append(decide_stage(evaluator, label, site, site).outcome)
    assert list(Outcome).index(said[1]) >= list(Outcome).index(said[0])


def test_a_join_keeps_every_key_that_leads_to_persons() -> None:
    contact = [Atom("user.contact", ("FR",), "pseudonymised", key_ref=key) for key in ("a", "b", None)]
    (joined,) = join((atom,) for atom in contact)
    assert joined.key_ref == "a+b"
    assert [atom.data for atom in reidentified((joined, Atom("system.operations", ("FR",), key_ref="b")))] == [
        "user.contact"
    ]
    assert reidentified((joined,)) == ()
