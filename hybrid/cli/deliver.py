"""`hybrid deliver`: carry a bundle to a site over SSH, continuing after a cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out, progress, table

if TYPE_CHECKING:
    from hybrid.delivery.delivery import Delivered, Work
    from hybrid.delivery.destination import Destination
    from hybrid.delivery.parcel import Parcel

app = typer.Typer(rich_markup_mode=None)


@app.command()
def deliver(
    bundle: Annotated[Path, typer.Argument(help="A bundle: an OCI-layout directory or one .tar.")],
    to: Annotated[
        str, typer.Option("--to", help="A site with a Host entry in your SSH config, or [user@]host[:port].")
    ],
    into: Annotated[str, typer.Option(help="Folder at the far end.")] = "/var/lib/hybrid/incoming",
    identity: Annotated[Path | None, typer.Option(help="Private key; default: ssh-agent, then ~/.ssh.")] = None,
    known_hosts: Annotated[Path | None, typer.Option(help="The only file of known host keys.")] = None,
    ssh_config: Annotated[Path | None, typer.Option(help="Default: ~/.ssh/config.")] = None,
    patience: Annotated[float, typer.Option(min=1, help="Seconds of silence before the link counts as lost.")] = 30.0,
    attempts: Annotated[int, typer.Option(min=1, max=100, help="Connections to try before giving up.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would travel; write nothing.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Carry BUNDLE to a site over SSH: strict host keys, resumable, digests checked where it arrives."""
    from hybrid.delivery.delivery import deliver as carry
    from hybrid.delivery.delivery import look
    from hybrid.delivery.destination import destination
    from hybrid.delivery.parcel import read_parcel

    where = destination(to, ssh_config=ssh_config, identity=identity, known_hosts=known_hosts)
    parcel = read_parcel(bundle)
    if dry_run:
        work, free = look(parcel, where, into, patience_s=patience)
        emit(output, _planned(work, free, parcel, where), lambda: _print_plan(work, free, where))
        return
    with progress(f"{parcel.name} → {where}", total=parcel.size) as advance:
        done = carry(parcel, where, into, patience_s=patience, attempts=attempts, advance=advance)
    emit(output, _done(done, parcel, where), lambda: _print_done(done, where))
    next_step(f"at the site: hybrid site install {done.target}")


def _planned(work: Work, free: int, parcel: Parcel, where: Destination) -> dict[str, Any]:
    return {
        "to": str(where), "folder": work.folder, "bytes": parcel.size, "toSend": work.to_send, "free": free,
        "unchanged": [item.name for item in work.unchanged],
        "missing": [{"name": item.name, "bytes": item.size, "startAt": start} for item, start in work.missing],
    }  # fmt: skip


def _done(done: Delivered, parcel: Parcel, where: Destination) -> dict[str, Any]:
    return {
        "to": str(where), "target": done.target, "bytes": parcel.size, "files": done.files, "unchanged": done.unchanged,
        "sentBytes": sum(sent.sent for sent in done.sent), "attempts": done.attempts, "seconds": round(done.seconds, 3),
        "sent": [{"name": s.name, "bytes": s.size, "sent": s.sent, "resumedAt": s.resumed_at} for s in done.sent],
    }  # fmt: skip


def _print_plan(work: Work, free: int, where: Destination) -> None:
    rows = [(_short(item.name), f"{item.size:,}", f"{start:,}") for item, start in work.missing]
    table(f"would travel to {where}:{work.folder}", ("file", "bytes", "already there"), rows)
    out().print(f"{work.to_send / 1e6:.1f} MB to send, {len(work.unchanged)} files unchanged, {free / 1e6:.0f} MB free")


def _print_done(done: Delivered, where: Destination) -> None:
    sent = sum(s.sent for s in done.sent)
    resumed = [s for s in done.sent if s.resumed_at]
    out().print(f"delivered to {where}:{done.target}", markup=False)
    out().print(
        f"{done.files} files, {done.unchanged} unchanged, {sent / 1e6:.1f} MB sent in {done.seconds:.1f} s "
        f"({sent / 1e6 / max(done.seconds, 1e-6):.1f} MB/s), every digest checked at the far end"
    )
    if resumed:
        there = sum(s.resumed_at for s in resumed) / 1e6
        out().print(
            f"continued {len(resumed)} files that an earlier attempt had begun: {there:.1f} MB were there already"
        )


def _short(name: str) -> str:
    head, _, tail = name.rpartition("/")
    return f"{head}/{tail[:12]}…" if len(tail) > 24 else name
