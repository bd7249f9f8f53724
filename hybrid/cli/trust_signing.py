"""`hybrid trust sign`: on the machine of the repository, or on a custodian's own, where a request travelled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, err, next_step, out, table
from hybrid.cli.custody import KeysOption, PassphraseOption, PinOption, signers_from
from hybrid.cli.orders import kind_of, sign_order
from hybrid.cli.trust_status import report

if TYPE_CHECKING:
    from bundles.trust.repository import Repository
    from bundles.trust.signing import SigningRequest


def sign(
    what: Annotated[Path, typer.Argument(help="The repository's folder, or a request that travelled here.")],
    keys: KeysOption = None,
    request: Annotated[Path | None, typer.Option(help="Write the request that travels to the custodians.")] = None,
    add: Annotated[list[Path] | None, typer.Option(help="Signatures that came back; repeat.")] = None,
    to: Annotated[Path | None, typer.Option("-o", "--to", help="Where the signatures on a request go.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing a request.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Sign although these keys signed otherwise before.")] = False,
    passphrase_file: PassphraseOption = None,
    pin_file: PinOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Sign what waits, here or on a machine of one's own: a request travels, signatures come back."""
    if what.is_file() and kind_of(what) == "RecoveryOrder":
        sign_order(what, keys, to, yes, passphrase_file, dry_run, output)
        return
    if what.is_file():
        _sign_request(what, keys, to, yes, again, (passphrase_file, pin_file), dry_run, output)
        return
    from bundles.trust.repository import Repository

    repository = Repository(what)
    if request:
        _write_request(repository, request, dry_run, output)
        return
    if not dry_run:
        _add_signatures(repository, add or [])
        sign_here(repository, keys, passphrase_file, pin_file)
    report(repository, output)


def sign_here(repository: Repository, keys: Path | None, passphrase: Path | None, pin: Path | None = None) -> None:
    """Sign every draft with the keys in `keys`, if any, and publish if that was all that lacked."""
    if keys is not None:
        repository.sign(signers_from(keys, passphrase, pin))
    repository.publish()


def _add_signatures(repository: Repository, files: list[Path]) -> None:
    from bundles.carried import carried
    from bundles.trust.signing import REQUEST_CAP, Signatures, accept

    for file in files:
        accept(repository, carried(Signatures, file, cap=REQUEST_CAP))


def _write_request(repository: Repository, file: Path, dry_run: bool, output: Output) -> None:
    from bundles.document import canonical, digest
    from bundles.store import write_durably
    from bundles.trust.signing import request_of

    request = request_of(repository)
    data = canonical(request)
    if not dry_run:
        write_durably(file, data)
    shown = {"request": str(file), "digest": digest(data), "roles": [item.role for item in request.roles],
             "waiting": repository.awaiting()}  # fmt: skip
    emit(output, shown, lambda: _show(request, digest(data)))
    for person in repository.awaiting():
        next_step(f"on {person}'s machine: hybrid trust sign {file.name} --keys DIR -o signatures-{person}.json")


def _show(request: SigningRequest, digest: str) -> None:
    from bundles.trust.signing import summary

    title = f"to be signed: {request.environment} repository {request.repository[:12]}"
    table(title, ("role", "version", "expires", "changes"), summary(request))
    out().print(f"digest {digest}", markup=False)


def _shown(request: SigningRequest, digest: str) -> dict[str, Any]:
    from bundles.trust.signing import summary

    roles = [
        {"role": role, "version": int(version), "expires": expires, "changes": changes.splitlines()}
        for role, version, expires, changes in summary(request)
    ]
    return {"digest": digest, "repository": request.repository, "environment": request.environment, "roles": roles}


def _sign_request(
    file: Path, keys: Path | None, to: Path | None, yes: bool, again: bool, secrets: tuple[Path | None, Path | None],
    dry_run: bool, output: Output,
) -> None:  # fmt: skip
    from bundles.carried import carried_bytes
    from bundles.document import canonical, digest, plain
    from bundles.store import write_durably
    from bundles.trust.custody import load_custodian
    from bundles.trust.ledger import load_ledger, note, require_own
    from bundles.trust.signing import REQUEST_CAP, answer, request_from
    from hybrid.errors import InputError

    data = carried_bytes(file, REQUEST_CAP)
    request = request_from(data, str(file))
    if output is Output.text:
        _show(request, digest(data))
    if dry_run and keys is None:
        emit(output, _shown(request, digest(data)), lambda: None)
        return
    if keys is None or (to is None and not dry_run):
        raise InputError(
            "a request is signed with --keys into --to", advice="hybrid trust sign REQUEST --keys DIR -o FILE"
        )
    person = load_custodian(keys)
    require_own(request, person, load_ledger(keys))
    _require_no_doubts(request, keys, again)
    if dry_run or to is None:
        emit(output, _shown(request, digest(data)), lambda: None)
        return
    if not yes:
        typer.confirm("Have you compared the digest with headquarters, and sign?", abort=True, err=True)
    made = answer(request, signers_from(keys, *secrets), person.custodian)
    note(keys, request, {item.role for item in made.signatures})
    write_durably(to, canonical(made))
    text = f"{to}: {len(made.signatures)} signatures of {person.custodian} on {digest(data)}"
    emit(output, plain(made), lambda: out().print(text, markup=False))
    next_step(f"bring {to} to headquarters: hybrid trust sign TRUST --add {to.name}")


def _require_no_doubts(request: SigningRequest, keys: Path, again: bool) -> None:
    from bundles.trust.ledger import doubts, load_ledger
    from hybrid.errors import InputError

    found = doubts(request, load_ledger(keys), datetime.now(UTC))
    for line in found:
        err().print(line, markup=False)
    if found and not again:
        raise InputError(
            "this does not follow from what these keys signed before, or from the time",
            advice="ask headquarters why by telephone; if the reason is good: --again",
        )
