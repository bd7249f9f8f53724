"""`hybrid site service`: a user, permissions and systemd's units for the service of a box, in one command."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.box import ROOT, DryRun, RootOption, let_the_service_read, standing_of
from hybrid.cli.console import Output, OutputOption, emit, next_step, out

SYSTEMD = Path("/etc/systemd/system")


def service(
    root: RootOption = ROOT,
    user: Annotated[str, typer.Option(help="The user that serves; made where there is none.")] = "hybrid",
    units: Annotated[Path, typer.Option(help="Where systemd's units are written.")] = SYSTEMD,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Let the box serve now and at every boot: a user of its own, what it may read and write, its systemd units."""
    from hybrid.carry import service as box_service

    let_the_service_read()
    here = standing_of(root).box.root
    command = Path(shutil.which("hybrid") or "/usr/local/bin/hybrid")
    if dry_run:
        texts = box_service.units(here, command, user)
        emit(output, {"done": False, "units": texts}, lambda: out().print("\n".join(texts.values()), markup=False))
        return
    changed = box_service.set_up(here, command, user, units)
    started = box_service.start(units)
    data = {"done": True, "user": user, "changed": changed, "started": started}
    verb = "serves now and at boot" if started else "is set up; systemd does not run here"
    emit(output, data, lambda: out().print(f"the service of {here} {verb}", markup=False))
    next_step("hybrid site credential NAME --pipeline PIPELINE, then: systemctl restart hybrid-site")
