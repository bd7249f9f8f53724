"""`hybrid audit`: does a site's evidence log hold, and its evidence bundle for those who check elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import TRUST_BROKEN, Output, OutputOption, emit, err, fail, next_step, out, table

if TYPE_CHECKING:
    from hybrid.evidence.audit import Audit

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Verify or export a site's evidence log.")

LogArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The log directory: evidence/ under the site's root.")]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", metavar="VKEY|FILE", help="The verifier key that must have signed; else the log's own."),
]


@app.command()
def verify(directory: LogArgument, key: KeyOption = None, output: OutputOption = Output.text) -> None:
    """Derive every leaf, root and signature again; name the first record that is wrong (exit 3)."""
    from hybrid.evidence.audit import verify_log

    audit = verify_log(directory, read_key(key))
    emit(output, to_json(audit), lambda: _print(audit))
    if not audit.holds:
        if output is Output.json:
            raise typer.Exit(TRUST_BROKEN)
        fail(audit.findings[0].problem, advice="keep the directory as it is; compare it with the site's last export")
        raise typer.Exit(TRUST_BROKEN)
    if audit.pinned is False:
        err().print("the key was the log's own: this proves that it is whole, not whose it is (--key)", style="dim")
    next_step(f"hybrid audit export {directory} -o evidence.tar")


@app.command()
def export(
    directory: LogArgument,
    to: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="A folder, or a file ending in .tar.")],
    key: KeyOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Write an evidence bundle: records without bodies or keys, proofs, checkpoints. Sending it needs a permit."""
    from hybrid.evidence import export as bundle

    done = bundle.export(directory, to, read_key(key))
    facts = {
        "path": str(done.path), "origin": done.origin, "records": done.size, "unsigned": done.unsigned,
        "digest": done.digest,
    }  # fmt: skip
    emit(output, facts, lambda: table("", ("evidence bundle", ""), facts.items()))
    next_step(f"hybrid report residency PLAN FLEET --evidence {to} -o report.html")


def read_key(key: str | None) -> str | None:
    """Return the verifier key given as text or as the path of a file that holds it."""
    if key is None or "+" in key:
        return key
    return Path(key).read_text(encoding="utf-8")


def to_json(audit: Audit) -> dict[str, object]:
    """Return an audit as JSON."""
    return {
        "origin": audit.origin, "verifierKey": audit.verifier_key, "pinned": audit.pinned, "holds": audit.holds,
        "records": audit.size, "signed": audit.signed, "unsigned": audit.unsigned, "checkpoints": audit.checkpoints,
        "from": audit.first.isoformat() if audit.first else None,
        "until": audit.last.isoformat() if audit.last else None,
        "kinds": audit.kinds, "erased": audit.erased,
        "findings": [{"index": finding.index, "problem": finding.problem} for finding in audit.findings],
    }  # fmt: skip


def _print(audit: Audit) -> None:
    span = f"{audit.first:%Y-%m-%d %H:%M} to {audit.last:%Y-%m-%d %H:%M} UTC" if audit.first else "nothing signed"
    rows = [
        ("log", audit.origin),
        ("records", f"{audit.size} ({audit.unsigned} not signed yet, {audit.erased} erased)"),
        ("checkpoints", f"{audit.checkpoints}, {span}"),
        ("kinds", ", ".join(f"{kind} {count}" for kind, count in audit.kinds.items()) or "none"),
        ("key", "as expected" if audit.pinned else "the log's own (not pinned)"),
    ]
    table("", ("evidence", ""), rows)
    if audit.holds:
        out().print("every leaf, root and signature holds", style="green")
    for finding in audit.findings:
        out().print(f"wrong: {finding.problem}", style="red", markup=False)
