"""`hybrid site recover`: a box that lost its memory asks headquarters, and obeys the order that answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.box import ROOT, DryRun, RootOption, let_the_service_read
from hybrid.cli.console import Output, OutputOption, emit, next_step, out

if TYPE_CHECKING:
    from bundles.recovery.order import RecoveryOrder
    from bundles.recovery.rebuilding import Damaged
    from bundles.trust.state import LogHead


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
    from bundles.carried import carried
    from bundles.recovery.obeying import check, obey
    from bundles.recovery.order import SealedOrder
    from bundles.trust.clock import read_clock

    sealed = carried(SealedOrder, file)
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
