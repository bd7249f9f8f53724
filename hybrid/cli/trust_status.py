"""`hybrid trust status`: roles, versions and expiry, what waits for whose signature, and what runs out soon."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import REFUSED, Output, OutputOption, emit, err, next_step, table

if TYPE_CHECKING:
    from bundles.trust.repository import Repository

WARN_DAYS = 90
"""So long before the end there is time to meet, to sign and to carry sticks to sites that are reached once a month."""


def status(
    trust: Annotated[Path, typer.Argument(help="The trust repository's folder.")],
    warn_days: Annotated[int, typer.Option(min=0, help="Warn of what runs out within so many days.")] = WARN_DAYS,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when there is a warning; for a timer.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Show roles, versions and expiry, what waits for whose signature, and what runs out soon."""
    from bundles.trust.repository import Repository

    warned = report(Repository(trust), output, warn_days)
    if check and warned:
        raise typer.Exit(REFUSED)


def report(repository: Repository, output: Output, warn_days: int = WARN_DAYS) -> bool:
    """Print where the repository stands and return whether something runs out within `warn_days`."""
    from bundles.trust.renewal import ends

    now, record = datetime.now(UTC), repository.record
    days = {role: (end - now).days for role, end in ends(repository).items()}
    roles, waiting = _roles(repository, days), repository.awaiting()
    people = [
        {
            "custodian": p.custodian,
            "duty": p.duty,
            "keys": {k.unrecognized_fields["family"]: k.keyid for k in p.tuf_keys()},
        }
        for p in repository.custodians()
    ]
    warnings = [_warning(role, left) for role, left in sorted(days.items(), key=lambda d: d[1]) if left < warn_days]
    data = {
        "environment": record.environment, "profile": record.quorum.profile, "custodians": people, "roles": roles,
        "waiting": waiting, "warnings": warnings, "recovery": any(p["duty"] == "recovery" for p in people),
    }  # fmt: skip
    emit(output, data, lambda: _print(data))
    if not data["recovery"]:
        err().print("no recovery custodians: a box that loses its state is enrolled anew", style="dim", markup=False)
    for line in warnings:
        err().print(f"warning: {line}", markup=False)
    if warnings and not waiting:
        next_step(f"hybrid trust renew {repository.folder} --within {warn_days}")
    if waiting:
        next_step(f"hybrid trust sign {repository.folder} --keys DIR, or --request FILE")
    return bool(warnings)


def _print(data: dict[str, Any]) -> None:
    rows = [(r["role"], r["version"], r["expires"], r["daysLeft"], r["state"]) for r in data["roles"]]
    title = f"trust ({data['environment']}, profile {data['profile']})"
    table(title, ("role", "version", "expires", "days left", "state"), rows)
    known, waiting = {p["custodian"]: p for p in data["custodians"]}, data["waiting"]
    leaving = {"duty": "leaving", "keys": {}}
    people = [
        (name, person["duty"], "  ".join(keyid[:16] for keyid in person["keys"].values()), ", ".join(roles))
        for name in [*known, *sorted(set(waiting) - set(known))]
        for person, roles in [(known.get(name, leaving), waiting.get(name, []))]
    ]
    table("custodians", ("name", "duty", "key ids, their beginnings", "may still sign"), people)


def _warning(role: str, left: int) -> str:
    return f"{role} runs out in {left} days" if left >= 0 else f"{role} ran out {-left} days ago"


def _roles(repository: Repository, days: dict[str, int]) -> list[dict[str, Any]]:
    drafts, found = repository.drafts(), []
    for role in sorted({"root", *drafts, *days}):
        metadata = repository.draft(role) or repository.published(role)
        if metadata is not None:
            lacks = repository.lacking(role) if role in drafts else []
            state = "published" if role not in drafts else "; ".join(lacks) or "signed, waits for the others"
            expires = metadata.signed.expires
            left = (expires - datetime.now(UTC)).days
            found.append(
                {"role": role, "version": metadata.signed.version, "expires": expires.date().isoformat(),
                 "daysLeft": left, "state": state, "lacks": lacks}
            )  # fmt: skip
    return found
