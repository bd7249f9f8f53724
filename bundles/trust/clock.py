"""Computes the effective time: never before what was signed, never far after it.

A box at the end of no wire has a clock that anybody near it can set. So time = max(RTC, signed floor, local floor
advanced by uptime), and a clock ahead of that floor by more than the drift in root is ignored and suspected.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bundles.document import Noun, stamp, unstamp


@dataclass(frozen=True)
class Reading:
    """What the machine says: its clock (UTC), the seconds since boot, and which boot."""

    rtc: datetime
    uptime: int
    boot: str


class Floor(Noun):
    """What time it certainly is, as saved: the newest signed time, and the effective time of one reading."""

    signed: str
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
    local = unstamp(floor.local, what="floor")
    if reading.boot == floor.boot and reading.uptime > floor.uptime:
        local += timedelta(seconds=reading.uptime - floor.uptime)
    lowest = max(unstamp(floor.signed, what="floor"), local)
    if reading.rtc > lowest + drift:
        return EffectiveTime(lowest, suspect=True)
    return EffectiveTime(max(reading.rtc, lowest), suspect=False)


def raised(floor: Floor, reading: Reading, effective: EffectiveTime, issued: datetime) -> Floor:
    """Return the floor after everything verified: `issued` is the newest signed time; floors never fall."""
    signed = max(unstamp(floor.signed, what="floor"), issued)
    local = max(effective.now, signed)
    return Floor(signed=stamp(signed), local=stamp(local), uptime=reading.uptime, boot=reading.boot)


def first_floor(reading: Reading, issued: datetime) -> Floor:
    """Return the floor of a box that knows only the time signed on its seed medium."""
    return Floor(signed=stamp(issued), local=stamp(issued), uptime=reading.uptime, boot=reading.boot)


def read_clock() -> Reading:
    """Return the machine's own reading: RTC, seconds since boot (sleep included), boot id."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Reading(datetime.now(UTC).replace(microsecond=0), int(time.clock_gettime(time.CLOCK_BOOTTIME)), boot)
