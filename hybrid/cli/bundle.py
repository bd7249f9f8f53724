"""`hybrid bundle`: build, inspect and verify signed bundles."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli import inspecting
from hybrid.cli.console import Output, OutputOption, emit, next_step, out, progress, table
from hybrid.cli.custody import KeysOption, PassphraseOption, signers_from
from hybrid.cli.media import size_in

if TYPE_CHECKING:
    from bundles.assembly import Built, Cargo
    from bundles.nouns import PlanKey
    from bundles.trust.repository import Repository

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Build, inspect and verify signed bundles.")


@app.command()
def build(
    fleet: Annotated[Path, typer.Argument(help="The fleet's folder.")],
    plan: Annotated[Path, typer.Argument(help="The plan: plan.json.")],
    site: Annotated[str, typer.Option(help="The site the bundle is for.")],
    trust: Annotated[Path, typer.Option(help="The trust repository.")],
    to: Annotated[Path, typer.Option("-o", "--to", help="The bundle's folder, or FILE.tar; must not exist.")],
    models: Annotated[Path, typer.Option(help="The workshop: MODEL/VARIANT/FILE.")] = Path("build/models"),
    wheelhouse: Annotated[Path, typer.Option(help="The wheels of the edge lock.")] = Path("build/wheelhouse"),
    lock: Annotated[Path, typer.Option(help="The edge lock.")] = Path("locks/edge.txt"),
    own_wheel: Annotated[Path | None, typer.Option(help="Our own wheel; built here when it is not given.")] = None,
    runtime: Annotated[bool, typer.Option(help="Carry the runtime; without, the site keeps what it has.")] = True,
    request: Annotated[list[Path] | None, typer.Option(help="Enrolment requests to admit; repeat.")] = None,
    fingerprint: Annotated[list[str] | None, typer.Option(help="Their fingerprints, as read out by the sites.")] = None,
    revoke: Annotated[
        list[str] | None, typer.Option(help="Digest or key id that ends with this bundle; repeat.")
    ] = None,
    security_version: Annotated[int, typer.Option(min=0, help="Security version of this bundle.")] = 1,
    min_security_version: Annotated[int, typer.Option(min=0, help="Nothing below this serves again.")] = 0,
    delta_from: Annotated[
        Path | None, typer.Option(help="The folder of the bundle that the site has: carry only what differs from it.")
    ] = None,
    keep_full: Annotated[
        bool, typer.Option(help="With --delta-from: carry the full files too, for boxes that have another bundle.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(help="Cut it into parts for media of this size, e.g. 4GB: a folder for each.")
    ] = None,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would carry; write nothing.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Collect what PLAN places at a site, and build the bundle once every custodian has signed."""
    from bundles.trust.repository import Repository

    repository, size = Repository(trust), size_in(split) if split else None
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hybrid-build-")))
        wheels = _wheels(wheelhouse, lock, own_wheel, work) if runtime else []
        registry = _registry(repository, request or [], fingerprint or [], keep=not dry_run)
        cargo = _cargo(fleet, plan, site, models, wheels, registry, security_version=security_version,
                       min_security_version=min_security_version, revoked=tuple(sorted(revoke or ())),
                       base=delta_from, keep_full=keep_full)  # fmt: skip
        if dry_run:
            _show_cargo(cargo, output)
            return
        built = _assemble(cargo, repository, to, size, keys, passphrase_file)
    emit(output, _built(built, to), lambda: _print_built(built, to))
    _next(built, trust, to)
    if built.lacking:
        raise typer.Exit(1)


app.command()(inspecting.inspect)
app.command()(inspecting.verify)


def _wheels(wheelhouse: Path, lock: Path, own: Path | None, work: Path) -> list[Path]:
    from bundles.wheels import build_own, collect

    locked = collect(wheelhouse, lock)
    return [*locked, own or build_own(lock.resolve().parent.parent, work)]


def _registry(
    repository: Repository, requests: list[Path], fingerprints: list[str], *, keep: bool
) -> tuple[PlanKey, ...]:
    from bundles.admission import admit, admitted

    new = [admit(repository, file, fingerprints, keep=keep) for file in requests]
    found = {request.box_id: request for request in [*admitted(repository), *new]}
    return tuple(key for _, request in sorted(found.items()) for key in request.keys)


def _cargo(
    fleet: Path, plan: Path, site: str, models: Path, wheels: list[Path], keys: tuple[PlanKey, ...], **knobs: Any
) -> Cargo:
    from hybrid.carry.cargo import collect, read_plan
    from hybrid.gateway.compilation import compile_table
    from placement.problem import KINDS
    from sites.fleet import read_fleet

    read, digest = read_plan(plan)
    return collect(
        read_fleet(fleet, KINDS), read, digest, site, workshop=models, compile_table=compile_table, keys=keys,
        wheels=wheels, **knobs,
    )  # fmt: skip


def _assemble(
    cargo: Cargo, repository: Repository, to: Path, split: int | None, keys: Path | None, passphrase: Path | None
) -> Built:
    from bundles.assembly import assemble
    from bundles.packing import carried

    signers = signers_from(keys, passphrase) if keys else []
    total = sum(file.stat().st_size for file in [*cargo.files.values(), *cargo.wheels])
    with progress(f"building the bundle for {cargo.site}", total=total) as advance, carried(to, split) as folder:
        return assemble(
            cargo, repository, folder, issued=datetime.now(UTC).replace(microsecond=0), signers=signers, advance=advance
        )


def _show_cargo(cargo: Cargo, output: Output) -> None:
    sizes = {path: file.stat().st_size for path, file in sorted(cargo.files.items())}
    sizes |= {f"runtime/{wheel.name}": wheel.stat().st_size for wheel in cargo.wheels}
    data = {"site": cargo.site, "files": sizes, "bytes": sum(sizes.values()), "keys": [key.keyid for key in cargo.keys]}
    rows = [(path, f"{size:,}") for path, size in sizes.items()]
    emit(output, data, lambda: table(f"a bundle for {cargo.site} would carry", ("file", "bytes"), rows))


def _built(built: Built, to: Path) -> dict[str, Any]:
    return {
        "site": built.site, "number": built.number, "epoch": built.epoch, "bundleDigest": built.digest,
        "complete": not built.lacking, "lacking": dict(built.lacking), "bytes": built.size,
        "bundle": None if built.lacking else str(to),
    }  # fmt: skip


def _print_built(built: Built, to: Path) -> None:
    if built.lacking:
        rows = [(role, line) for role, lacks in sorted(built.lacking.items()) for line in lacks]
        table(f"bundle {built.number} for {built.site} waits for signatures", ("role", "lacks"), rows)
        return
    out().print(
        f"{to}: bundle {built.number} for {built.site}, epoch {built.epoch}, {built.size / 1e6:.1f} MB", markup=False
    )
    out().print(f"digest {built.digest}", markup=False)


def _next(built: Built, trust: Path, to: Path) -> None:
    if built.lacking:
        next_step(f"hybrid trust sign {trust} --keys DIR (or --request FILE), then the same build again")
    elif to.suffix == ".tar":
        next_step(f"copy {to} to a stick")
    elif any(to.glob("part-*")):
        next_step(f"copy each folder in {to} to a stick of its own; they may be put in in any order")
    else:
        next_step(f"copy {to} to a stick, or: hybrid deliver {to} --to {built.site}")
