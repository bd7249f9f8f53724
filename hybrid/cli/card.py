"""`hybrid trust card`: a site's seed medium, and the card that travels separately from it."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out

TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
SOURCE = Path(__file__).parents[2]


def card(
    trust: TrustArgument,
    seed: Annotated[Path, typer.Option("-o", "--seed", help="Where the seed medium is written.")],
    site: Annotated[str, typer.Option(help="The site the box is to serve.")],
    jurisdiction: Annotated[str, typer.Option(help="ISO 3166 code of the site, e.g. FR-69; as in its manifest.")],
    box: Annotated[str, typer.Option(help="The box's own name; default SITE-1.")] = "",
    wheelhouse: Annotated[
        Path | None, typer.Option(help="Wheels of the verifier, to set the box up offline; our own is built if absent.")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="Folder of Debian packages of Python 3.11, for a box that has none.")
    ] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the card as a page to print, too.")] = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Write a site's seed medium and print the card that travels separately from it."""
    from bundles.document import stamp
    from bundles.nouns import SiteRecord
    from bundles.seed import write_seed
    from bundles.trust.repository import Repository
    from hybrid.carry.card import lines_of, write_pdf
    from hybrid.errors import InputError

    repository = Repository(trust)
    if not repository.roots():
        raise InputError("the first root is not signed by every custodian yet", advice="hybrid trust sign TRUST")
    record = SiteRecord(
        site=site, jurisdiction=jurisdiction, box_id=box or f"{site}-1", issued=stamp(datetime.now(UTC)),
        environment=repository.record.environment,
    )  # fmt: skip
    if dry_run:
        out().print(f"would write a seed for {record.box_id} to {seed}", markup=False)
        return
    packages = _packages(python) if python else []
    with tempfile.TemporaryDirectory(prefix="hybrid-seed-") as work:
        wheels = _wheels(wheelhouse, Path(work)) if wheelhouse else []
        digest = write_seed(seed, repository.roots()[-1].read_bytes(), record, wheels, packages)
    if pdf:
        write_pdf(pdf, record, digest)
    data = {
        "site": site, "boxId": record.box_id, "environment": record.environment, "seed": str(seed), "card": digest,
        "pdf": str(pdf) if pdf else None, "wheels": len(wheels), "python": len(packages),
    }  # fmt: skip
    emit(output, data, lambda: out().print("\n".join(lines_of(record, digest)), markup=False))
    next_step(f"copy {seed} to a stick; send the card by another way")


def _wheels(wheelhouse: Path, work: Path) -> list[Path]:
    """Return the wheels of `wheelhouse` and our own, which is built where none is among them."""
    from bundles.wheels import build_own
    from hybrid.errors import InputError

    found = sorted(wheelhouse.glob("*.whl"))
    if not found:
        raise InputError(f"{wheelhouse} holds no wheels", advice="make build/wheelhouse/ready")
    own = [wheel for wheel in found if wheel.name.startswith("sovereign_hybrid-")]
    return found if own else [*found, build_own(SOURCE, work)]


def _packages(folder: Path) -> list[Path]:
    from hybrid.errors import InputError

    found = sorted(folder.glob("*.deb"))
    if not any(package.name.startswith("python3.11-minimal_") for package in found):
        raise InputError(f"{folder} holds no python3.11-minimal", advice="make build/python-x86_64/ready")
    return found
