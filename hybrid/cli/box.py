"""`hybrid site status | keep-time | receipt`: what a box keeps in mind and says of itself; whose box a door opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundles.layout import Box
from hybrid.cli.console import TRUST_BROKEN, Output, OutputOption, emit, err, fail, next_step, out, table

if TYPE_CHECKING:
    from bundles.install import Standing
    from bundles.receipt import Evidence, Health, Receipt
    from bundles.recovery.order import RecoveryOrder
    from bundles.recovery.rebuilding import Damaged
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


def recover(
    order: Annotated[Path | None, typer.Argument(help="The sealed order that came from headquarters.")] = None,
    challenge: Annotated[
        Path | None, typer.Option("--challenge", help="Ask headquarters for an order: write a fresh challenge here.")
    ] = None,
    root: RootOption = ROOT,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Mend a box that lost its anti-rollback state: ask with --challenge FILE, then obey the order that answers it."""
    from bundles.recovery.obeying import damaged
    from bundles.trust.state import machine_id
    from hybrid.errors import InputError

    if (order is None) == (challenge is None):
        raise InputError("either an order or --challenge FILE", advice="hybrid site recover --challenge FILE")
    here = damaged(root, machine_id())
    if challenge is not None:
        _ask(here, challenge, dry_run, output)
    elif order is not None:
        _obey(here, order, dry_run, output)


def _ask(here: Damaged, file: Path, dry_run: bool, output: Output) -> None:
    from bundles.document import canonical, digest, plain
    from bundles.enrolment import grouped
    from bundles.recovery.obeying import challenge as ask
    from bundles.store import write_durably

    if dry_run:
        emit(output, {"floor": plain(here.floor), "done": False},
             lambda: out().print(f"would write a challenge to {file}", markup=False))  # fmt: skip
        return
    made = ask(here)
    write_durably(file, canonical(made))
    data = plain(made) | {"file": str(file), "digest": digest(canonical(made)), "done": True}
    lines = [f"challenge of {made.whom.box_id} ({made.why or 'its state is whole'}): {file}",
             f"digest {grouped(data['digest'].removeprefix('sha256:'))}"]  # fmt: skip
    emit(output, data, lambda: out().print("\n".join(lines), markup=False))
    next_step("bring it home and read its digest out by telephone; a later challenge ends this one")


def _obey(here: Damaged, file: Path, dry_run: bool, output: Output) -> None:
    from bundles.document import read
    from bundles.recovery.obeying import check, obey
    from bundles.recovery.order import SealedOrder
    from bundles.trust.clock import read_clock

    sealed = read(SealedOrder, file.read_bytes(), what=str(file))
    if dry_run:
        check(here, sealed)
        emit(output, {"done": False}, lambda: out().print("the order holds; it would be obeyed", markup=False))
        return
    let_the_service_read()
    state = obey(here, sealed, read_clock(), _log_here(here, sealed.order))
    data = {
        "boxId": state.box_id, "versions": state.versions, "minSecurityVersion": state.min_security_version,
        "release": state.installed.number if state.installed else None,
        "receipt": state.receipt.counter if state.receipt else 0, "evidence": state.log.size if state.log else 0,
        "sequence": state.sequence, "done": True,
    }  # fmt: skip
    emit(output, data, lambda: out().print(f"{state.box_id} remembers again; the order is used up", markup=False))
    next_step("hybrid site status; then hybrid site receipt --to DIR, for headquarters")


def _log_here(here: Damaged, order: RecoveryOrder) -> LogHead | None:
    """Return the head of the log as it lies here; one that does not hold is none where the order lets it begin anew."""
    from hybrid.errors import EvidenceError
    from hybrid.evidence.head import begun

    try:
        return begun(here.box, here.enrolment.site)
    except EvidenceError:
        if order.floor.log_size != 0:
            raise
        return None


def receipt(
    to: Annotated[
        Path | None, typer.Option("--to", help="Write every receipt of this box here too: a folder on the stick.")
    ] = None,
    root: RootOption = ROOT,
    output: OutputOption = Output.text,
) -> None:
    """Sign a receipt: who this box is, what serves, how far its evidence reaches. It goes home on the stick."""
    from bundles.document import plain
    from bundles.receipt import carry

    let_the_service_read()
    made = sign_receipt(root)
    written = carry(Box(root), to) if to else []
    serves = f"release {made.serving.release}" if made.serving else "nothing"
    line = f"receipt {made.counter} of {made.box_id}: {serves} serves, {made.at}"
    emit(output, plain(made) | {"written": [str(path) for path in written]}, lambda: out().print(line, markup=False))
    next_step("bring it home: hybrid receipt verify FILES --trust TRUST" if to else "hybrid site receipt --to DIR")


def sign_receipt(root: Path, health: Health = "unchecked", *, failed: str | None = None) -> Receipt:
    """Save time and log head, then sign the next receipt of the box under `root`."""
    from bundles.install import keep_time as keep
    from bundles.receipt import issue
    from hybrid.errors import EvidenceError

    here, head = standing_of(root), None
    evidence: Evidence = "holds"
    try:
        head = log_head(here)
    except EvidenceError as error:
        evidence = "broken"
        fail(str(error), advice=error.advice)
    keep(here, head)
    return issue(here, health, evidence=evidence, failed=failed)


@contextmanager
def receipted(root: Path, medium: Path, *, asked: bool) -> Iterator[list[str]]:
    """Leave a receipt of the install in the body: of what serves after it, or that the new release failed.

    The body adds the digest of the bundle to the list that it gets; `asked` says that the release is asked after the
    switch. A receipt that cannot be signed or written never undoes an install; it is said, and exit code and release
    stay.
    """
    from bundles.errors import BundleError
    from bundles.release import current_number

    seen: list[str] = []
    try:
        yield seen
    except BundleError as error:
        if error.code == "HEALTH":
            left: Health = "withdrawn" if current_number(Box(root)) is None else "rolled-back"
            leave_receipt(root, medium, left, failed=seen[-1])
        raise
    leave_receipt(root, medium, "serves" if asked else "unchecked")


def leave_receipt(root: Path, medium: Path, health: Health, *, failed: str | None = None) -> Path | None:
    """Sign a receipt and write the box's receipts beside the bundle on its stick, into `receipts/`; return that folder.

    None where nothing beside the bundle is on the stick (it is mounted itself), or where it takes nothing: the receipt
    is kept on the box all the same.
    """
    from bundles.errors import BundleError
    from bundles.receipt import carry

    beside = None if medium.is_mount() else medium.resolve().parent / "receipts"
    try:
        sign_receipt(root, health, failed=failed)
        if beside:
            carry(Box(root), beside)
    except (OSError, BundleError) as error:
        fail(f"no receipt on the medium: {error}", advice="hybrid site receipt --to DIR")
        return None
    return beside


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
