"""`hybrid site hub`: offer the bundle on a medium to the other boxes of this site, until Ctrl-C or for a while."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.box import ROOT, DryRun, RootOption, standing_of
from hybrid.cli.console import Output, OutputOption, emit, err, next_step, out, progress
from hybrid.cli.media import size_in
from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.verification import VerifiedBundle
    from hybrid.hub.application import Application
    from hybrid.hub.offer import Guests, Offered

SLOWEST = 10**6
"""Bytes a second in all; what each of many boxes gets of less is what they take for a hub that hangs."""


def hub(
    medium: Annotated[Path, typer.Argument(help="The bundle on the medium: its folder, .tar, or any part.")],
    listen: Annotated[str, typer.Option(help="This box's address in the site's network, as ADDRESS or ADDRESS:PORT.")],
    plain: Annotated[
        bool, typer.Option("--plain", help="HTTP without TLS: anybody on this network may read the bundle.")
    ] = False,
    minutes: Annotated[int, typer.Option(min=1, max=10080, help="Stop after so long.")] = 480,
    rate: Annotated[str, typer.Option(help="Bytes a second that leave in all, e.g. 20MB.")] = "100MB",
    root: RootOption = ROOT,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Verify the bundle, every byte of it, then let the other boxes of this site install from it over the network.

    They verify it all over again: a hub is believed no more than a stick. It serves from the medium, which stays in.
    """
    from bundles.medium import Medium
    from bundles.verification import verify
    from hybrid.carry.door import residency_at
    from hybrid.hub.offer import Guests, Offered

    host, port = _listening(listen)
    if (bytes_a_second := size_in(rate)) < SLOWEST:
        raise InputError(f"--rate {rate} is too slow for boxes to wait for", advice="at least 1MB")
    here = standing_of(root)
    with Medium(medium) as opened:
        bundle = verify(opened, here.trust(residency_at(here.time.now)))
        with progress("hashing every blob", total=sum(opened.at_hand.values())) as advance:
            bundle.check_blobs(advance)
        offered, guests = Offered.of(bundle), None if plain else Guests.of(bundle, here.time.now)
        data = _data(bundle, offered, guests, minutes) | {"done": not dry_run}
        if dry_run:
            emit(output, data, lambda: out().print(f"would offer {_said(data)}", markup=False))
            return
        _serve(here.box.identity, offered, guests, (host, port), minutes, bytes_a_second, data, output)


def _serve(
    identity: Path, offered: Offered, guests: Guests | None, at: tuple[str, int], minutes: int, rate: int,
    data: dict[str, Any], output: Output,
) -> None:  # fmt: skip
    from hybrid.gateway.listening import listen
    from hybrid.hub.application import Application
    from hybrid.hub.privilege import dropped
    from hybrid.hub.service import run

    tls = guests.context(identity) if guests else None
    application = Application(offered, guests.digests if guests else None, rate=rate)
    bound = listen(*at)
    host, port = bound.getsockname()[:2]
    data |= {"address": f"{'https' if guests else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"}
    data["root"] = not dropped(offered.touch)
    if data["root"]:
        err().print("only root may read the medium or this program, so the hub stays root", style="yellow")
    if guests is None:
        err().print("without TLS: anybody on this network may read the bundle; nobody can change it", style="yellow")

    def ready() -> None:
        emit(output, data, lambda: out().print(f"{data['address']} offers {_said(data)}", markup=False))
        out().file.flush()
        next_step(f"at each other box: hybrid site install {data['address']}   (Ctrl-C here ends it)")

    run(application, bound, tls=tls, seconds=minutes * 60, ready=ready)
    _sent(application)


def _sent(application: Application) -> None:
    """Say, on stderr, what was sent to whom."""
    for address, size in sorted(application.sent.items()):
        err().print(f"sent {size / 1e6:.1f} MB to {address}", markup=False)
    err().print("the hub is closed", markup=False)


def _data(bundle: VerifiedBundle, offered: Offered, guests: Guests | None, minutes: int) -> dict[str, Any]:
    part = offered.medium.part
    return {
        "site": bundle.manifest.site, "number": bundle.manifest.number, "bundleDigest": bundle.digest,
        "files": len(offered.files), "bytes": sum(offered.blobs.values()),
        "part": part.part if part else None, "parts": part.count if part else None,
        "guests": None if guests is None else sorted(guests.digests), "minutes": minutes,
    }  # fmt: skip


def _said(data: dict[str, Any]) -> str:
    whom = "anybody on this network" if data["guests"] is None else f"{len(data['guests'])} boxes of {data['site']}"
    part = f", part {data['part']} of {data['parts']}" if data["part"] else ""
    size = f"{data['bytes'] / 1e6:.1f} MB"
    return f"bundle {data['number']} for {data['site']}{part} ({size}) to {whom} for {data['minutes']} minutes"


def _listening(text: str) -> tuple[str, int]:
    from hybrid.hub.calling import PORT

    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (host.count(":") and not host.endswith("]")):
        host, port = text, str(PORT)
    if not host.strip("[]") or not port.isdigit() or not 0 <= int(port) < 65536:
        raise InputError(f"--listen {text!r} is no address", advice="for example --listen 10.0.0.5:8480")
    return host.strip("[]"), int(port)
