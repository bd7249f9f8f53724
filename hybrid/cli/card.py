"""`hybrid trust card`: a site's seed medium, and the card that travels separately from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out

TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]


def card(
    trust: TrustArgument,
    seed: Annotated[Path, typer.Option("-o", "--seed", help="Where the seed medium is written.")],
    site: Annotated[str, typer.Option(help="The site the box is to serve.")],
    jurisdiction: Annotated[str, typer.Option(help="ISO 3166 code of the site, e.g. FR-69; as in its manifest.")],
    box: Annotated[str, typer.Option(help="The box's own name; default SITE-1.")] = "",
    wheelhouse: Annotated[Path | None, typer.Option(help="Wheels of the verifier, to set the box up offline.")] = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Write a site's seed medium and print the card that travels separately from it."""
    from bundles.document import stamp
    from bundles.nouns import SiteRecord
    from bundles.seed import write_seed
    from bundles.trust.repository import Repository
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
    wheels = sorted(wheelhouse.glob("*.whl")) if wheelhouse else []
    digest = write_seed(seed, repository.roots()[-1].read_bytes(), record, wheels)
    data = {"site": site, "boxId": record.box_id, "environment": record.environment, "seed": str(seed), "card": digest}
    emit(output, data, lambda: _print_card(record.box_id, digest))
    demo = " --demo" if record.environment == "demo" else ""
    next_step(f"at the box, from the seed's folder: hybrid site enrol {seed} --card {digest}{demo}")


def _print_card(box: str, digest: str) -> None:
    from bundles.enrolment import grouped

    lines = ["CARD: carry it separately from the seed medium", f"box    {box}",
             f"digest {grouped(digest.removeprefix('sha256:'))}", "Before anything on the medium runs, at the box:",
             "  sha256sum -c --strict SHA256SUMS && sha256sum SHA256SUMS"]  # fmt: skip
    for line in lines:
        out().print(line, markup=False)
