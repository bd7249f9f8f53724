"""`hybrid site`: enrol a box, install a bundle, pass it on, look, roll back, serve. Runs from the edge lock alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli import box, hub, installing, receipting, recovering
from hybrid.cli import service as box_service
from hybrid.cli.box import ROOT, DryRun, RootOption, let_the_service_read, standing_of
from hybrid.cli.console import Output, OutputOption, emit, err, next_step, out

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="At the site: enrol, install, serve, roll back, look."
)

app.command()(installing.install)
app.command()(installing.clean)
app.command()(box_service.service)
app.command()(hub.hub)
app.command()(box.status)
app.command("keep-time")(box.keep_time)
app.command()(receipting.receipt)
app.command()(recovering.recover)


@app.command()
def enrol(
    seed: Annotated[Path, typer.Argument(help="The seed medium's folder.")],
    card: Annotated[
        str, typer.Option(help="The digest on the card that travelled separately, or a file that holds it.")
    ],
    demo: Annotated[
        bool, typer.Option("--demo", help="This box may trust demo keys. Never on a production box.")
    ] = False,
    root: RootOption = ROOT,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Make this box somebody, once: trust the seed's root, make the box's keys, write the request that travels home."""
    from bundles.enrolment import confirm, grouped
    from bundles.enrolment import enrol as make
    from bundles.gate import this_machine
    from bundles.layout import Box
    from bundles.seed import open_seed
    from bundles.trust.clock import read_clock
    from bundles.trust.state import machine_id

    let_the_service_read()
    opened = open_seed(seed)
    confirm(opened, _card(card))
    if dry_run:
        wanted = {"boxId": opened.site.box_id, "site": opened.site.site, "environment": opened.site.environment}
        line = f"would enrol {opened.site.box_id} ({opened.site.environment}) under {root}"
        emit(output, wanted | {"done": False}, lambda: out().print(line, markup=False))
        return
    done = make(
        Box(root),
        opened,
        card=_card(card),
        machine=this_machine(),
        machine_id=machine_id(),
        reading=read_clock(),
        demo=demo,
    )
    record = done.record
    data = {
        "site": record.site, "boxId": record.box_id, "jurisdiction": record.jurisdiction,
        "environment": record.environment, "arch": record.arch, "python": record.python, "glibc": record.glibc,
        "request": str(Box(root).request),
        "fingerprint": done.fingerprint, "clockSuspect": done.suspect,
    }  # fmt: skip
    lines = [f"{record.box_id} is enrolled for {record.site} ({record.jurisdiction}), {record.environment}",
             f"request     {Box(root).request}", f"fingerprint {grouped(done.fingerprint)}"]  # fmt: skip
    emit(output, data, lambda: out().print("\n".join(lines), markup=False))
    if done.suspect:
        err().print("the clock is far ahead of what the seed was signed at: it is not believed until a bundle shows it")
    next_step("bring the request home; headquarters asks you for the fingerprint by telephone")


@app.command()
def rollback(root: RootOption = ROOT, dry_run: DryRun = False, output: OutputOption = Output.text) -> None:
    """Let the previous release serve again, never one below the security floor or revoked."""
    from bundles.install import roll_back
    from bundles.release import current_number, previous

    here = standing_of(root)
    before = current_number(here.box)
    number = previous(here.box, here.state) if dry_run else roll_back(here).number
    data = {"before": before, "release": number, "done": not dry_run}
    verb = "would serve" if dry_run else "serves"
    emit(output, data, lambda: out().print(f"release {number} {verb} again (was {before})"))
    next_step(f"hybrid site serve --root {root}" if not dry_run else f"hybrid site rollback --root {root}")


@app.command()
def serve(
    root: RootOption = ROOT,
    host: Annotated[str, typer.Option(help="Address for callers.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port for callers; 0 takes a free one.")] = 8470,
    socket: Annotated[Path | None, typer.Option(help="A Unix socket for callers, instead of address and port.")] = None,
    hop_host: Annotated[str, typer.Option(help="Address for other gateways.")] = "0.0.0.0",
    hop_port: Annotated[int | None, typer.Option(help="Port for other gateways; none where there is no wire.")] = None,
    region: Annotated[
        Path | None, typer.Option(help="Run folder of a Ray Serve head that serves this site's pools.")
    ] = None,
) -> None:
    """Answer requests from the installed release, in the runtime that it brought."""
    from hybrid.carry.launch import hand_over

    if region is None:  # a region's head needs Ray, which no runtime of a bundle carries
        hand_over(root, _arguments(root, host, port, socket, hop_host, hop_port))
    from hybrid.gateway.service import serve as answer

    answer(root, host=host, port=port, socket=socket, hop_host=hop_host, hop_port=hop_port, region=region)


@app.command()
def credential(
    name: Annotated[str, typer.Argument(help="What the key is called, e.g. front-desk.")],
    pipeline: Annotated[list[str], typer.Option("--pipeline", help="A pipeline that it may ask for; repeat.")],
    floor: Annotated[
        list[str] | None, typer.Option("--floor", help="A data class that every request is labelled with; repeat.")
    ] = None,
    purpose: Annotated[
        list[str] | None, typer.Option("--purpose", help="A purpose it may ask for; without it, the pipeline's.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant it acts for.")] = "default",
    root: RootOption = ROOT,
    output: OutputOption = Output.text,
) -> None:
    """Issue an API key for callers at this site; it is printed once, and only its salted hash is kept."""
    from hybrid.gateway.credentials import issue

    key = issue(
        root, name, origin=standing_of(root).enrolment.site, pipelines=tuple(pipeline), tenant=tenant,
        purposes=tuple(purpose or ()), floor=tuple(floor or ()),
    )  # fmt: skip
    emit(output, {"name": name, "key": key}, lambda: out().print(key, markup=False))
    err().print("this key is shown once; a running gateway reads it at its next start")


def _arguments(root: Path, host: str, port: int, socket: Path | None, hop_host: str, hop_port: int | None) -> list[str]:
    """Return the words that say `serve` with these options to another runtime."""
    options = {"--root": root, "--host": host, "--port": port, "--socket": socket, "--hop-host": hop_host,
               "--hop-port": hop_port}  # fmt: skip
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    return ["site", "serve", *(word for pair in given for word in pair)]


_CARD_CAP = 65536


def _card(given: str) -> str:
    """Return the digest on a card: typed, with or without spaces, or the first one in a file."""
    file = Path(given)
    text = given
    if len(given) < 200 and file.is_file():
        with file.open("rb") as source:
            text = source.read(_CARD_CAP).decode(errors="replace")
    found = re.search(r"(?:[0-9a-fA-F]{8}\s*){8}", text)
    return found[0] if found else given
