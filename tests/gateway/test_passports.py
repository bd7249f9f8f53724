"""One attack per test on the door between gateways: a valid hop, one deviation, the refusal, and what did not happen.

What must not happen is the same each time: the engine is not called, no body is read, and the log has the refusal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from hybrid.gateway import passport as passports
from hybrid.gateway.passport import HEADER
from hybrid.gateway.transport import PATH
from tests.support.gateway import (
    DRAFT,
    ORIGIN,
    OTHER,
    OVERSEAS,
    REGION,
    Generator,
    Sent,
    World,
    a_passport,
    a_world,
    raw,
    send,
    signed,
    wait_for,
)

ENGINE = Generator()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("world"), start=(ORIGIN, REGION), dc_paris=ENGINE) as honest:
        yield honest


class Watch:
    """What happened at the region since the test began."""

    def __init__(self, world: World) -> None:
        self.world, self.calls = world, ENGINE.seen
        self.before = len(self._records())

    def _records(self) -> list[dict[str, Any]]:
        return self.world.stations[REGION].records()

    def since(self, *kinds: str) -> list[dict[str, Any]]:
        return [record for record in self._records()[self.before :] if not kinds or record["kind"] in kinds]

    def refused(self, sent: Sent, status: int, rule: str) -> None:
        """Assert the refusal, that nothing was served, and that the log says so and says nothing else."""
        assert (sent.status, sent.rule) == (status, rule)
        assert ENGINE.seen == self.calls
        assert [r["kind"] for r in self.since()] == ["refusal"]
        assert (self.since()[0]["status"], self.since()[0]["rules"][0]) == (status, rule)


@pytest.fixture
def watch(world: World) -> Watch:
    return Watch(world)


def test_an_honest_hop_is_served(world: World, watch: Watch) -> None:
    sent = send(world, signed(world, a_passport(world)))

    assert (sent.status, sent.body["ran"], sent.left) == (200, ["draft"], len(DRAFT))
    assert ENGINE.seen == watch.calls + 1


def test_a_key_that_the_plan_does_not_know_opens_nothing(world: World, watch: Watch) -> None:
    """A foreign site makes its own keys; the signed registry has never heard of them."""
    foreign = World.__new__(World)
    foreign.base, foreign.keys, foreign.doors = world.base / "foreign", [], {}
    foreign.enrol(ORIGIN)
    foreign.doors[ORIGIN].close()
    fields = a_passport(world, keyId=next(k["keyid"] for k in foreign.keys if k["use"] == "passport"))
    token = signed(foreign, fields)

    sent = send(world, token)

    watch.refused(sent, 401, "passport/key")
    assert sent.left == 0
    assert "workload" not in watch.since()[0]


def test_a_passport_signed_by_another_admitted_site_is_refused(world: World, watch: Watch) -> None:
    fields = a_passport(world)
    sent = send(world, signed(world, fields, by=OTHER))

    watch.refused(sent, 401, "passport/signature")


def test_a_site_cannot_show_another_sites_certificate(world: World, watch: Watch) -> None:
    """Marseille is admitted to TLS, holds a passport stolen from Lyon, and is still not Lyon."""
    sent = send(world, signed(world, a_passport(world)), tls=OTHER)

    watch.refused(sent, 401, "passport/peer")
    assert sent.left == 0


@pytest.mark.parametrize("offset", [61.0, -5.0])
def test_an_expired_passport_and_one_from_the_future_are_refused(world: World, watch: Watch, offset: float) -> None:
    clock = world.stations[REGION].clock
    token = signed(world, a_passport(world))
    clock.offset = dt.timedelta(seconds=offset)
    try:
        sent = send(world, token)
    finally:
        clock.offset = dt.timedelta()

    watch.refused(sent, 401, "passport/time")
    assert sent.left == 0


def test_a_passport_older_than_the_gateway_is_refused_because_nobody_remembers_it(world: World, watch: Watch) -> None:
    watch.refused(send(world, signed(world, a_passport(world), age=59.0)), 401, "passport/before-start")


def test_a_passport_that_lives_too_long_is_refused(world: World, watch: Watch) -> None:
    sent = send(world, signed(world, a_passport(world), expires="2099-01-01T00:00:00.000Z"))

    watch.refused(sent, 401, "passport/lifetime")


def test_a_passport_works_once(world: World) -> None:
    token = signed(world, a_passport(world))
    assert send(world, token).status == 200
    watch = Watch(world)

    again = send(world, token)

    watch.refused(again, 401, "passport/replay")
    assert again.left == 0


def test_a_passport_for_another_site_is_refused(world: World, watch: Watch) -> None:
    sent = send(world, signed(world, a_passport(world, audience={"site": OTHER, "stages": ["draft"]})))

    watch.refused(sent, 403, "passport/audience")
    assert sent.left == 0


def test_a_foreign_epoch_is_a_conflict(world: World, watch: Watch) -> None:
    watch.refused(send(world, signed(world, a_passport(world, epoch=2))), 409, "passport/epoch")


def test_another_plan_under_the_same_epoch_is_a_conflict(world: World, watch: Watch) -> None:
    watch.refused(send(world, signed(world, a_passport(world, planDigest="sha256:x"))), 409, "passport/epoch")


def test_a_site_asserts_only_its_own_origin(world: World, watch: Watch) -> None:
    """Lyon says that a message was born in Nîmes, whose rules may be laxer, and has no passport of Nîmes to show."""
    fields = a_passport(world, origin="clinic-nimes", workload="patient-message@clinic-nimes")

    watch.refused(send(world, signed(world, fields)), 403, "passport/origin")


def test_a_hop_that_the_table_does_not_have_is_denied_with_the_rule_and_nothing_leaves(
    world: World, watch: Watch
) -> None:
    """The demo's attack: a genuine passport whose next hop is in nobody's plan."""
    sent = send(world, signed(world, a_passport(world, audience={"site": REGION, "stages": ["triage"]})))

    watch.refused(sent, 451, "residency:table/no-flow")
    assert sent.left == 0
    assert watch.since()[0]["flow"] == {"fromStage": "input", "toStage": "triage", "from": ORIGIN, "to": REGION}


def test_a_workload_that_the_region_does_not_serve_is_denied(world: World, watch: Watch) -> None:
    fields = a_passport(world, workload=f"log-triage@{ORIGIN}")

    watch.refused(send(world, signed(world, fields)), 451, "residency:table/no-flow")


def test_a_passport_cannot_carry_more_than_the_stage_asks_for(world: World, watch: Watch) -> None:
    fields = a_passport(world, carries=["input", "recall", "triage", "draft"])

    watch.refused(send(world, signed(world, fields)), 451, "residency:table/no-flow")


def test_a_claim_can_only_add(world: World, watch: Watch) -> None:
    """A passport that claims no atoms at all gets the table's label; one that adds an unknown atom is refused."""
    assert send(world, signed(world, a_passport(world, label=[]))).status == 200
    labels = [record["label"] for record in watch.since("decision")]
    assert all(any(atom["data"] == "user.health_and_medical" for atom in label) for label in labels[:1])
    watch = Watch(world)

    sent = send(world, signed(world, a_passport(world, label=[{"data": "user.biometric"}])))

    watch.refused(sent, 451, "residency:table/unknown-atom")
    assert sent.left == 0


def test_a_tampered_body_is_refused_before_it_is_parsed(world: World, watch: Watch) -> None:
    sent = send(world, signed(world, a_passport(world)), DRAFT.replace(b"urgent", b"secret"))

    watch.refused(sent, 403, "passport/body")


def test_a_body_with_other_payloads_than_the_passport_says_is_refused(world: World, watch: Watch) -> None:
    body = b'{"payloads":{"input":{"text":"x"}}}'

    watch.refused(send(world, signed(world, a_passport(world, body=body)), body), 403, "passport/carries")


@pytest.mark.parametrize("token", ["", "a.b", "sha256:00.e30.e30", "x" * 9000])
def test_no_passport_is_no_passport(world: World, watch: Watch, token: str) -> None:
    assert send(world, token).status == 401
    assert ENGINE.seen == watch.calls


def test_a_body_that_comes_unasked_with_a_bad_passport_is_a_breach(world: World, watch: Watch) -> None:
    """A gateway that does not wait has let data out that nobody agreed to take."""
    token = signed(world, a_passport(world, audience={"site": OTHER, "stages": ["draft"]}))

    sent = send(world, token, wait=False)

    assert (sent.status, sent.rule) == (403, "passport/audience")
    assert [r["kind"] for r in watch.since()] == ["refusal", "breach"]
    breach = watch.since("breach")[0]
    assert (breach["bytes"], breach["peer"], breach["reason"]) == (len(DRAFT), ORIGIN, "body-before-answer")


def test_an_onward_hop_needs_the_passport_that_brought_the_data(world: World, watch: Watch) -> None:
    parent = signed(world, a_passport(world))
    fields = a_passport(world, hop=2, parent=passports.digest(parent.encode()))

    watch.refused(send(world, signed(world, fields)), 403, "passport/parent")
    watch = Watch(world)
    watch.refused(send(world, signed(world, fields), parents=parent), 403, "passport/parent")


def test_a_site_that_is_not_in_the_registry_gets_no_tls(world: World, tmp_path: Any, watch: Watch) -> None:
    stranger = World.__new__(World)
    stranger.base, stranger.keys, stranger.doors = world.base / "strangers", [], {}
    stranger.enrol(OVERSEAS)
    stranger.doors[OVERSEAS].close()
    world_base, world.base = world.base, stranger.base
    try:
        with pytest.raises(Exception, match=r"(?i)ssl|certificate|disconnected|reset"):
            send(world, "x", tls=OVERSEAS)
    finally:
        world.base = world_base

    assert watch.since() == []


def test_a_body_sent_after_the_refusal_is_a_breach_too(world: World, watch: Watch) -> None:
    """The sender waits as it should, is refused, and sends the body all the same."""
    token = signed(world, a_passport(world, audience={"site": OTHER, "stages": ["draft"]}))
    fields = {"host": "x", HEADER: token, "content-length": str(len(DRAFT)), "expect": "100-continue"}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    with raw(world) as wire:
        wire.sendall("\r\n".join(lines).encode())
        assert wire.recv(65536).startswith(b"HTTP/1.1 403")
        wire.sendall(DRAFT)
        wait_for(lambda: len(watch.since("breach")) == 1)

    assert watch.since("breach")[0]["reason"] == "body-before-answer"
    assert ENGINE.seen == watch.calls


def test_a_caller_without_a_certificate_never_gets_as_far_as_http(world: World, watch: Watch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pems = world.stations[REGION].gateway.receiver.registry.certificates(dt.datetime.now(dt.UTC), site=REGION)
    context.load_verify_locations(cadata="\n".join(pems))
    address = ("127.0.0.1", world.stations[REGION].hop_port)
    answer = b""

    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timeout=10) as wire,
        context.wrap_socket(wire, server_hostname=REGION) as wrapped,
    ):
        wrapped.sendall(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = wrapped.recv(100)

    assert answer == b""
    assert watch.since() == []
