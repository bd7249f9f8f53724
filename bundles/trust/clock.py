"""Computes the effective time: never before what was signed, never far after it.

A box at the end of no wire has a clock that anybody near it can set. So time = max(RTC, signed floor, local floor
advanced by uptime), and a clock that is ahead of *what is shown* by more than the drift in root is ignored and
suspected. Shown is the newest signed time advanced by the seconds that this box ran since: never what a clock said
once. Measured against the local floor, which follows the clock, the drift could be used up again with every save, and
a clock be walked ten years on in steps of 44 days.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bundles.document import Noun, stamp, unstamp


@dataclass(frozen=True)
class Reading:
    """What the machine says: its clock (UTC), the seconds it ran since boot, and which boot."""

    rtc: datetime
    uptime: int
    boot: str


class Floor(Noun):
    """What time it certainly is, as saved at one reading.

    Attributes:
        signed: the newest signed time.
        shown: that time, advanced by what this box was seen to run since; only this decides whom to suspect.
        local: the latest effective time; it follows the clock, never further ahead of `shown` than the drift.
    """

    signed: str
    shown: str
    local: str
    uptime: int
    boot: str


@dataclass(frozen=True)
class EffectiveTime:
    """The time to judge by.

    Attributes:
        now: UTC.
        suspect: the machine's clock is ahead of what can be shown; egress is denied until newer metadata came.
    """

    now: datetime
    suspect: bool


def effective_time(reading: Reading, floor: Floor, drift: timedelta) -> EffectiveTime:
    """Return the effective time of `reading` above `floor`."""
    lowest = max(unstamp(floor.signed, what="floor"), unstamp(floor.local, what="floor") + _ran(reading, floor))
    if reading.rtc > shown_time(reading, floor) + drift:
        return EffectiveTime(lowest, suspect=True)
    return EffectiveTime(max(reading.rtc, lowest), suspect=False)


def shown_time(reading: Reading, floor: Floor) -> datetime:
    """Return the time that is shown: signed, and advanced by what ran since."""
    return unstamp(floor.shown, what="floor") + _ran(reading, floor)


def raised(floor: Floor, reading: Reading, effective: EffectiveTime, issued: datetime) -> Floor:
    """Return the floor after everything verified: `issued` is the newest signed time; floors never fall."""
    signed = max(unstamp(floor.signed, what="floor"), issued)
    shown = max(shown_time(reading, floor), signed)
    local = max(effective.now, shown)
    uptime = max(reading.uptime, floor.uptime) if reading.boot == floor.boot else reading.uptime
    return Floor(signed=stamp(signed), shown=stamp(shown), local=stamp(local), uptime=uptime, boot=reading.boot)


def first_floor(reading: Reading, issued: datetime) -> Floor:
    """Return the floor of a box that knows only the time signed on its seed medium."""
    signed = stamp(issued)
    return Floor(signed=signed, shown=signed, local=signed, uptime=reading.uptime, boot=reading.boot)


def read_clock() -> Reading:
    """Return the machine's own reading: RTC, seconds since boot, boot id.

    The seconds are those of the raw oscillator: a time server cannot slew them, and sleep, which the kernel measures
    by the very clock that is in doubt, is not among them.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Reading(datetime.now(UTC).replace(microsecond=0), int(time.clock_gettime(time.CLOCK_MONOTONIC_RAW)), boot)


def _ran(reading: Reading, floor: Floor) -> timedelta:
    """Return how long the box was seen to run since the floor was saved: another boot began after that."""
    since = floor.uptime if reading.boot == floor.boot else 0
    return timedelta(seconds=max(0, reading.uptime - since))
