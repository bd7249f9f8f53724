"""`hybrid trust expiry`: what headquarters' quorums order the boxes to do."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out

TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]


class Policy(StrEnum):
    """What a box does with metadata that ran out."""

    warn = "warn"
    grace = "grace"
    deny = "deny"


def expiry(
    trust: TrustArgument,
    policy: Annotated[Policy, typer.Option(help="What a box does once signatures have run out.")],
    days: Annotated[int, typer.Option(help="Days of grace.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Draft a root that orders another expiry policy; it holds at a box once root's quorum signed and a bundle came."""
    from bundles.document import plain
    from bundles.trust.expiry import ExpiryPolicy
    from bundles.trust.repository import Repository
    from hybrid.errors import InputError

    repository = Repository(trust)
    if (policy is Policy.grace) != (days > 0):
        raise InputError(
            f"--policy {policy} --days {days}", advice="--days N belongs to --policy grace, and only there"
        )
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
