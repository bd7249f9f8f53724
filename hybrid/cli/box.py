"""`hybrid site status | keep-time`: what a box keeps in mind, and whose box the doors of `hybrid site` open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import TRUST_BROKEN, Output, OutputOption, emit, err, fail, out, table

if TYPE_CHECKING:
    from bundles.install import Standing
    from bundles.release import Release
    from bundles.trust.state import LogHead

RootOption = Annotated[Path, typer.Option("--root", help="The box's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would change, change nothing.")]
ROOT = Path("/var/lib/hybrid")


def status(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """Show who this box is, what serves, what it could go back to, and whether clock, state and signatures hold."""
    from bundles.document import stamp
    from bundles.release import current_number, numbers, open_release

    here = standing_of(root)
    number = current_number(here.box)
    release = open_release(root) if number is not None else None
    state = here.state
    data: dict[str, Any] = {
        "site": here.enrolment.site, "boxId": here.enrolment.box_id, "environment": here.enrolment.environment,
        "release": number, "bundleDigest": release.bundle_digest if release else None,
        "epoch": release.epoch if release else None, "previous": release.record.previous if release else None,
        "releases": numbers(here.box), "effectiveTime": stamp(here.time.now), "clockSuspect": here.time.suspect,
        "minSecurityVersion": state.min_security_version, "stateSequence": state.sequence,
        "evidence": state.log.size if state.log else 0, "receipt": state.receipt.counter if state.receipt else 0,
        "runtime": release.record.runtime if release else None, "files": len(release.files) if release else 0,
    }  # fmt: skip
    data |= _freshness(here, release) if release else {}
    emit(output, data, lambda: table("", ("", ""), [(name, _shown(value)) for name, value in data.items()]))
    if release and (warning := here.expiry().warning):
        err().print(warning, style="yellow", markup=False)


def _freshness(here: Standing, release: Release) -> dict[str, Any]:
    """Return how long signatures and law let the release serve."""
    from bundles.document import stamp

    expiry = here.expiry()
    return {
        "expires": stamp(expiry.expires), "daysLeft": expiry.days_left, "expiry": expiry.verdict,
        "expiryPolicy": expiry.policy.policy, "graceDays": expiry.policy.grace_days,
        "excused": dict(release.record.expired), "planUntil": release.site_plan["table"].get("until"),
    }  # fmt: skip


def _shown(value: object) -> object:
    return "-" if value is None or value == {} else value


def keep_time(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """Save what this box knows of the time and of its evidence log; root runs it hourly (exit 3: the log was cut)."""
    from bundles.document import stamp
    from bundles.install import keep_time as keep
    from hybrid.errors import EvidenceError

    let_the_service_read()
    here = standing_of(root)
    head, problem = None, None
    try:
        head = log_head(here)
    except EvidenceError as error:
        problem = error
    state = keep(here, head)
    data: dict[str, Any] = {
        "effectiveTime": stamp(here.time.now), "clockSuspect": state.clock_suspect, "shownTime": state.floor.shown,
        "logSize": state.log.size if state.log else 0, "problem": str(problem) if problem else None,
    }  # fmt: skip
    line = f"{data['effectiveTime']}, {data['logSize']} records of evidence"
    emit(output, data, lambda: out().print(line, markup=False))
    if problem:
        fail(str(problem), advice=problem.advice)
        raise typer.Exit(TRUST_BROKEN)


def let_the_service_read() -> None:
    """Make what root writes from here on readable, whatever umask it came with: the service, under a user of its own,
    reads state, releases and store. Keys and challenges say a mode of their own.
    """
    os.umask(0o022)


def standing_of(root: Path) -> Standing:
    """Return where the box under `root` stands, by this machine's own clock and id."""
    from bundles.install import standing
    from bundles.trust.clock import read_clock
    from bundles.trust.state import machine_id

    return standing(root, read_clock(), machine_id())


def log_head(here: Standing) -> LogHead | None:
    """Return the head of the box's evidence log. Raises EvidenceError when the log does not continue the last one."""
    from hybrid.evidence.head import continued

    return continued(here)
