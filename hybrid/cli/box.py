"""`hybrid site keep-time`: what a box keeps in mind, and whose box it is that the doors of `hybrid site` open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import TRUST_BROKEN, Output, OutputOption, emit, fail, out

if TYPE_CHECKING:
    from bundles.install import Standing
    from bundles.trust.state import LogHead

RootOption = Annotated[Path, typer.Option("--root", help="The box's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would change, change nothing.")]
ROOT = Path("/var/lib/hybrid")


def keep_time(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """Save what this box knows of the time and of its evidence log; root runs it hourly (exit 3: the log was cut)."""
    from bundles.document import stamp
    from bundles.install import keep_time as keep
    from hybrid.errors import EvidenceError

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
