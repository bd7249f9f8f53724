"""`hybrid check`: verify a plan against its fleet with an evaluator of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import REFUSED, Output, OutputOption, emit, err, next_step, out, table
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.check import CheckResult

app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)

MOST_BYTES = 1 << 30
"""A plan larger than this is refused unread."""


@app.command()
def check(
    plan: Annotated[Path, typer.Argument(help="The plan.json, bare or in a DSSE envelope.")],
    fleet: Annotated[Path, typer.Argument(help="The directory of manifests that it was made from.")],
    output: OutputOption = Output.text,
) -> None:
    """Verify a plan against its fleet; exit 1 on findings, 2 when the plan is stale or cannot be read."""
    from placement.check import check as verify
    from placement.problem import KINDS
    from sites.fleet import read_fleet

    document, signed_by = read_plan(plan)
    result = verify(document, read_fleet(fleet, KINDS))
    signature = f"signatures by {', '.join(signed_by)}, not verified here" if signed_by else "unsigned"
    emit(output, {"plan": str(plan), "signature": signature, **result.to_json()}, lambda: show(result, signature))
    if not result.passed:
        next_step(f"mend the plan: hybrid plan {fleet} -o {plan}")
        raise typer.Exit(REFUSED)
    next_step(f"hybrid bundle build {fleet} {plan} --site SITE")


def read_plan(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a plan and the key ids of its envelope, none for a bare plan. Raises InputError."""
    import base64
    import binascii
    import json

    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES} bytes", advice="this is no plan.json")
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and "payload" in found and "signatures" in found:
            keys = tuple(str(signature.get("keyid", "a key without id")) for signature in found["signatures"])
            found = json.loads(base64.b64decode(found["payload"], validate=True))
            if isinstance(found, dict):
                return found, keys
    except (ValueError, RecursionError, binascii.Error, AttributeError, TypeError) as error:
        raise InputError(
            f"{path}: no JSON ({error})", advice="write the plan with `hybrid plan -o plan.json`"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object", advice="write the plan with `hybrid plan -o plan.json`")
    return found, ()


def show(result: CheckResult, signature: str) -> None:
    """Print a result for people: the findings first, then how far the check reaches."""
    from placement.check import INVARIANTS

    if result.findings:
        rows = ((f.code, f.workload or "-", f.subject, f.expected, f.found) for f in result.findings)
        table(f"{len(result.findings)} findings", ("code", "workload", "what", "expected", "found"), rows)
    console = out()
    console.print(f"checked: {' '.join(str(number) for number in result.checked)}", markup=False)
    console.print("not checked (not a pass):", markup=False)
    for number, reason in sorted(result.not_checked.items()):
        console.print(f"  {number:>2} {INVARIANTS[number].title} Missing: {reason}", markup=False)
    console.print(
        f"the plan is {signature}" if signature == "unsigned" else f"the plan bears {signature}", markup=False
    )
    verdict = "no findings: the plan holds" if result.passed else "the plan does not hold"
    err().print(verdict, style="green" if result.passed else "red", markup=False)
