"""`hybrid trust`: who the custodians are, and what they sign, several of them in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli import card, orders, trust_signing, trust_status
from hybrid.cli.console import Output, OutputOption, emit, next_step, out, table
from hybrid.cli.custody import KeysOption, PassphraseOption, PinOption, passphrase_from, pin_from
from hybrid.cli.trust_signing import sign_here
from hybrid.cli.trust_status import report

if TYPE_CHECKING:
    from bundles.trust.custody import Custodian
    from bundles.trust.profile import ProfileName
    from bundles.trust.quorum import Quorum
    from bundles.trust.repository import Repository

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Make keys and sign metadata, several custodians in turn."
)


class Profile(StrEnum):
    """Which algorithms count."""

    standard = "standard"
    cnsa2 = "cnsa2"


TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
CustodianFiles = Annotated[
    list[Path] | None, typer.Option("--custodian", help="A custodian's public.json, or a folder of them; repeat.")
]
ProfileOption = Annotated[
    Profile | None, typer.Option(help="standard: Ed25519 and ML-DSA-65; cnsa2: ML-DSA-87, and SHA-384 too.")
]
ReleaseCount = Annotated[int | None, typer.Option("--release", help="Release custodians needed per family; 2.")]
ComplianceCount = Annotated[int | None, typer.Option("--compliance", help="Compliance custodians, on site plans; 1.")]
RecoveryCount = Annotated[int | None, typer.Option("--recovery", help="Recovery custodians, on recovery orders; 2.")]


@app.command("add-key")
def add_key(
    folder: Annotated[Path, typer.Argument(help="Where this custodian's keys are kept; stays on this machine.")],
    custodian: Annotated[str, typer.Option(help="Name: a-z, 0-9, hyphens.")],
    duty: Annotated[str, typer.Option(help="release, compliance or recovery.")] = "release",
    profile: ProfileOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Mark the keys as demo: production boxes refuse them.")] = False,
    token: Annotated[str, typer.Option(help="Label of a PKCS#11 token that is to hold what it can.")] = "",
    module: Annotated[str, typer.Option(help="The token's PKCS#11 module, e.g. /usr/lib/softhsm/libsofthsm2.so.")] = "",
    passphrase_file: PassphraseOption = None,
    pin_file: PinOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Make one custodian's keys, one per family, encrypted or on a token; only public.json leaves this machine."""
    from bundles.trust.custody import Token, families, make_keys
    from bundles.trust.keys import DUTIES
    from hybrid.errors import InputError

    chosen: ProfileName = "cnsa2" if profile is Profile.cnsa2 else "standard"
    if duty not in DUTIES:
        raise InputError(f"--duty {duty}: no such duty", advice=f"one of {', '.join(DUTIES)}")
    if dry_run:
        out().print(f"would make {duty} keys of profile {chosen} for {custodian} in {folder}", markup=False)
        return
    if bool(token) != bool(module):
        raise InputError("--token and --module belong together", advice="name both, or neither")
    passphrase = passphrase_from(passphrase_file, new=True)
    where = Token(module, token, pin_from(pin_file)) if token else None
    made = make_keys(folder, custodian, duty, passphrase, demo=demo, profile=chosen, token=where)
    ids = {key.unrecognized_fields["family"]: key.keyid for key in made.tuf_keys()}
    data = {
        "custodian": custodian, "duty": duty, "environment": made.environment, "profile": chosen, "keys": ids,
        "onToken": [family for family, held in families(folder).items() if held], "public": str(folder / "public.json"),
    }  # fmt: skip
    emit(output, data, lambda: table(f"{custodian} ({duty}, {made.environment})", ("family", "key id"), ids.items()))
    next_step(f"bring {folder / 'public.json'} to headquarters: hybrid trust init TRUST --custodian FILE ...")


@app.command()
def init(
    trust: TrustArgument,
    custodian: CustodianFiles,
    profile: ProfileOption = None,
    release: ReleaseCount = None,
    compliance: ComplianceCount = None,
    recovery: RecoveryCount = None,
    demo: Annotated[bool, typer.Option("--demo", help="A repository for demo keys only.")] = False,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Make a trust repository; its first root waits for the custodians' signatures."""
    from bundles.trust.quorum import Quorum
    from bundles.trust.repository import Repository

    people, quorum = _custodians(custodian), _quorum(Quorum(), profile, release, compliance, recovery)
    if dry_run:
        out().print(f"would make {trust} for {', '.join(p.custodian for p in people)}", markup=False)
        return
    repository = Repository.create(trust, people, issued=_now(), quorum=quorum, demo=demo)
    sign_here(repository, keys, passphrase_file)
    report(repository, output)


@app.command()
def rotate(
    trust: TrustArgument,
    custodian: CustodianFiles = None,
    profile: ProfileOption = None,
    release: ReleaseCount = None,
    compliance: ComplianceCount = None,
    recovery: RecoveryCount = None,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Admit custodians, replace the keys of those there, or change the quorum; the old root's quorum signs too."""
    from bundles.trust.repository import Repository

    repository = Repository(trust)
    quorum = _quorum(repository.record.quorum, profile, release, compliance, recovery)
    people = {p.custodian: p for p in [*repository.custodians(), *_custodians(custodian)]}
    _replace(repository, list(people.values()), quorum, dry_run)
    if not dry_run:
        sign_here(repository, keys, passphrase_file)
        report(repository, output)


@app.command()
def revoke(
    trust: TrustArgument,
    name: Annotated[str, typer.Argument(help="The custodian whose keys end.")],
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """End a custodian's keys in every role; the old root's quorum must sign too."""
    from bundles.trust.repository import Repository
    from hybrid.errors import InputError

    repository = Repository(trust)
    people = repository.custodians()
    if name not in {p.custodian for p in people}:
        raise InputError(f"there is no custodian {name}", advice="hybrid trust status TRUST")
    _replace(repository, [p for p in people if p.custodian != name], repository.record.quorum, dry_run)
    if not dry_run:
        sign_here(repository, keys, passphrase_file)
        report(repository, output)


@app.command()
def renew(
    trust: TrustArgument,
    within: Annotated[int, typer.Option(min=1, help="Draft again what runs out within so many days.")] = 90,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Draft again what runs out soon; bundles that travel afterwards are built again."""
    from bundles.trust import renewal
    from bundles.trust.repository import Repository

    repository, span = Repository(trust), timedelta(days=within)
    if dry_run:
        roles = renewal.ending(repository, _now(), span)
        out().print(f"would draft again: {', '.join(roles) or 'nothing'}", markup=False)
        return
    renewal.renew(repository, _now(), span)
    sign_here(repository, keys, passphrase_file)
    report(repository, output)
    next_step("once it is published, build the sites' bundles again: hybrid bundle build")


@app.command()
def abandon(trust: TrustArgument, dry_run: DryRun = False, output: OutputOption = Output.text) -> None:
    """Throw away what waits for signatures; what is published, and who is a custodian, stays."""
    from bundles.trust.repository import Repository

    repository = Repository(trust)
    waiting = repository.drafts()
    if dry_run:
        out().print(f"would throw away: {', '.join(waiting) or 'nothing'}", markup=False)
        return
    repository.discard()
    report(repository, output)


app.command()(trust_signing.sign)
app.command()(trust_status.status)
app.command()(card.card)
app.command()(orders.expiry)
app.command()(orders.recover)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _custodians(paths: list[Path] | None) -> list[Custodian]:
    from bundles.trust.custody import key_folders, load_custodian

    return [load_custodian(p) for path in paths or [] for p in ([path] if path.is_file() else key_folders(path))]


def _quorum(
    old: Quorum, profile: Profile | None, release: int | None, compliance: int | None, recovery: int | None
) -> Quorum:
    """Return `old` with what was asked for; the least values are the type's own."""
    from pydantic import ValidationError

    from bundles.document import plain
    from hybrid.errors import InputError

    asked = {
        "profile": profile and profile.value,
        "custodians": release,
        "compliance": compliance,
        "recovery": recovery,
    }
    try:
        wanted = {**plain(old), **{name: value for name, value in asked.items() if value is not None}}
        return type(old).model_validate(wanted, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"quorum: {first['loc'][0]}: {first['msg']}", advice="see hybrid trust init --help") from None


def _replace(repository: Repository, people: list[Custodian], quorum: Quorum, dry_run: bool) -> None:
    repository.require_quiet()
    if dry_run:
        out().print(f"would draft every role again for {', '.join(p.custodian for p in people)}", markup=False)
        return
    repository.replace_custodians(people, _now(), quorum=quorum)
