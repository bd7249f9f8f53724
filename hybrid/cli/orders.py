"""`hybrid trust expiry | recover`: what headquarters' quorums order the boxes to do, and who signs such an order."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, err, next_step, out, table
from hybrid.cli.custody import passphrase_from
from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.receipt import Receipt
    from bundles.recovery.order import Challenge, OrderedFloor, RecoveryOrder
    from bundles.trust.repository import Repository

LARGEST = 2**53 - 1
"""No signed document holds a greater number (RFC 8785)."""
TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]


class Policy(StrEnum):
    """What a box does with metadata that ran out."""

    warn = "warn"
    grace = "grace"
    deny = "deny"


def expiry(
    trust: TrustArgument,
    policy: Annotated[Policy, typer.Option(help="What a box does once signatures have run out.")],
    days: Annotated[int, typer.Option(help="Days of grace.")] = 0,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Draft a root that orders another expiry policy; it holds at a box once root's quorum signed and a bundle came."""
    from bundles.document import plain
    from bundles.trust.expiry import ExpiryPolicy
    from bundles.trust.repository import Repository

    repository = Repository(trust)
    if (policy is Policy.grace) != (days > 0):
        raise InputError(f"--policy {policy} with --days {days}", advice="--days N belongs to --policy grace alone")
    wanted = ExpiryPolicy.model_validate({"policy": policy.value, "graceDays": days}, by_alias=True, by_name=False)
    before = repository.record.expiry
    if not dry_run:
        repository.order_expiry(wanted, datetime.now(UTC).replace(microsecond=0))
    data = {"before": plain(before), "expiry": plain(wanted), "done": not dry_run}
    verb = "would draft" if dry_run else "drafted"
    line = (
        f"{verb} a root with the expiry policy {wanted.policy}{f', {days} days' if days else ''} (was {before.policy})"
    )
    emit(output, data, lambda: out().print(line, markup=False))
    next_step(f"hybrid trust sign {trust} --request FILE")


def recover(
    what: Annotated[Path, typer.Argument(help="A box's challenge, or an order whose signatures came back.")],
    trust: Annotated[Path, typer.Option(help="The trust repository's folder.")],
    to: Annotated[Path, typer.Option("-o", "--to", help="The order to write: a draft, or sealed for the box.")],
    add: Annotated[list[Path] | None, typer.Option(help="Signatures that came back; repeat.")] = None,
    release: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="The least bundle number; else what box and receipts show.")
    ] = None,
    security: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="The least security version; else what the box shows.")
    ] = None,
    log_size: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="The least records of evidence; 0 lets the log begin anew.")
    ] = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Draft the order that answers a box's challenge, and seal it once enough recovery custodians have signed."""
    from bundles.carried import carried
    from bundles.recovery.order import Challenge, RecoveryOrder
    from bundles.trust.repository import Repository

    repository = Repository(trust)
    if kind_of(what) == "RecoveryOrder":
        _seal(carried(RecoveryOrder, what), add or [], repository, to, dry_run, output)
        return
    asked = carried(Challenge, what)
    _draft(asked, _floor(asked, repository, release, security, log_size), repository, to, dry_run, output)


def kind_of(file: Path) -> str:
    """Return the kind that a document says it is; empty when it is no strict JSON object."""
    from bundles.carried import carried_bytes
    from bundles.document import DOCUMENT_CAP, parse
    from bundles.errors import BundleError

    try:
        return str(parse(carried_bytes(file, DOCUMENT_CAP), what=str(file)).get("kind", ""))
    except BundleError:
        return ""


def sign_order(
    file: Path, keys: Path | None, to: Path | None, yes: bool, passphrase: Path | None, dry_run: bool, output: Output
) -> None:
    """Let a recovery custodian read an order and sign it, on a machine of their own."""
    from bundles.carried import carried
    from bundles.document import canonical, digest, plain
    from bundles.recovery.drafting import sign
    from bundles.recovery.order import RecoveryOrder
    from bundles.store import write_durably
    from bundles.trust.custody import load_custodian, load_signers

    order = carried(RecoveryOrder, file)
    if output is Output.text:
        table(f"to be signed ({digest(order.payload())})", ("", ""), _says(order))
    if dry_run:
        return
    if keys is None or to is None:
        raise InputError(
            "an order is signed with --keys into --to", advice="hybrid trust sign ORDER --keys DIR -o FILE"
        )
    person = load_custodian(keys)
    if person.duty != "recovery":
        raise InputError(f"{person.custodian} has the duty {person.duty}; recovery custodians sign recovery orders",
                         advice="bring the order to them")  # fmt: skip
    if not yes:
        typer.confirm("Have you telephoned the site about this box, and sign?", abort=True, err=True)
    made = sign(order, load_signers(keys, passphrase_from(passphrase)), person.custodian)
    write_durably(to, canonical(made))
    line = f"{to}: {len(made.signatures)} signatures of {person.custodian}"
    emit(output, plain(made), lambda: out().print(line, markup=False))
    next_step(f"bring {to} to headquarters: hybrid trust recover {file.name} --trust TRUST --add {to.name} -o SEALED")


def _floor(
    asked: Challenge, repository: Repository, release: int | None, security: int | None, log_size: int | None
) -> OrderedFloor:
    """Return what the order names: what was given, else the most that the box and its last receipt show."""
    from bundles.ledger import last_of
    from bundles.recovery.order import OrderedFloor
    from bundles.trust.state import LastReceipt

    last: Receipt | None = last_of(repository.folder, asked.whom.box_id)
    if last is None:
        err().print("no receipt of this box was kept here: what it had beyond what it shows is not known")
    served = last.serving.release if last and last.serving else 0
    seen = last.log.size if last and last.log else None
    return OrderedFloor(
        release=max(asked.floor.release, served) if release is None else release,
        security=asked.floor.security if security is None else security,
        log_size=seen if log_size is None else log_size,
        receipt=LastReceipt(counter=last.counter, digest=last.digest) if last else None,
    )


def _draft(
    asked: Challenge, floor: OrderedFloor, repository: Repository, to: Path, dry_run: bool, output: Output
) -> None:
    from bundles.document import canonical, digest, plain
    from bundles.recovery.drafting import draft, lacking
    from bundles.store import write_durably

    order = draft(asked, repository, datetime.now(UTC).replace(microsecond=0), floor)
    if not dry_run:
        write_durably(to, canonical(order))
    lacks = lacking(order, [], repository)
    data = {"order": plain(order), "digest": digest(order.payload()), "lacks": lacks, "done": not dry_run}
    emit(output, data, lambda: table(f"recovery order ({data['digest']})", ("", ""), _says(order)))
    next_step(f"on each recovery custodian's machine: hybrid trust sign {to.name} --keys DIR -o signatures-NAME.json")


def _seal(
    order: RecoveryOrder, add: list[Path], repository: Repository, to: Path, dry_run: bool, output: Output
) -> None:
    from bundles.carried import carried
    from bundles.document import canonical, plain
    from bundles.recovery.drafting import seal
    from bundles.recovery.order import OrderSignatures
    from bundles.store import write_durably

    came = [carried(OrderSignatures, file) for file in add]
    sealed = seal(order, [one for given in came for one in given.signatures], repository)
    if not dry_run:
        write_durably(to, canonical(sealed))
    line = f"{to}: signed by {', '.join(sorted({given.custodian for given in came}))}"
    emit(output, plain(sealed), lambda: out().print(line, markup=False))
    next_step(f"at {order.whom.box_id}: hybrid site recover {to.name}")


def _says(order: RecoveryOrder) -> list[tuple[str, Any]]:
    whom, floor = order.whom, order.floor
    log = "as the box remembers" if floor.log_size is None else f"at least {floor.log_size} records"
    return [
        ("box", f"{whom.box_id} of {whom.site}, machine {whom.machine[:19]}"), ("challenge", whom.nonce),
        ("root", f"v{whom.root_version} {whom.root_digest[:19]}"), ("issued", order.issued),
        ("least bundle number", floor.release), ("least security version", floor.security), ("evidence", log),
        ("after receipt", floor.receipt.counter if floor.receipt else "none known"),
    ]  # fmt: skip
