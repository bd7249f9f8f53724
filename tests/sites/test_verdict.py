"""The evaluator: a permitted thing, one deviation, the verdict with its rule, as design/residency.md says it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from sites.data import UNKNOWN_LABEL, Label
from sites.decisions import decide_hop, decide_stage
from sites.errors import SitesError
from sites.site import Site
from sites.verdict import Evaluator, Outcome, Verdict, Window
from tests.support.sites import WINDOW, a_label, a_pack, a_party, a_policy, a_rule, a_site, a_wire, packs

LAW = a_pack(a_rule("ok"))


def verdict(
    *rules: dict[str, Any],
    label: Label | None = None,
    site: Site | None = None,
    origin: Site | None = None,
    law: Any = LAW,
    window: Window = WINDOW,
    policy: dict[str, Any] | None = None,
    **asked: Any,
) -> Verdict:
    given = law if isinstance(law, tuple) else (law,)
    named = a_policy(*rules, packs=[pack.name for pack in given], **(policy or {}))
    where = site or a_site()
    return decide_stage(Evaluator(named, packs(*given), window), label or a_label(), where, origin or where, **asked)


def refused(outcome: str, *rules: str) -> tuple[Outcome, tuple[str, ...]]:
    return Outcome(outcome), rules


def said(found: Verdict) -> tuple[Outcome, tuple[str, ...]]:
    return found.outcome, found.rules


def test_everything_known_and_permitted_cites_one_permit_per_layer() -> None:
    assert said(verdict()) == refused("permit", "law/ok", "org/allow")


def test_no_permit_denies() -> None:
    assert said(verdict(a_rule(effect="require"))) == refused("deny", "org/no-permit")


def test_prohibition_is_cited_before_requirement() -> None:
    duty = a_rule("duty", "require", countries="DE")
    ban = a_rule("ban", "prohibit", countries="FR")
    assert said(verdict(a_rule(), duty, ban)) == refused("deny", "org/ban")
    assert said(verdict(a_rule(), duty)) == refused("deny", "org/duty")


@pytest.mark.parametrize(
    ("effect", "key", "expected"),
    [
        ("permit", "user", "permit"),
        ("permit", "user.health_and_medical.genetic", "deny"),
        ("prohibit", "user", "deny"),
        ("prohibit", "user.health_and_medical.genetic", "deny"),
        ("prohibit", "user.contact", "permit"),
    ],
)
def test_permits_cover_descendants_and_prohibitions_ancestors_too(effect: str, key: str, expected: str) -> None:
    rules = [a_rule("r", effect, data=key)] + ([a_rule()] if effect == "prohibit" else [])
    assert verdict(*rules, label=a_label("user.health_and_medical")).outcome == expected


def test_unlabelled_data_is_never_permitted() -> None:
    found = verdict(label=UNKNOWN_LABEL)
    assert said(found) == refused("undetermined", "law/ok", "org/allow", "unknown/law")
    assert verdict(a_rule(), a_rule("ban", "prohibit", data="user"), label=UNKNOWN_LABEL).outcome == Outcome.deny


def test_empty_label_is_the_unlabelled_one() -> None:
    evaluator = Evaluator(a_policy(packs=["law"]), packs(LAW), WINDOW)
    site = a_site()
    assert decide_stage(evaluator, (), site, site) == decide_stage(evaluator, UNKNOWN_LABEL, site, site)


def test_unknown_place_is_undetermined() -> None:
    found = verdict(site=a_site(location=None), origin=a_site("home"))
    assert found.outcome == Outcome.undetermined
    assert "unknown/place" in found.rules


def test_country_without_a_pack_is_undetermined_unless_a_person_answers_for_it() -> None:
    word = {"country": "US", "data": "system", "reason": "logs", "by": "Office (example)", "until": "2027-02-28"}
    abroad = a_site("us", "US")
    home = a_site()
    assert said(verdict(site=abroad, origin=home)) == refused("undetermined", "no-pack/US")
    assert verdict(site=abroad, origin=home, policy={"noPack": [word]}).outcome == Outcome.permit
    for wrong in ({"until": "2027-02-27"}, {"data": "user"}, {"country": "CA"}):
        assert verdict(site=abroad, origin=home, policy={"noPack": [{**word, **wrong}]}).outcome != Outcome.permit


def test_controllers_compel_transitively_and_the_unknown_does_not_pass() -> None:
    european = a_rule("european", "require", compellableBy={"within": ["EU"]})
    owned = a_party("FR", a_party("DE", a_party("US")))
    assert verdict(a_rule(), european).outcome == Outcome.permit
    assert said(verdict(a_rule(), european, site=a_site(operator=owned))) == refused("deny", "org/european")
    veiled = {"name": "Holding", "country": "FR"}
    assert said(verdict(a_rule(), european, site=a_site(operator=veiled))) == refused("undetermined", "org/european")
    ban = a_rule("ban", "prohibit", compellableBy={"within": ["US"]})
    assert said(verdict(a_rule(), ban, site=a_site(operator=owned))) == refused("deny", "org/ban")


def test_unnamed_role_is_an_unknown_party_and_only_declared_absence_of_support_removes_it() -> None:
    european = a_rule("european", "require", compellableBy={"within": ["EU"]})
    three = {role: a_party() for role in ("operator", "owner", "keyCustodian")}
    assert verdict(a_rule(), european, site=a_site(parties=three)).outcome == Outcome.undetermined
    assert verdict(a_rule(), european, site=a_site(parties=three, access={"support": "none"})).outcome == Outcome.permit


def test_access_is_asked_at_the_party_s_own_country() -> None:
    inside = a_rule("inside", "require", activities="access", countries="FR")
    site = a_site(operator=a_party("DE"))
    found = verdict(a_rule(), inside, site=site)
    assert said(found) == refused("deny", "org/inside")
    assert [(q.activity, q.place, q.parties[0].role) for q, _ in found.failing] == [("access", "DE", "operator")]


def test_triggered_pack_must_permit_and_an_idle_one_need_not() -> None:
    swiss = a_pack(a_rule("inside", countries="CH"), name="swiss", countries=("CH",))
    assert verdict(law=(LAW, swiss)).outcome == Outcome.permit
    assert said(verdict(law=(LAW, swiss), label=a_label(law=("CH",)))) == refused("deny", "swiss/no-permit")


def test_pack_of_unknown_applicability_is_undetermined() -> None:
    swiss = a_pack(a_rule(), name="swiss", countries=("CH",))
    site = a_site(operator={"name": "Somebody"})
    assert said(verdict(law=(LAW, swiss), site=site)) == refused(
        "undetermined", "swiss/applicability", "unknown/place"
    )  # fmt: skip


def test_permit_of_low_confidence_waits_for_adoption() -> None:
    unsure = a_pack(a_rule("ok", confidence="medium"))
    assert said(verdict(law=unsure)) == refused("undetermined", "law/ok")
    assert verdict(law=unsure, policy={"adopt": ["law/ok"]}).outcome == Outcome.permit
    elsewhere = a_pack(a_rule("ok", confidence="medium", countries="DE"))
    assert said(verdict(law=elsewhere)) == refused("deny", "law/no-permit")


def test_waiver_removes_the_organisation_s_own_rule_while_it_covers_the_window() -> None:
    ban = a_rule("ban", "prohibit")
    waiver = {"rule": "ban", "reason": "trial", "by": "Board (example)", "until": "2027-02-28"}
    assert verdict(a_rule(), ban, policy={"waivers": [waiver]}).outcome == Outcome.permit
    assert verdict(a_rule(), ban, policy={"waivers": [{**waiver, "until": "2027-02-27"}]}).outcome == Outcome.deny
    law = a_pack(a_rule("ok"), a_rule("ban", "prohibit"))
    assert said(verdict(law=law, policy={"waivers": [waiver]})) == refused("deny", "law/ban")


def test_permits_cover_the_whole_window_and_prohibitions_count_from_one_day() -> None:
    assert verdict(a_rule(validity={"until": "2027-02-27"})).outcome == Outcome.deny
    assert verdict(a_rule(validity={"until": "2027-02-28"})).until == dt.date(2027, 2, 28)
    last_day = a_rule("ban", "prohibit", validity={"from": "2027-02-28"})
    assert verdict(a_rule(), last_day).outcome == Outcome.deny
    assert verdict(a_rule(), a_rule("ban", "prohibit", validity={"until": "2026-11-30"})).outcome == Outcome.permit


def test_purpose_adds_the_layer_of_invariant_13() -> None:
    care = a_label(purposes=("essential.service",))
    assert said(verdict(label=care, purpose="essential.service.operations")) == refused(
        "permit", "invariant/13", "law/ok", "org/allow"
    )
    assert said(verdict(label=care, purpose="train_ai_system")) == refused("deny", "invariant/13")
    assert said(verdict(label=care, purpose="essential")) == refused("deny", "invariant/13")
    assert said(verdict(purpose="essential.service")) == refused("undetermined", "invariant/13")


def test_instrument_covers_type_ends_class_and_window() -> None:
    held = {
        "type": "SCC-2021", "exporter": "home", "importer": "Cloud Inc", "data": "system",
        "from": "2026-01-01", "until": "2027-06-30",
    }  # fmt: skip
    needs = a_rule(instrument="SCC-2021", activities=["process", "log"])
    away = a_site(operator=a_party(name="Cloud Inc"))
    asked: dict[str, Any] = {"site": away, "origin": a_site("home")}
    looking = a_rule("look", activities="access")
    found = verdict(needs, looking, policy={"instruments": [held]}, **asked)
    assert (found.outcome, found.until) == (Outcome.permit, dt.date(2027, 6, 30))
    for wrong in ({"type": "BCR"}, {"exporter": "x"}, {"importer": "x"}, {"data": "user"}, {"until": "2027-01-01"}):
        assert verdict(needs, looking, policy={"instruments": [{**held, **wrong}]}, **asked).outcome == Outcome.deny
    endless = {key: value for key, value in held.items() if key != "until"}
    assert verdict(needs, looking, policy={"instruments": [endless]}, **asked).outcome == Outcome.undetermined


def test_assurance_covers_the_window_and_an_omitted_list_is_unknown() -> None:
    hds = a_rule("hds", "require", assurances="HDS", activities=["process", "log"])
    certified = a_site(assurances=[{"scheme": "HDS", "until": "2028-05-31"}])
    assert verdict(a_rule(), hds, site=certified).until == dt.date(2028, 5, 31)
    assert verdict(a_rule(), hds, site=a_site(assurances=[])).outcome == Outcome.deny
    expired = a_site(assurances=[{"scheme": "HDS", "until": "2027-01-31"}])
    assert verdict(a_rule(), hds, site=expired).outcome == Outcome.deny
    assert verdict(a_rule(), hds, site=a_site(assurances=None)).outcome == Outcome.undetermined


def test_basis_below_what_the_rule_asks_fails_and_a_missing_one_is_unknown() -> None:
    proven = a_rule("proven", "require", basis="contracted", activities=["process", "log"])
    parties = {role: a_party(basis="attested") for role in ("operator", "owner", "keyCustodian", "support")}
    assert verdict(a_rule(), proven, site=a_site(parties=parties, basis="certified")).outcome == Outcome.permit
    assert verdict(a_rule(), proven, site=a_site(parties=parties, basis="declared")).outcome == Outcome.deny
    assert verdict(a_rule(), proven, site=a_site(parties=parties)).outcome == Outcome.undetermined


def test_fallback_target_and_retained_copy_ask_more() -> None:
    ban = a_rule("ban", "prohibit", activities=["failover", "backup"])
    assert verdict(a_rule(), ban).outcome == Outcome.permit
    assert verdict(a_rule(), ban, failover=True).outcome == Outcome.deny
    assert verdict(a_rule(), ban, retains=True).outcome == Outcome.deny
    assert verdict(a_rule(), ban, queues=True).outcome == Outcome.deny


def test_activity_elsewhere_is_judged_there() -> None:
    inside = a_rule("inside", "require", countries="FR")
    assert verdict(a_rule(), inside, site=a_site(activities={"log": "DE"})).outcome == Outcome.deny


def test_telemetry_that_goes_elsewhere_is_a_log_there() -> None:
    inside = a_rule("inside", "require", countries="FR")
    assert verdict(a_rule(), inside, site=a_site(telemetry="none")).outcome == Outcome.permit
    found = verdict(a_rule(), inside, site=a_site(telemetry="DE"))
    assert [(q.activity, q.place) for q, _ in found.failing] == [("log", "DE")]


def hop(*rules: dict[str, Any], a: Site | None = None, b: Site | None = None, law: Any = LAW, **link: Any) -> Verdict:
    evaluator = Evaluator(a_policy(*rules, packs=["law"]), packs(law), WINDOW)
    near = a or a_site()
    return decide_hop(evaluator, a_label(), a_wire(**link), near, b or a_site("dc"), near)


def test_hop_asks_every_country_and_unknown_transit_is_undetermined() -> None:
    inside = a_rule("inside", "require", countries="FR", activities="transit")
    assert hop(a_rule(), inside).outcome == Outcome.permit
    assert hop(a_rule(), inside, transit=["DE"]).outcome == Outcome.deny
    assert hop(a_rule(), transit=None).outcome == Outcome.undetermined


def test_intermediary_that_ends_tls_processes_and_an_unnamed_one_is_unknown() -> None:
    ban = a_rule("ban", "prohibit", activities="process", compellableBy={"within": ["US"]})
    assert hop(a_rule(), ban).outcome == Outcome.permit
    assert hop(a_rule(), ban, tls=None).outcome == Outcome.undetermined
    assert hop(a_rule(), ban, tls="terminated", intermediary=a_party("FR")).outcome == Outcome.permit
    assert hop(a_rule(), ban, tls="terminated", intermediary=a_party("US")).outcome == Outcome.deny


def test_policy_naming_a_missing_pack_is_wrong_input() -> None:
    with pytest.raises(SitesError, match="no pack 'mars'"):
        Evaluator(a_policy(packs=["mars"]), packs(), WINDOW)


def test_same_name_with_other_facts_is_another_answer() -> None:
    european = a_rule("european", "require", compellableBy={"within": ["EU"]})
    evaluator = Evaluator(a_policy(a_rule(), european, packs=["law"]), packs(LAW), WINDOW)
    before, after = a_site(), a_site(operator=a_party("FR", a_party("US")))
    assert decide_stage(evaluator, a_label(), before, before).outcome == Outcome.permit
    assert decide_stage(evaluator, a_label(), after, before).outcome == Outcome.deny
