"""Somebody near the box attacks its memory and its clock: it never forgets, and never runs far ahead."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.document import stamp, unstamp
from bundles.errors import StateError
from bundles.install import keep_time
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


def test_a_clock_walked_ahead_step_by_step(tmp_path: Path) -> None:
    """Ratchet: the clock is set 44 days ahead before each of ten installs and each saving of the time, to use the drift
    up again and again. It is used up once: after that the clock is suspected, and the box stays within the drift."""
    forge = BundleForge(tmp_path)
    box, stick = forge.box(), forge.build()
    box.clock = FakeClock()
    for step in range(1, 11):
        box.clock.now = START + timedelta(days=44 * step)
        box.install(stick)
        assert keep_time(box.standing()).clock_suspect == (step > 1)
        assert START <= box.standing().time.now <= START + DRIFT
    forge.clock.pass_(days=440)
    assert box.install(forge.build(forge.cargo(table={}))).time.suspect
    assert not box.standing().time.suspect
    assert box.standing().time.now == START + timedelta(days=440)


def test_what_a_box_ran_is_not_drift(box: ABox, bundle: Path) -> None:
    """A box that runs for a year with its time saved hourly is not suspected, and keeps the year over a dead clock."""
    box.install(bundle)
    for _ in range(12):
        box.clock.pass_(days=30)
        assert not keep_time(box.standing()).clock_suspect
    box.clock = FakeClock(now=START.replace(year=1970), boot="boot-2", uptime=5)
    assert box.standing().time.now == START + timedelta(days=360, seconds=5)


def test_being_switched_off_is_believed_up_to_the_drift_in_all(box: ABox, bundle: Path) -> None:
    """Each night off is the clock's word alone: between two signed times the drift is all of it."""
    box.install(bundle)
    for boot in range(1, 5):
        off = timedelta(days=20)
        box.clock = FakeClock(now=box.clock.now + off, boot=f"boot-{boot}", uptime=60)
        assert keep_time(box.standing()).clock_suspect == (boot > 2)


@pytest.mark.parametrize("year", [1970, 2036])
def test_a_clock_at_1970_and_ten_years_on(box: ABox, bundle: Path, year: int) -> None:
    """Somebody sets the clock: what was known of the time stays, the release stays, and saving does not move it."""
    box.install(bundle)
    box.clock.now = box.clock.now.replace(year=year)
    before = box.standing().time.now
    assert keep_time(box.standing()).clock_suspect == (year > 2030)
    assert before == box.standing().time.now == START
    assert open_release(box.root).number == 1


moments = st.integers(-3650, 3650).map(lambda days: START + timedelta(days=days))
spans = st.integers(0, 400).map(lambda days: timedelta(days=days))


@given(
    signed=moments, ran=spans, ahead=spans, rtc=moments, up=st.integers(0, 10**8), same=st.booleans(), issued=moments
)
def test_time_never_falls(signed, ran, ahead, rtc, up, same, issued) -> None:  # type: ignore[no-untyped-def]
    """Law: effective time is never below any floor, never more than the drift above what is shown, and floors rise."""
    shown = signed + ran
    local = shown + min(ahead, DRIFT)
    floor = Floor(signed=stamp(signed), shown=stamp(shown), local=stamp(local), uptime=1000, boot="a")
    reading = Reading(rtc, up, "a" if same else "b")
    found = effective_time(reading, floor, DRIFT)
    since = timedelta(seconds=max(0, up - 1000) if same else up)
    assert local + since <= found.now <= shown + since + DRIFT
    assert found.suspect == (rtc > shown + since + DRIFT)
    later = raised(floor, reading, found, issued)
    assert unstamp(later.signed, what="") == max(signed, issued)
    assert unstamp(later.shown, what="") == max(shown + since, issued)
    assert unstamp(later.local, what="") >= found.now


@given(steps=st.lists(st.tuples(moments, st.integers(0, 86400), st.booleans()), max_size=40))
def test_saving_never_widens_the_drift(steps: list[tuple[datetime, int, bool]]) -> None:
    """Law: whatever the clock says at however many savings, time is within what ran plus one drift."""
    reading = Reading(START, 10, "0")
    floor, ran = first_floor(reading, START), 0
    for number, (rtc, seconds, reboot) in enumerate(steps):
        ran += seconds
        reading = (
            Reading(rtc, seconds, f"boot-{number}") if reboot else Reading(rtc, reading.uptime + seconds, reading.boot)
        )
        found = effective_time(reading, floor, DRIFT)
        assert START + timedelta(seconds=ran) <= found.now <= START + timedelta(seconds=ran) + DRIFT
        floor = raised(floor, reading, found, START)


def test_a_reading_from_before_the_last_saving_counts_nothing_twice() -> None:
    """Two savings at once: the one that read the clock first saves last."""
    begin = Reading(START, 10, "a")
    late, early = Reading(START, 1010, "a"), Reading(START, 510, "a")
    floor = first_floor(begin, START)
    for reading in (late, early):
        floor = raised(floor, reading, effective_time(reading, floor, DRIFT), START)
    assert effective_time(late, floor, DRIFT).now == START + timedelta(seconds=1000)


def test_the_first_floor_is_what_the_seed_was_signed_at() -> None:
    reading = Reading(START + timedelta(days=3), 10, "a")
    assert effective_time(reading, first_floor(reading, START), DRIFT).now == reading.rtc
