"""`hybrid validate`: read a fleet and print every error, each with file, line, column, the line and a hint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import WRONG_INPUT, Output, OutputOption, emit, next_step, out

if TYPE_CHECKING:
    from sites.finding import Finding
    from sites.fleet import Fleet

app = typer.Typer(rich_markup_mode=None)


@app.command()
def validate(
    fleet: Annotated[Path, typer.Argument(help="Directory of manifests.")],
    output: OutputOption = Output.text,
) -> None:
    """Read every manifest of a fleet and say what is wrong, all at once; exit 2 when anything is."""
    from placement.problem import KINDS
    from placement.references import check_references
    from sites.fleet import ManifestError, read_fleet

    read: Fleet | None = None
    findings: tuple[Finding, ...] = ()
    try:
        read = read_fleet(fleet, KINDS)
        check_references(read)
    except ManifestError as error:
        findings = error.findings
    counts = {} if read is None else count(read)
    data = {
        "fleet": str(fleet),
        "valid": not findings,
        "manifests": counts,
        "findings": [f.to_json() for f in findings],
    }
    emit(output, data, lambda: show(fleet, counts, findings))
    if findings:
        raise typer.Exit(WRONG_INPUT)
    next_step(f"hybrid plan {fleet} -o plan.json")


def count(fleet: Fleet) -> dict[str, int]:
    """Return how many manifests of each kind a fleet holds, packs that it stands on included."""
    kinds = Counter(type(manifest.noun).__name__ for manifest in fleet.manifests)
    return {**dict(sorted(kinds.items())), "Pack": len(fleet.packs)}


def show(fleet: Path, counts: dict[str, int], findings: tuple[Finding, ...]) -> None:
    """Print the findings as people read them, or that there are none."""
    for found in findings:
        out().print(str(found), markup=False, no_wrap=True, crop=False, overflow="ignore")
    if findings:
        out().print(f"{len(findings)} error{'s' if len(findings) > 1 else ''} in {fleet}", markup=False)
        return
    out().print(f"{fleet} is valid: {', '.join(f'{number} {kind}' for kind, number in counts.items())}", markup=False)
