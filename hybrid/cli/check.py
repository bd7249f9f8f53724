"""`hybrid check`: verify a plan against its fleet with an evaluator of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import REFUSED, Output, OutputOption, emit, err, next_step, out, progress, table
from hybrid.errors import InputError

if TYPE_CHECKING:
    from placement.check import CheckResult
    from placement.check.source import Data

app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)

MOST_BYTES = 1 << 32
"""A plan larger than this is refused unread."""

ENVELOPE = 4096
"""In so many first bytes an envelope shows that it is one."""


WORDS = ("that no plan costs less (bound, gap, engine)", "causes, their numbers, and repairs")
"""What a plan says beside what it decides: an explanation is asked for anew with `hybrid explain`."""


@app.command()
def check(
    plan: Annotated[Path, typer.Argument(help="The plan.json, bare or in a DSSE envelope.")],
    fleet: Annotated[Path, typer.Argument(help="The directory of manifests that it was made from.")],
    output: OutputOption = Output.text,
) -> None:
    """Verify a plan against its fleet; exit 1 on findings, 2 when the plan is stale or cannot be read."""
    from placement.check import DuplicateKeyError, check_bytes
    from placement.problem import KINDS
    from sites.fleet import read_fleet

    with opened(plan) as (data, signed_by):
        manifests = read_fleet(fleet, KINDS)
        with progress("checking", total=1.0) as advance:
            try:
                result = check_bytes(data, manifests, advance)
            except DuplicateKeyError as error:
                raise InputError(f"{plan}: {error}", advice="write the plan again with `hybrid plan`") from None
            except (ValueError, RecursionError) as error:
                raise no_json(plan, error) from None
    signature = f"signatures by {', '.join(signed_by)}, not verified here" if signed_by else "unsigned"
    told = {"plan": str(plan), "signature": signature, **result.to_json(), "notVerified": list(WORDS)}
    emit(output, told, lambda: show(result, signature))
    if not result.passed:
        next_step(f"mend the plan: hybrid plan {fleet} -o {plan}")
        raise typer.Exit(REFUSED)
    next_step(f"hybrid bundle build {fleet} {plan} --site SITE")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Data, tuple[str, ...]]]:
    """Open a plan's bytes, and the key ids of its envelope, none for a bare plan. Raises InputError.

    A bare plan stays where it is and is paged in as it is read; an envelope is decoded as a whole.
    """
    import mmap

    with path.open("rb") as file:
        if not 0 < path.stat().st_size <= MOST_BYTES:
            raise InputError(f"{path}: empty, or larger than {MOST_BYTES} bytes", advice="this is no plan.json")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if b'"payload"' in data[:ENVELOPE] or b'"signatures"' in data[:ENVELOPE]:
                yield from_envelope(path, bytes(data))
            else:
                yield data, ()


def from_envelope(path: Path, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return what an envelope holds and who signed it; of what is none, the bytes themselves. Raises InputError."""
    import base64

    from placement.check.source import parsed

    try:
        found = parsed(data)
        if not (isinstance(found, dict) and "payload" in found and "signatures" in found):
            return data, ()
        keys = tuple(str(signature.get("keyid", "a key without id")) for signature in found["signatures"])
        return base64.b64decode(found["payload"], validate=True), keys
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise no_json(path, error) from None


def no_json(path: Path, error: Exception) -> InputError:
    """Return the error that a file is no plan."""
    return InputError(f"{path}: no JSON ({error})", advice="write the plan with `hybrid plan -o plan.json`")


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
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"the planner's word, not verified: {', '.join(WORDS)}", markup=False)
    console.print(
        f"the plan is {signature}" if signature == "unsigned" else f"the plan bears {signature}", markup=False
    )
    verdict = "no findings: the plan holds" if result.passed else "the plan does not hold"
    err().print(verdict, style="green" if result.passed else "red", markup=False)
