"""`hybrid site receipt`: a box signs what it is and what serves, on demand and after every install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.layout import Box
from hybrid.cli.box import ROOT, RootOption, let_the_service_read, log_head, standing_of
from hybrid.cli.console import Output, OutputOption, emit, fail, next_step, out
from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.carrier import Place
    from bundles.receipt import Evidence, Health, Receipt


def receipt(
    to: Annotated[
        Path | None, typer.Option("--to", help="Write every receipt of this box here too: a folder on the stick.")
    ] = None,
    root: RootOption = ROOT,
    output: OutputOption = Output.text,
) -> None:
    """Sign a receipt: who this box is, what serves, how far its evidence reaches. It goes home on the stick."""
    from bundles.document import plain
    from bundles.receipt import carry

    if to and not to.parent.is_dir():
        raise InputError(f"{to.parent}: no such folder", advice="is the stick mounted there?")
    let_the_service_read()
    made = sign_receipt(root)
    written = carry(Box(root), to) if to else []
    serves = f"release {made.serving.release}" if made.serving else "nothing"
    line = f"receipt {made.counter} of {made.box_id}: {serves} serves, {made.at}"
    emit(output, plain(made) | {"written": [str(path) for path in written]}, lambda: out().print(line, markup=False))
    next_step("bring it home: hybrid receipt verify FILES --trust TRUST" if to else "hybrid site receipt --to DIR")


def sign_receipt(root: Path, health: Health = "unchecked", *, failed: str | None = None) -> Receipt:
    """Save time and log head, then sign the next receipt of the box under `root`."""
    from bundles.install import keep_time as keep
    from bundles.receipt import issue
    from hybrid.errors import EvidenceError

    here, head = standing_of(root), None
    evidence: Evidence = "holds"
    try:
        head = log_head(here)
    except EvidenceError as error:
        evidence = "broken"
        fail(str(error), advice=error.advice)
    keep(here, head)
    return issue(here, health, evidence=evidence, failed=failed)


@contextmanager
def receipted(root: Path, medium: Place, *, asked: bool) -> Iterator[list[str]]:
    """Leave a receipt of the install in the body: of what serves after it, or that the new release failed.

    The body adds the digest of the bundle to the list that it gets; `asked` says that the release is asked after the
    switch. A receipt that cannot be signed or written never undoes an install; it is said, and exit code and release
    stay.
    """
    from bundles.errors import BundleError
    from bundles.release import current_number

    seen: list[str] = []
    try:
        yield seen
    except BundleError as error:
        if error.code == "HEALTH":
            left: Health = "withdrawn" if current_number(Box(root)) is None else "rolled-back"
            leave_receipt(root, medium, left, failed=seen[-1])
        raise
    leave_receipt(root, medium, "serves" if asked else "unchecked")


def leave_receipt(root: Path, medium: Place, health: Health, *, failed: str | None = None) -> Path | None:
    """Sign a receipt and write the box's receipts beside the bundle on its stick, into `receipts/`; return that folder.

    None where nothing beside the bundle is on the stick (it is mounted itself, or lies at a hub), or where it takes
    nothing: the receipt is kept on the box all the same.
    """
    from bundles.errors import BundleError
    from bundles.receipt import carry

    beside = None if not isinstance(medium, Path) or medium.is_mount() else medium.resolve().parent / "receipts"
    try:
        sign_receipt(root, health, failed=failed)
        if beside:
            carry(Box(root), beside)
    except (OSError, BundleError) as error:
        fail(f"no receipt on the medium: {error}", advice="hybrid site receipt --to DIR")
        return None
    return beside
