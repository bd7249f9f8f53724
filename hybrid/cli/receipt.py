"""`hybrid receipt`: headquarters holds the sites' receipts against its keys, its bundles and each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import TRUST_BROKEN, Output, OutputOption, emit, err, out, printable, table
from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.ledger import Judged
    from bundles.nouns import PlanKey
    from bundles.receipt import Receipt
    from bundles.shipped import Shipped

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Verify the receipts that boxes send home.")


@app.callback()
def receipt() -> None:
    """Hold a group with one command."""


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILES…", help="Receipts, or folders of them.")],
    trust: Annotated[
        Path | None, typer.Option(help="The trust repository: admitted keys, finished bundles, receipts kept before.")
    ] = None,
    site_plan: Annotated[
        Path | None, typer.Option("--site-plan", metavar="PLAN.json", help="A signed site plan, for its keys alone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify; keep nothing in the repository.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Check signatures, counters and chain; name a cloned box and a disk that was put back (exit 3: not all holds).

    What holds is kept in the trust repository, so that the next receipts are held against it.
    """
    from bundles.ledger import judge, keep, kept

    given, unreadable = read_receipts(files)
    keys, builds = known(trust, site_plan)
    judged = judge([*given, *(kept(trust) if trust else ())], keys, builds)
    new = keep(trust, judged) if trust and not dry_run else 0
    data = _data(judged) | {"given": len(given), "kept": new, "bundlesChecked": builds is not None,
                           "unreadable": unreadable, "holds": not (judged.findings or unreadable)}  # fmt: skip
    emit(output, data, lambda: _print(data))
    if builds is None:
        err().print("which bundles were sent is not checked: that takes --trust")
    if not data["holds"]:
        raise typer.Exit(TRUST_BROKEN)


def read_receipts(paths: list[Path]) -> tuple[list[Receipt], list[dict[str, str]]]:
    """Return the receipts in `paths`, files or folders of them, and what is none there: file and why.

    Raises:
        InputError: a folder without any file of that name.
    """
    from bundles.carried import carried
    from bundles.errors import MediumError
    from bundles.receipt import RECEIPT_CAP, Receipt

    found: list[Receipt] = []
    unreadable: list[dict[str, str]] = []
    for file in (file for path in paths for file in _files(path)):
        try:
            found.append(carried(Receipt, file, cap=RECEIPT_CAP))
        except MediumError as error:
            unreadable.append({"file": str(file), "says": str(error)})
    return found, unreadable


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = sorted(path.glob("*.json"))
    if not inside:
        raise InputError(f"{path}: no receipts here", advice="hybrid site receipt --to DIR, at the site")
    return inside


def known(trust: Path | None, site_plan: Path | None) -> tuple[list[PlanKey], dict[str, Shipped] | None]:
    """Return the keys and, by nonce, the finished bundles that receipts are held against; None: bundles not known.

    Raises:
        InputError: neither was given.
    """
    from bundles.admission import admitted
    from bundles.document import read
    from bundles.nouns import SitePlan
    from bundles.shipped import shipped
    from bundles.trust.repository import Repository
    from bundles.verification import MANIFEST_CAP

    if trust is None and site_plan is None:
        raise InputError("whose keys? neither --trust nor --site-plan was given", advice="--trust DIR")
    keys: list[PlanKey] = []
    if site_plan is not None:
        keys += read(SitePlan, site_plan.read_bytes(), what=str(site_plan), cap=MANIFEST_CAP).keys
    if trust is None:
        return keys, None
    keys += [key for request in admitted(Repository(trust)) for key in request.keys]
    return keys, shipped(trust)


def _data(judged: Judged) -> dict[str, Any]:
    return {
        "boxes": [_box(chain) for chain in judged.chains.values()],
        "findings": [{"boxId": one.box, "counter": one.counter, "code": one.code, "says": one.says}
                     for one in judged.findings],
    }  # fmt: skip


def _box(chain: tuple[Receipt, ...]) -> dict[str, Any]:
    from bundles.document import plain

    last = chain[-1]
    return {
        "boxId": last.box_id, "site": last.site, "keyid": last.keyid, "receipts": len(chain), "counter": last.counter,
        "at": last.at, "clockSuspect": last.clock_suspect, "health": last.health, "failed": last.failed,
        "serving": plain(last.serving) if last.serving else None, "logSize": last.log.size if last.log else None,
        "evidence": last.evidence,
    }  # fmt: skip


def _print(data: dict[str, Any]) -> None:
    columns = ("box", "site", "counter", "release", "health", "evidence", "at (the site's own claim)")
    rows = [
        (one["boxId"], one["site"], one["counter"], (one["serving"] or {}).get("release", "-"), one["health"],
         one["logSize"] if one["logSize"] is not None else "-", one["at"] + (" suspect" if one["clockSuspect"] else ""))
        for one in data["boxes"]
    ]  # fmt: skip
    table(f"{data['given']} receipts", columns, rows)
    for one in data["unreadable"]:
        out().print(printable(f"[FORM] {one['file']}: {one['says']}"), style="red", markup=False)
    for one in data["findings"]:
        out().print(f"[{one['code']}] {one['boxId']} {one['counter']}: {one['says']}", style="red", markup=False)
