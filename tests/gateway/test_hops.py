"""A pipeline across sites, over real TLS: what is permitted crosses, what is not stays, and the logs say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid.evidence.audit import verify_log
from hybrid.gateway.run import Hop, Returned
from tests.support.gateway import (
    MESSAGE,
    ORIGIN,
    OTHER,
    REGION,
    Generator,
    Station,
    World,
    a_world,
    chat,
    records,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as honest:
        yield honest


def served(body: dict) -> dict[str, str]:
    return {entry["stage"]: f"{entry['by']}@{entry['site']}" for entry in body["hybrid"]["served"]}


def flows(found: list[dict]) -> set[tuple[str, str, str, str]]:
    return {(r["flow"]["fromStage"], r["flow"]["toStage"], r["flow"]["from"], r["flow"]["to"]) for r in found}


def test_a_draft_comes_from_the_region_and_both_logs_hold_every_crossing(world: World) -> None:
    clinic = world.stations[ORIGIN]

    status, body = chat(clinic)

    assert status == 200
    assert served(body) == {"triage": f"triage@{ORIGIN}", "recall": f"recall@{ORIGIN}", "draft": f"draft@{REGION}"}
    assert body["choices"][0]["message"]["content"].startswith("assistant: Message: my chest hurts")
    over = {(name, "draft", ORIGIN, REGION) for name in ("input", "triage", "recall")}
    assert flows(clinic.records("intent")) == over
    assert flows(world.stations[REGION].records("decision")) == over
    assert flows(world.stations[REGION].records("intent")) == {("draft", "answer", REGION, ORIGIN)}
    assert {r["verdict"] for r in clinic.records("intent")} == {"permit"}
    sent = {r["jti"] for r in clinic.records("intent")}
    assert sent == {r["jti"] for r in world.stations[REGION].records("decision")}


def test_no_log_holds_a_word_of_the_message_and_both_verify(world: World) -> None:
    chat(world.stations[ORIGIN])

    roots = {site: world.stop(site) for site in (ORIGIN, REGION)}

    for root in roots.values():
        text = "".join(map(str, records(root)))
        assert not any(word in text for word in MESSAGE["text"].split() if len(word) > 2)
        assert verify_log(root / "evidence").findings == ()


def test_a_cut_link_falls_back_in_the_plans_order_and_an_intent_without_bytes_shows_it(world: World) -> None:
    clinic = world.stations[ORIGIN]
    world.stop(REGION)

    status, body = chat(clinic)

    assert (status, served(body)["draft"]) == (200, f"draft@{OTHER}")
    first, second = [r for r in clinic.records("outcome") if "peer" in r]
    assert (first["peer"], first["status"], first["bytes"]) == (REGION, 0, 0)
    assert (second["peer"], second["status"]) == (OTHER, 200)
    assert {r["flow"]["role"] for r in clinic.records("intent") if r["peer"] == OTHER} == {"fallback"}


def test_with_every_link_cut_the_clinic_quotes_its_own_documents(world: World) -> None:
    world.stop(REGION)
    world.stop(OTHER)

    status, body = chat(world.stations[ORIGIN])

    assert (status, served(body)["draft"]) == (200, f"quote@{ORIGIN}")
    assert "When the chest hurts, rest and call." in body["choices"][0]["message"]["content"]


def test_a_region_whose_engine_fails_is_passed_over(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("out of memory at 'my chest hurts'")

    with a_world(tmp_path, dc_paris=Generator(before=broken)) as world:
        status, body = chat(world.stations[ORIGIN])

        assert (status, served(body)["draft"]) == (200, f"draft@{OTHER}")
        failed = world.stations[REGION].records("outcome")
        assert [r["status"] for r in failed] == [503]
        assert "chest" not in str(failed)


def test_a_chain_over_three_sites_brings_its_answer_straight_home(world: World) -> None:
    """lyon -> paris -> marseille -> lyon: paris never sees what marseille wrote."""
    clinic = world.stations[ORIGIN]

    status, body = chat(clinic, "relay")

    assert status == 200
    assert served(body) == {"read": f"read@{REGION}", "write": f"write@{OTHER}"}
    assert body["choices"][0]["message"]["content"].startswith("writer: Message: reader: Message: my chest hurts")
    assert flows(clinic.records("intent")) == {("input", "read", ORIGIN, REGION)}
    assert flows(world.stations[REGION].records("intent")) == {("read", "write", REGION, OTHER)}
    assert flows(world.stations[OTHER].records("intent")) == {("write", "answer", OTHER, ORIGIN)}
    assert flows([r for r in clinic.records("decision") if "flow" in r]) == {("write", "answer", OTHER, ORIGIN)}


def test_a_gateway_with_a_full_log_sends_nothing(world: World) -> None:
    """The log's disk refuses; an intent cannot be kept; so no byte leaves and the caller gets 503."""
    clinic = world.stations[ORIGIN]
    before = len(world.stations[REGION].records())
    clinic.gateway.log._broken = OSError(5, "Input/output error")

    status, body = chat(clinic)

    assert (status, body["error"]["code"]) == (503, "evidence/full")
    assert len(world.stations[REGION].records()) == before
    clinic.gateway.log._broken = None


def test_a_suspect_clock_keeps_everything_at_home(world: World) -> None:
    clinic = world.stations[ORIGIN]
    assert clinic.gateway.transport is not None
    clinic.gateway.transport.suspect = lambda: True

    status, body = chat(clinic)

    assert (status, served(body)["draft"]) == (200, f"quote@{ORIGIN}")
    assert clinic.records("intent") == []
    assert world.stations[REGION].records("decision") == []


def test_a_region_with_a_suspect_clock_answers_nobody(world: World) -> None:
    """An answer leaves the site like a request does: the door between gateways is closed, and the caller goes on."""
    clinic, region = world.stations[ORIGIN], world.stations[REGION]
    region.gateway.suspect = lambda: True

    status, body = chat(clinic)

    assert (status, served(body)["draft"]) == (200, f"draft@{OTHER}")
    assert region.records("decision", "intent") == []
    assert {tuple(r["rules"]) for r in region.records("refusal")} == {("gateway/clock-suspect",)}


def test_intents_are_on_the_disk_before_the_region_sees_a_byte(tmp_path: Path) -> None:
    on_disk: list[int] = []
    stations: dict[str, Station] = {}

    def look() -> None:
        on_disk.append(stations[ORIGIN].gateway.log._synced)

    with a_world(tmp_path, dc_paris=Generator(before=look)) as world:
        stations.update(world.stations)
        chat(world.stations[ORIGIN])

        intents = world.stations[ORIGIN].records("intent")
        assert len(intents) == 3
        assert on_disk[0] > max(record["index"] for record in intents)


def test_a_region_under_another_epoch_is_passed_over_and_gets_no_byte(tmp_path: Path) -> None:
    """Its bundle is newer: 409, nothing leaves, and the next permitted target answers."""
    with a_world(tmp_path, start=(ORIGIN, OTHER)) as world:
        world.start(REGION, epoch=2)
        clinic = world.stations[ORIGIN]

        status, body = chat(clinic)

        assert (status, served(body)["draft"]) == (200, f"draft@{OTHER}")
        refused = next(r for r in clinic.records("outcome") if r.get("peer") == REGION)
        assert (refused["status"], refused["bytes"]) == (409, 0)
        assert [r["kind"] for r in world.stations[REGION].records()] == ["start", "refusal"]


def test_a_key_that_the_plan_revokes_stops_a_site_at_once(tmp_path: Path) -> None:
    """Lyon's passport key is revoked in the region's plan; Lyon falls back to itself and its data stays."""
    with a_world(tmp_path, start=(ORIGIN,)) as world:
        world.revoked = [k["keyid"] for k in world.keys if (k["site"], k["use"]) == (ORIGIN, "passport")]
        world.start(REGION)

        status, body = chat(world.stations[ORIGIN])

        assert (status, served(body)["draft"]) == (200, f"quote@{ORIGIN}")
        assert [r["rules"] for r in world.stations[REGION].records("refusal")] == [["passport/key"]]


@pytest.mark.parametrize(
    ("payloads", "ran", "by"),
    [
        (
            {"draft": {"text": "ok"}, "recall": {"text": "planted"}, "input": {"text": "planted"}},
            {"draft", "recall"},
            200,
        ),
        ({"draft": {"text": "ok"}}, {"draft", "no-such-stage"}, 200),
        ({}, {"draft"}, 503),
    ],
)
def test_a_region_can_only_give_back_what_flows_back(
    world: World, payloads: dict[str, Any], ran: set[str], by: int
) -> None:
    """A region gone wrong claims to have run what is not its own, and plants payloads that no flow brings back."""
    clinic = world.stations[ORIGIN]
    assert clinic.gateway.transport is not None

    async def lying(hop: Hop) -> Returned:
        return Returned(payloads, frozenset(ran))

    clinic.gateway.transport.send = lying  # type: ignore[method-assign]
    status, body = chat(clinic)

    assert status == by
    assert "planted" not in str(body)
    if status == 200:
        assert served(body) == {"triage": f"triage@{ORIGIN}", "recall": f"recall@{ORIGIN}", "draft": f"draft@{REGION}"}


def test_a_region_that_did_not_run_what_it_was_asked_is_passed_over(world: World) -> None:
    clinic = world.stations[ORIGIN]
    assert clinic.gateway.transport is not None

    async def idle(hop: Hop) -> Returned:
        return Returned({}, frozenset())

    clinic.gateway.transport.send = idle  # type: ignore[method-assign]
    status, body = chat(clinic)

    assert (status, served(body)["draft"]) == (200, f"quote@{ORIGIN}")
