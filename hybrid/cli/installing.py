"""`hybrid site install` and `hybrid site clean`: what changes which release serves, and what leaves the disk."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.box import ROOT, DryRun, RootOption, let_the_service_read, standing_of
from hybrid.cli.console import Bar, Output, OutputOption, emit, err, next_step, out, progress
from hybrid.cli.media import asks_for
from hybrid.cli.receipting import receipted

if TYPE_CHECKING:
    from bundles.estimate import Estimate
    from bundles.install import Outcome
    from bundles.verification import VerifiedBundle


def install(
    medium: Annotated[
        str,
        typer.Argument(help="The bundle on the medium: its folder, .tar, or any part; or a hub, https://HOST:PORT/."),
    ],
    root: RootOption = ROOT,
    golden: Annotated[
        bool, typer.Option(help="Compare the staged release's answers with headquarters' before it serves.")
    ] = True,
    health: Annotated[
        bool, typer.Option(help="Start the new release and ask it; when it does not answer, go back.")
    ] = True,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Verify the bundle, copy it in, check it, and make it the release that serves, in one switch."""
    from bundles.install import install as put
    from bundles.medium import Medium
    from bundles.release import estimate
    from bundles.verification import verify
    from hybrid.carry import golden as answers
    from hybrid.carry import health as service
    from hybrid.carry.door import residency_at
    from hybrid.hub.calling import place_of

    let_the_service_read()
    here, place = standing_of(root), place_of(medium, root)
    residency = residency_at(here.time.now)
    with Medium(place, asks_for(place, root)) as opened:
        if dry_run:
            bundle = verify(opened, here.trust(residency))
            wanted = estimate(here.box, bundle)
            emit(output, _planned(bundle, wanted), lambda: _announce(bundle, wanted))
            return
        shown = sum(opened.survey().values())
        with progress("verifying and copying", total=shown) as advance, receipted(root, place, asked=health) as seen:
            done = put(
                here, opened, residency=residency, golden=answers.check if golden else None,
                health=service.check if health else None, advance=advance,
                announce=lambda bundle, wanted: _begin(bundle, wanted, output, seen, advance),
            )  # fmt: skip
    emit(output, _outcome(done), lambda: _print_outcome(done))
    next_step(f"hybrid site serve --root {root}")


def _begin(bundle: VerifiedBundle, wanted: Estimate, output: Output, seen: list[str], bar: Bar) -> None:
    seen.append(bundle.digest)
    bar.more(wanted.runtime_bytes)
    if output is Output.text:
        _announce(bundle, wanted)


def clean(root: RootOption = ROOT, dry_run: DryRun = False, output: OutputOption = Output.text) -> None:
    """Remove releases that serve nobody any more; what serves and what one may go back to stays."""
    from bundles.install import clean as sweep

    done = sweep(standing_of(root), dry_run=dry_run)
    data = {"releases": list(done.releases), "blobs": len(done.blobs), "runtimes": len(done.runtimes),
            "bytes": done.freed_bytes, "done": not dry_run}  # fmt: skip
    verb = "would remove" if dry_run else "removed"
    line = f"{verb} {len(done.releases)} releases, {len(done.blobs)} blobs, {len(done.runtimes)} runtimes: "
    emit(output, data, lambda: out().print(f"{line}{done.freed_bytes / 1e6:.1f} MB", markup=False))


def _planned(bundle: VerifiedBundle, wanted: Estimate) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "verified": True, "site": manifest.site, "number": manifest.number, "bundleDigest": bundle.digest,
        "epoch": manifest.epoch, "issued": manifest.issued, "newBlobs": wanted.new_blobs,
        "bytesToCopy": wanted.blobs_bytes, "bytesToUnpack": wanted.runtime_bytes, "bytesFree": wanted.free_bytes,
        "seconds": round(wanted.seconds), "mediumBytesPerSecond": round(wanted.medium_rate),
    }  # fmt: skip


def _announce(bundle: VerifiedBundle, wanted: Estimate) -> None:
    manifest = bundle.manifest
    rate = f", as the medium was just read at {wanted.medium_rate / 1e6:.0f} MB/s" if wanted.new_blobs else ""
    print(
        f"verified: bundle {manifest.number} for {manifest.site}, epoch {manifest.epoch}, signed {manifest.issued}\n"
        f"to copy {wanted.blobs_bytes / 1e6:.1f} MB, to unpack {wanted.runtime_bytes / 1e6:.1f} MB, "
        f"{wanted.free_bytes / 1e6:.0f} MB free; about {wanted.seconds:.0f} s{rate}",
        file=sys.stderr,
    )


def _outcome(done: Outcome) -> dict[str, Any]:
    record = done.record
    return {
        "release": record.number, "before": done.before, "bundleDigest": record.bundle_digest, "epoch": record.epoch,
        "written": record.written, "runtime": record.runtime, "files": sorted(record.files),
        "checked": list(done.checked), "clockSuspect": done.time.suspect, "cleaned": list(done.cleaned.releases),
    }  # fmt: skip


def _print_outcome(done: Outcome) -> None:
    record = done.record
    was = f"; release {done.before} stays to go back to" if done.before not in (None, record.number) else ""
    checked = f", {', '.join(done.checked)}" if done.checked else ""
    if done.cleaned.problem:
        err().print(f"what nobody needs could not be removed: {done.cleaned.problem}", markup=False)
    out().print(f"release {record.number} serves ({record.written / 1e6:.1f} MB written{checked}){was}", markup=False)
