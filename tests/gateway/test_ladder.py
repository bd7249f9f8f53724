"""What needs two plans or several hops: overlap of epochs, revocation, passports handed on. Pure, without a wire."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid.gateway import passport as passports
from hybrid.gateway.compilation import compile_table
from hybrid.gateway.identity import key_id, read_identity
from hybrid.gateway.ladder import Accepted, Epoch, Receiver, Replays, climb
from hybrid.gateway.refusal import Refusal
from hybrid.gateway.registry import Registry
from hybrid.gateway.table import Table
from tests.support.gateway import ORIGIN, OTHER, REGION, World, a_health_group, a_plan, honest
from tests.support.sites import a_rule

NOW = dt.datetime.now(dt.UTC)
RELAY = f"relay@{ORIGIN}"


class Stations(World):
    """Sites with keys and a registry, and nothing that runs."""

    def __init__(self, base: Path) -> None:
        self.base, self.keys, self.doors = base, [], {}
        self.enrol(ORIGIN, REGION, OTHER)
        for door in self.doors.values():
            door.close()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Stations:
    return Stations(tmp_path_factory.mktemp("stations"))


def a_table(site: str, **changed: Any) -> Table:
    fleet, plan = honest()
    return Table.of(compile_table(plan, fleet, site) | changed)


def a_receiver(sites: Stations, site: str = OTHER, *, revoked: tuple[str, ...] = (), **fields: Any) -> Receiver:
    registry = Registry.of({"keys": sites.keys, "revoked": revoked})
    epochs = (Epoch(7, "plan-7", a_table(site)),)
    return replace(Receiver(site, registry, epochs, NOW - dt.timedelta(minutes=1)), **fields)


def a_token(sites: Stations, by: str, to: str, stage: str, carries: str, **fields: Any) -> str:
    key = read_identity(sites.base / by / "identity").passport
    facts = {
        "issuer": by, "keyId": key_id(key), "audience": {"site": to, "stages": [stage]}, "workload": RELAY,
        "origin": ORIGIN, "carries": [carries], "label": [], "purposes": [], "planDigest": "plan-7", "epoch": 7,
        "request": "cd" * 16, "hop": 1, "parent": None, "body": passports.digest(b""),
    }  # fmt: skip
    return passports.sign(passports.passport({**facts, **fields}, NOW), key)


def handed_on(sites: Stations, **fields: Any) -> tuple[str, str]:
    """Return (first, second) passports of the relay: lyon to paris, paris to marseille."""
    first = a_token(sites, ORIGIN, REGION, "read", "input")
    second = {"hop": 2, "parent": passports.digest(first.encode()), **fields}
    return first, a_token(sites, REGION, OTHER, "write", "read", **second)


def judge(
    sites: Stations, token: str, parents: tuple[str, ...], receiver: Receiver, peer: str = REGION
) -> Accepted | Refusal:
    certificate = next(k["keyid"] for k in sites.keys if (k["site"], k["use"]) == (peer, "tls"))
    return climb(token, parents, peer=certificate, now=NOW, receiver=receiver)


def rule(found: Accepted | Refusal) -> tuple[int, str]:
    assert isinstance(found, Refusal), "it was accepted"
    return found.status, found.rule


def test_an_honest_onward_hop_is_accepted(sites: Stations) -> None:
    first, second = handed_on(sites)

    found = judge(sites, second, (first,), a_receiver(sites))

    assert isinstance(found, Accepted)
    assert [placed.target.stage for placed in found.admitted.stages] == ["write"]


@pytest.mark.parametrize(
    "lie",
    [
        {"hop": 3},
        {"parent": "sha256:" + "0" * 64},
        {"parent": None},
        {"workload": f"patient-message@{ORIGIN}"},
        {"request": "ee" * 16},
        {"origin": REGION},
    ],
)
def test_a_hop_that_its_parent_does_not_lead_to_is_refused(sites: Stations, lie: dict[str, Any]) -> None:
    first, second = handed_on(sites, **lie)

    assert rule(judge(sites, second, (first,), a_receiver(sites))) == (403, "passport/parent")


def test_a_parent_that_was_meant_for_another_site_does_not_count(sites: Stations) -> None:
    stolen = a_token(sites, ORIGIN, OTHER, "read", "input")
    second = a_token(sites, REGION, OTHER, "write", "read", hop=2, parent=passports.digest(stolen.encode()))

    assert rule(judge(sites, second, (stolen,), a_receiver(sites))) == (403, "passport/parent")


def test_what_an_earlier_hop_claimed_still_counts(sites: Stations) -> None:
    """Lyon said more about the data than Paris passes on; Marseille hears Lyon."""
    first = a_token(sites, ORIGIN, REGION, "read", "input", label=[{"data": "user.biometric"}])
    second = a_token(sites, REGION, OTHER, "write", "read", hop=2, parent=passports.digest(first.encode()))

    assert rule(judge(sites, second, (first,), a_receiver(sites))) == (451, "residency:table/unknown-atom")


def an_overlap(**previous: Any) -> dict[str, Any]:
    """Return epochs: 8 is current, 7 the previous one, in an overlap of an hour."""
    fields = {"number": 7, "plan_digest": "plan-7", "table": a_table(OTHER), "until": NOW + dt.timedelta(hours=1)}
    return {"epochs": (Epoch(8, "plan-8", a_table(OTHER)), Epoch(**{**fields, **previous}))}


def test_the_previous_epoch_is_accepted_during_a_signed_overlap(sites: Stations) -> None:
    first, second = handed_on(sites)

    assert isinstance(judge(sites, second, (first,), a_receiver(sites, **an_overlap())), Accepted)


def test_after_the_overlap_the_previous_epoch_is_a_conflict(sites: Stations) -> None:
    first, second = handed_on(sites)
    over = an_overlap(until=NOW - dt.timedelta(seconds=1))

    assert rule(judge(sites, second, (first,), a_receiver(sites, **over))) == (409, "passport/epoch")


def test_a_revocation_ends_the_overlap_at_once(sites: Stations) -> None:
    first, second = handed_on(sites)
    receiver = a_receiver(sites, revoked=("plan-7",), **an_overlap())

    assert rule(judge(sites, second, (first,), receiver)) == (409, "passport/epoch")


def test_in_an_overlap_both_tables_must_permit_the_flow(sites: Stations) -> None:
    first, second = handed_on(sites, epoch=8, planDigest="plan-8")
    empty = an_overlap(table=a_table(OTHER, workloads={}))

    assert rule(judge(sites, second, (first,), a_receiver(sites, **empty))) == (451, "residency:table/no-flow")


def test_a_revoked_key_is_as_good_as_unknown(sites: Stations) -> None:
    first, second = handed_on(sites)
    key = next(k["keyid"] for k in sites.keys if (k["site"], k["use"]) == (REGION, "passport"))

    assert rule(judge(sites, second, (first,), a_receiver(sites, revoked=(key,)))) == (401, "passport/key")


def test_a_key_outside_its_window_is_as_good_as_unknown(sites: Stations) -> None:
    first, second = handed_on(sites)
    ended = [key | {"until": "2026-01-01T00:00:00Z"} if key["use"] == "passport" else key for key in sites.keys]
    receiver = a_receiver(sites, registry=Registry.of({"keys": ended}))

    assert rule(judge(sites, second, (first,), receiver)) == (401, "passport/key")


def test_the_memory_of_passports_forgets_what_could_not_be_used_again(sites: Stations) -> None:
    first, second = handed_on(sites)
    accepted = judge(sites, second, (first,), a_receiver(sites))
    assert isinstance(accepted, Accepted)
    memory = Replays()

    assert memory.once(accepted, NOW) is None
    assert memory.once(accepted, NOW + dt.timedelta(seconds=61)) is not None
    assert memory.once(accepted, NOW + dt.timedelta(seconds=63)) is None
    assert len(memory._until) == 1


def test_every_flipped_bit_of_a_token_is_refused(sites: Stations) -> None:
    first, second = handed_on(sites)
    receiver = a_receiver(sites)

    for position in range(0, len(second), 7):
        bent = second[:position] + chr(ord(second[position]) ^ 1) + second[position + 1 :]
        status, _ = rule(judge(sites, bent, (first,), receiver))
        assert status == 401


HEALTH = {
    "data": "user.health_and_medical", "law": ["FR"], "identifiability": "identified",
    "purposes": ["essential.service"],
}  # fmt: skip


def test_a_flow_is_judged_by_itself_and_not_only_the_stage_it_leads_to(sites: Stations) -> None:
    """Health data may be worked on in Marseille, and may not travel there; the plan only ever sent operations."""
    still = a_rule("health-stays-put", "prohibit", data=["user.health_and_medical"], activities=["transit"])
    fleet = a_health_group(a_rule(), still)
    table = Table.of(compile_table(a_plan(fleet), fleet, OTHER))
    receiver = a_receiver(sites, epochs=(Epoch(7, "plan-7", table),))
    first, second = handed_on(sites, label=[HEALTH])
    plain = handed_on(sites)

    assert isinstance(judge(sites, plain[1], (plain[0],), receiver), Accepted)
    assert rule(judge(sites, second, (first,), receiver)) == (451, "residency:org/health-stays-put")
