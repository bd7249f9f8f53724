"""Installs at the site: the box's own trust and clock around verification, then stage, check, commit, switch.

The state is raised before the switch. A cut between the two leaves the old release serving and the same bundle
installable; a cut before changes nothing that serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bundles import release, retention
from bundles.document import unstamp
from bundles.enrolment import load_enrolment
from bundles.errors import BundleError, GateError
from bundles.estimate import Estimate
from bundles.layout import Box, delegation_paths
from bundles.lock import locked
from bundles.medium import Medium
from bundles.nouns import Enrolment, ReleaseRecord
from bundles.release import Check, Release
from bundles.retention import Cleaned
from bundles.store import write_durably
from bundles.trust.clock import EffectiveTime, Reading, effective_time, raised
from bundles.trust.expiry import Expiry, expiry_of
from bundles.trust.metadata import TrustedBundles
from bundles.trust.roots import drift_of
from bundles.trust.state import LogHead, State, StateCopies
from bundles.verification import Residency, Trust, VerifiedBundle, verify


@dataclass(frozen=True)
class Standing:
    """What a box knows and is at this moment."""

    box: Box
    enrolment: Enrolment
    state: State
    root: bytes
    time: EffectiveTime
    reading: Reading

    def expiry(self) -> Expiry:
        """Return how fresh the metadata of what is installed is."""
        roles = ("timestamp", "snapshot", "targets", *delegation_paths(self.enrolment.site))
        files = [self.box.trust / "metadata" / f"{role}.json" for role in roles]
        return expiry_of(self.root, [file for file in files if file.is_file()], self.time.now)

    def trust(self, residency: Residency | None = None) -> Trust:
        """Return what this box verifies a medium with."""
        return Trust(self.root, self.enrolment.environment, self.time.now, self.state, self.enrolment, residency)


@dataclass(frozen=True)
class Outcome:
    """What an install came to; `cleaned` is what was removed because nothing may serve it any more."""

    record: ReleaseRecord
    before: int | None
    checked: tuple[str, ...]
    time: EffectiveTime
    cleaned: Cleaned


def standing(root: Path, reading: Reading, machine: str) -> Standing:
    """Return where the box under `root` stands, its state judged.

    Raises:
        StateError: not enrolled, or its state is lost, zeroed, foreign or behind.
    """
    box = Box(root.resolve())
    enrolment = load_enrolment(box)
    newest = max(release.numbers(box), default=0)
    state = StateCopies(box).load(box_id=enrolment.box_id, machine=machine, installed=newest)
    trusted = box.trusted_root.read_bytes()
    floor_time = effective_time(reading, state.floor, _drift(trusted, enrolment, reading.rtc))
    return Standing(box, enrolment, state, trusted, floor_time, reading)


def _drift(root: bytes, enrolment: Enrolment, now: datetime) -> timedelta:
    return drift_of(TrustedBundles(root, now=now, environment=enrolment.environment).root)


def install(
    here: Standing, medium: Medium, *, residency: Residency | None = None, golden: Check | None = None,
    health: Check | None = None, advance: Callable[[float], None] | None = None,
    announce: Callable[[VerifiedBundle, Estimate], None] | None = None,
) -> Outcome:  # fmt: skip
    """Verify the bundle on `medium` and make it the release that serves.

    Args:
        residency: says why this plan may not stand here (residency at the door); None asks nobody.
        golden: checks of the staged release before the switch; a non-empty answer refuses it.
        health: checks after the switch; a non-empty answer rolls back.
        announce: called with the verified bundle and the estimate before anything is written.

    Raises:
        MediumError, TrustError, GateError, StateError, SpaceError: nothing that serves has changed.
    """
    box = here.box
    with locked(box):
        here = _again(here)
        bundle = verify(medium, here.trust(residency))
        if announce:
            announce(bundle, release.estimate(box, bundle))
        record = release.stage(box, bundle, here.time.now, advance)
        checked = _golden(release.candidate(box, record), golden)
        before = release.current_number(box)
        state = _commit(here, bundle)
        release.switch(box, record)
        checked += _health(box, state, health)
        return Outcome(record, before, checked, here.time, retention.clean_after_install(box))


def clean(here: Standing, *, dry_run: bool = False) -> Cleaned:
    """Remove every release but the one that serves, the one to go back to and the newest, with what only it needed."""
    with locked(here.box):
        return retention.clean(_again(here).box, dry_run=dry_run)


def keep_time(here: Standing, log: LogHead | None = None) -> State:
    """Save what the box knows of the time and of its log, so that neither a reboot nor a deletion makes it forget.

    Args:
        log: the head of the evidence log, verified against the one in the state; None leaves that as it is.

    Raises:
        GateError: an install runs; it saves the time itself.
    """
    with locked(here.box):
        here = _again(here)
        floor = raised(here.state.floor, here.reading, here.time, unstamp(here.state.floor.signed, what="floor"))
        heads = [head for head in (log, here.state.log) if head]  # another saving may have been quicker
        longest = max(heads, key=lambda head: head.size, default=None)
        known = {"floor": floor, "clock_suspect": here.time.suspect, "log": longest}
        return StateCopies(here.box).save(here.state.model_copy(update=known))


def roll_back(here: Standing) -> Release:
    """Let the locally recorded previous release serve again, never below the security floor.

    Raises:
        GateError: there is none that may.
    """
    with locked(here.box):
        return _back(here.box, _again(here).state)


def _again(here: Standing) -> Standing:
    """Return the standing as it is now that the lock is held: another install may have raised the state meanwhile."""
    return standing(here.box.root, here.reading, here.state.machine)


def _back(box: Box, state: State) -> Release:
    opened = release.open_release(box.root, release.previous(box, state))
    release.point(box, opened.number)
    return opened


def _golden(staged: Release, golden: Check | None) -> tuple[str, ...]:
    failures = tuple(golden(staged)) if golden else ()
    if failures:
        raise GateError("GOLDEN", f"release {staged.number} does not answer as it should: {'; '.join(failures)}",
                        advice="tell headquarters; this bundle does not work on this machine",
                        safe="what runs goes on running")  # fmt: skip
    return ("golden checks passed",) if golden else ()


def _commit(here: Standing, bundle: VerifiedBundle) -> State:
    """Raise root, floors and versions, everything having verified."""
    floor = raised(here.state.floor, here.reading, here.time, bundle.issued)
    drift = _drift(bundle.root, here.enrolment, here.time.now)
    suspect = effective_time(here.reading, floor, drift).suspect
    state = release.commit(here.box, bundle, here.state)
    write_durably(here.box.trusted_root, bundle.root)
    for name, data in bundle.metadata.items():
        write_durably(here.box.trust / "metadata" / name, data)
    return StateCopies(here.box).save(state.model_copy(update={"floor": floor, "clock_suspect": suspect}))


def _health(box: Box, state: State, health: Check | None) -> tuple[str, ...]:
    failures = health(release.open_release(box.root)) if health else ()
    if not failures:
        return ("it serves",) if health else ()
    why = f"the new release is not healthy: {'; '.join(failures)}"
    try:
        safe = f"release {_back(box, state).number} serves again"
    except BundleError as error:
        release.withdraw(box)
        why, safe = f"{why}; and {error}", "nothing serves now: no release may"
    raise GateError("HEALTH", why, advice="tell headquarters", safe=safe)
