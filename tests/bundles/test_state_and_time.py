"""Somebody near the box attacks its memory and its clock: it never forgets, and never runs far ahead."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.document import stamp, unstamp
from bundles.errors import StateError
from bundles.release import open_release
from bundles.trust.clock import Floor, Reading, effective_time, first_floor, raised
from tests.support.bundles import START, ABox, BundleForge, FakeClock, Published, refused

COPIES = ("state-a.json", "state-b.json")
DRIFT = timedelta(days=45)


def bend(box: ABox, change: str) -> None:
    for name in COPIES:
        path = box.root / "trust" / name
        if change == "deleted":
            path.unlink()
        elif change == "zeroed":
            path.write_bytes(bytes(path.stat().st_size))
        elif change == "emptied":
            path.write_bytes(b"")
        else:
            path.write_bytes(path.read_bytes().replace(b'"sequence":', b'"sequence":9'))


@pytest.mark.parametrize("change", ["deleted", "zeroed", "emptied", "edited"])
def test_lost_state_refuses(box: ABox, bundle: Path, change: str) -> None:
    """A box whose memory was wiped would accept anything old: it refuses, and goes on serving what it has."""
    box.install(bundle)
    bend(box, change)
    refused(box, bundle, "STATE-LOST", StateError)
    assert open_release(box.root).number == 1


@pytest.mark.parametrize("name", COPIES)
def test_one_lost_copy_is_healed(box: ABox, bundle: Path, name: str) -> None:
    """A power cut may cost one copy; the other carries on, and the next install writes both again."""
    box.install(bundle)
    (box.root / "trust" / name).write_bytes(b"")
    box.install(bundle)
    assert (box.root / "trust" / COPIES[0]).read_bytes() == (box.root / "trust" / COPIES[1]).read_bytes()


def test_a_cloned_state_of_another_box(published: Published, box: ABox, bundle: Path, tmp_path: Path) -> None:
    """The state of a box that has seen less is copied over ours."""
    seed, card = published.forge.seed(boxId="clinic-jura-2")
    other = ABox(tmp_path / "other", FakeClock()).enrol(seed, card)
    box.install(bundle)
    for name in COPIES:
        shutil.copy(other.root / "trust" / name, box.root / "trust" / name)
    refused(box, bundle, "STATE-FOREIGN", StateError)


def test_a_cloned_disk_in_another_machine(box: ABox, bundle: Path) -> None:
    box.install(bundle)
    box.machine_id = "sha256:" + "6" * 64
    refused(box, bundle, "STATE-FOREIGN", StateError)


def test_our_own_older_state(tmp_path: Path) -> None:
    """Both copies are put back to what they were before the last install."""
    forge = BundleForge(tmp_path)
    box, old = forge.box(), forge.build()
    box.install(old)
    kept = {name: (box.root / "trust" / name).read_bytes() for name in COPIES}
    forge.clock.pass_(days=1)
    box.install(forge.build(forge.cargo(table={})))
    for name, data in kept.items():
        (box.root / "trust" / name).write_bytes(data)
    refused(box, old, "STATE-BEHIND", StateError)


def test_a_clock_far_ahead_is_suspected_and_ignored(published: Published, bundle: Path, tmp_path: Path) -> None:
    """A clock set years ahead would let everything expire: it is not believed, the bundle installs, the box says so."""
    box = published.box(tmp_path / "box")
    box.clock.now += timedelta(days=2000)
    outcome = box.install(bundle)
    assert outcome.time.suspect
    assert outcome.time.now == START + timedelta(seconds=0)


def test_a_clock_set_back_does_not_unexpire(tmp_path: Path) -> None:
    """Somebody turns the clock back to make an expired bundle valid: signed time is the floor."""
    forge = BundleForge(tmp_path)
    old = forge.build()
    box = forge.box()
    box.install(old)
    forge.clock.pass_(days=390)
    new = forge.build(forge.cargo(table={}))
    box.install(new)
    forge.clock.now = START
    assert box.standing().time.now == START + timedelta(days=390)


def test_a_dead_clock_still_takes_new_bundles(tmp_path: Path) -> None:
    """A box whose battery died believes it is 1970; what was signed since moves its time."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    box.clock = FakeClock(now=START.replace(year=1970), boot="boot-2", uptime=5)
    forge.clock.pass_(days=200)
    box.install(forge.build())
    assert box.standing().time.now >= START + timedelta(days=200)


moments = st.integers(-3650, 3650).map(lambda days: START + timedelta(days=days))


@given(signed=moments, local=moments, rtc=moments, up=st.integers(0, 10**8), same=st.booleans(), issued=moments)
def test_time_never_falls(signed, local, rtc, up, same, issued) -> None:  # type: ignore[no-untyped-def]
    """Law: effective time is never below any floor, never more than the drift above it, and floors only rise."""
    floor = Floor(signed=stamp(signed), local=stamp(local), uptime=1000, boot="a")
    reading = Reading(rtc, up, "a" if same else "b")
    found = effective_time(reading, floor, DRIFT)
    advanced = local + timedelta(seconds=max(0, up - 1000) if same else 0)
    assert max(signed, advanced) <= found.now <= max(signed, advanced) + DRIFT
    assert found.suspect == (rtc > max(signed, advanced) + DRIFT)
    later = raised(floor, reading, found, issued)
    assert unstamp(later.signed, what="") >= max(signed, issued)
    assert unstamp(later.local, what="") >= found.now


def test_the_first_floor_is_what_the_seed_was_signed_at() -> None:
    reading = Reading(START + timedelta(days=3), 10, "a")
    assert effective_time(reading, first_floor(reading, START), DRIFT).now == reading.rtc
