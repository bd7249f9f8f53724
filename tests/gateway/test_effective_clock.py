"""What a gateway takes for the time, from the box whose release it serves, and when it does not start at all."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path

import pytest

from bundles.document import stamp
from bundles.errors import GateError
from bundles.install import keep_time
from bundles.trust.expiry import ExpiryPolicy
from bundles.trust.state import machine_id
from hybrid.gateway.clock import EffectiveClock, effective_clock
from tests.support.bundles import ABox, BundleForge, FakeClock

GRACE = ExpiryPolicy(policy="grace", grace_days=30)


def a_box(base: Path, *, ago: int, ran: int, policy: ExpiryPolicy | None = None) -> ABox:
    """Return a box that installed a bundle `ago` days ago on this machine, and was seen to run `ran` days since."""
    forge = BundleForge(base, FakeClock.here(ago=dt.timedelta(days=ago)))
    if policy:
        forge.repository.order_expiry(policy, forge.clock.now)
        forge.repository.sign(forge.signers())
        assert forge.repository.publish()
    seed, card = forge.seed()
    box = ABox(base / "box", forge.clock, machine_id()).enrol(seed, card)
    box.install(forge.build())
    for _ in range(ran):
        box.clock.pass_(days=1)
    keep_time(box.standing())
    return box


def clock_of(box: ABox) -> EffectiveClock:
    return effective_clock(box.root, {"issued": stamp(box.clock.now - dt.timedelta(days=1000))})


def test_a_clock_within_the_drift_is_believed(tmp_path: Path) -> None:
    clock = clock_of(a_box(tmp_path, ago=40, ran=0))
    assert not clock.suspect
    assert abs(clock() - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)
    assert clock.state is not None


def test_a_clock_ahead_of_what_is_shown_is_suspected(tmp_path: Path) -> None:
    """This machine says 60 days more than the box was shown: the gateway starts, at the time that is shown."""
    box = a_box(tmp_path, ago=60, ran=0)
    clock = clock_of(box)
    assert clock.suspect
    assert clock() < box.clock.now + dt.timedelta(minutes=5)


@pytest.mark.parametrize("copy", ["zeroed", "foreign"])
def test_without_its_memory_a_box_serves_at_home_alone(tmp_path: Path, copy: str) -> None:
    box = a_box(tmp_path, ago=1, ran=0)
    for path in (box.root / "trust").glob("state-*.json"):
        data = path.read_bytes()
        path.write_bytes(bytes(len(data)) if copy == "zeroed" else data.replace(b"clinic-jura-1", b"clinic-jura-2"))
    clock = clock_of(box)
    assert (clock.suspect, clock.state) == (True, None)


def test_a_release_whose_signatures_ran_out_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(GateError) as caught:
        clock_of(a_box(tmp_path, ago=410, ran=410))
    assert caught.value.code == "EXPIRED"


def test_under_grace_it_starts_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not clock_of(a_box(tmp_path, ago=410, ran=410, policy=GRACE)).suspect
    assert "ran out 10 days ago (policy: grace, 30 days)" in caplog.text
