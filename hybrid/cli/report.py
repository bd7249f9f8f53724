"""`hybrid report`: write the residency report from plan, fleet and evidence, and check one that somebody gave you."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import REFUSED, TRUST_BROKEN, Output, OutputOption, emit, fail, next_step, out, table
from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.ledger import Judged
    from hybrid.evidence.reconciliation import Period
    from placement.plan import Plan

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Write and verify residency reports.")

PinOption = Annotated[
    list[str],
    typer.Option(
        "--key",
        metavar="SITE=VKEY|FILE|PLAN.json",
        help="A site's log key, or a signed site plan's registry; repeatable.",
    ),
]
DayOption = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD")]


@app.command()
def residency(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="plan.json")],
    fleet: Annotated[Path, typer.Argument(metavar="FLEET", help="The manifests that the plan was made from.")],
    to: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The HTML file to write.")],
    evidence: Annotated[
        list[Path] | None,
        typer.Option("--evidence", metavar="DIR|TAR", help="A log directory or an evidence bundle; repeatable."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The same report as JSON.")] = None,
    receipts: Annotated[
        Path | None, typer.Option("--receipts", metavar="TRUST", help="The trust repository that kept the receipts.")
    ] = None,
    since: DayOption = None,
    until: DayOption = None,
    key: PinOption = [],  # noqa: B006
    output: OutputOption = Output.text,
) -> None:
    """Reconcile plan and logs and write one HTML file; exit 1 when there is a breach, 3 when evidence does not verify.

    The period is the plan's, up to today, unless --since and --until say otherwise.
    """
    from hybrid.evidence import page
    from hybrid.evidence.report import build
    from hybrid.evidence.sources import read_sources
    from placement.plan_reading import check_fresh, read_plan
    from placement.problem import read_problem

    read = read_plan(plan)
    problem = read_problem(fleet, read.since, read.until)
    check_fresh(read, problem.digests)
    made = dt.datetime.now(dt.UTC)
    sources = read_sources(evidence or [], read_pins(key))
    period = _period(read, since, until, made.date())
    report = build(read.to_json(), _digest(plan), problem, sources, period, made, _receipts(receipts))
    _write(to, page.render(report))
    if json_file is not None:
        _write(json_file, page.to_json(report))
    emit(output, report, lambda: _print(report, to))
    if json_file is not None:
        bundles = " ".join(str(path) for path in evidence or []) or "EVIDENCE…"
        next_step(f"hybrid report verify {json_file} {bundles} --plan {plan}")
    if report["verdict"]["outcome"] in ("breach", "untrusted"):
        raise typer.Exit(REFUSED if report["verdict"]["outcome"] == "breach" else TRUST_BROKEN)


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The report's JSON.")],
    evidence: Annotated[list[Path], typer.Argument(metavar="EVIDENCE…", help="Bundles, folders of them, or logs.")],
    plan: Annotated[Path | None, typer.Option("--plan", metavar="PLAN", help="plan.json, to compare with.")] = None,
    key: PinOption = [],  # noqa: B006
    output: OutputOption = Output.text,
) -> None:
    """Derive signatures, proofs, counts and verdict again (exit 3 when anything does not hold).

    The work is done by hybrid/evidence/verifier.py, which also runs alone: python verifier.py REPORT EVIDENCE…
    """
    import tempfile

    from hybrid.evidence import verifier

    with tempfile.TemporaryDirectory(prefix="hybrid-evidence-") as scratch:
        bundles = [_as_bundle(path, Path(scratch) / f"{at}.tar") for at, path in enumerate(evidence)]
        try:
            done = verifier.verify(report, bundles, read_pins(key), plan)
        except ValueError as error:
            raise InputError(
                f"{report}: this is no report: {error}", advice="give the file that --json wrote"
            ) from error
    for at, path in enumerate(evidence):
        for check in done["checks"]:
            check["what"] = check["what"].replace(str(bundles[at]), str(path))
    emit(output, done, lambda: table("", ("", "checked"), [_row(check) for check in done["checks"]]))
    if not done["holds"]:
        wrong = next(check for check in done["checks"] if check["wrong"])
        fail(f"{wrong['what']}: {wrong['wrong']}", advice="do not rely on this report; ask for the evidence again")
        raise typer.Exit(TRUST_BROKEN)
    if output is Output.text:
        out().print(f"the report's verdict is {done['verdict']}, and all of it holds", markup=False)


def read_pins(keys: list[str]) -> dict[str, str]:
    """Return verifier keys by site. Raises InputError for what is neither SITE=VKEY, SITE=FILE nor a site plan."""
    pins: dict[str, str] = {}
    for pin in keys:
        site, equals, text = pin.partition("=")
        if pin.endswith(".json"):
            pins |= _registry(Path(pin))
        elif equals:
            pins[site] = text if "+" in text else Path(text).read_text(encoding="utf-8").strip()
        else:
            raise InputError(f"--key {pin}: expected SITE=VKEY, SITE=FILE, or a site plan ending in .json")
    return pins


def _registry(path: Path) -> dict[str, str]:
    import json

    from hybrid.evidence.sources import pins_of

    try:
        return pins_of(json.loads(path.read_bytes()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no site plan with a registry of keys ({type(error).__name__}: {error})") from error


def _as_bundle(path: Path, scratch: Path) -> Path:
    """Return `path`, or the bundle of it when it is a log directory at hand."""
    from hybrid.evidence.export import export
    from hybrid.evidence.recovery import VERIFIER_KEY

    if not (path / VERIFIER_KEY).is_file():
        return path
    return export(path, scratch).path


def _period(plan: Plan, since: str | None, until: str | None, today: dt.date) -> Period:
    from hybrid.evidence.reconciliation import Period

    try:
        first = dt.date.fromisoformat(since) if since else plan.since
        last = dt.date.fromisoformat(until) if until else max(first, min(plan.until, today))
    except ValueError as error:
        raise InputError(f"--since and --until are days such as 2026-12-01: {error}") from error
    if last < first:
        raise InputError(f"a period from {first} to {last} has no day", advice="give --until a later day than --since")
    return Period(first, last)


def _receipts(trust: Path | None) -> Judged | None:
    from bundles.ledger import judge, kept
    from hybrid.cli.receipt import known

    return None if trust is None else judge(kept(trust), *known(trust, None))


def _digest(path: Path) -> str:
    from hashlib import sha256

    return "sha256:" + sha256(path.read_bytes()).hexdigest()


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _row(check: dict[str, str]) -> tuple[str, str]:
    return ("WRONG", f"{check['what']}: {check['wrong']}") if check["wrong"] else ("holds", check["what"])


def _print(report: dict[str, Any], to: Path) -> None:
    rows = [
        ("verdict", f"{report['verdict']['outcome']}: {report['verdict']['sentence']}"),
        ("period", f"{report['period']['from']} to {report['period']['until']}"),
        ("coverage", f"{report['coverage']['days']} of {report['coverage']['of']} site-days, gateway only"),
        ("flows", f"{len(report['flows'])}, of which {sum(f['state'] == 'seen' for f in report['flows'])} seen"),
        ("refused", ", ".join(f"{n} × {status}" for status, n in report["refused"].items()) or "none recorded"),
        *([("receipts", _receipts_line(report["receipts"]))] if report["receipts"] else []),
        ("silent", ", ".join(report["gaps"]["silent"]) or "none"),
        ("written", str(to)),
    ]
    table("", ("residency report", ""), rows)
    for breach in report["breaches"]:
        out().print(
            f"breach: {breach['id']} {breach['from']} to {breach['to']}: {breach['why']}", style="red", markup=False
        )


def _receipts_line(receipts: dict[str, Any]) -> str:
    boxes = [row for row in receipts["rows"] if row["boxId"]]
    wrong = "".join(f"; [{one['code']}] {one['boxId']} {one['counter']}" for one in receipts["findings"])
    return f"{len(boxes)} boxes, of {len(receipts['rows']) - len(boxes)} sites none, by the sites' own claim{wrong}"
