"""`hybrid trust`: make keys, sign metadata, several custodians in turn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli import orders
from hybrid.cli.console import Output, OutputOption, emit, next_step, out, table
from hybrid.cli.custody import KeysOption, PassphraseOption, passphrase_from, signers_from

if TYPE_CHECKING:
    from bundles.trust.custody import Custodian
    from bundles.trust.repository import Repository

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Make keys and sign metadata, several custodians in turn."
)

TrustArgument = Annotated[Path, typer.Argument(help="The trust repository's folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
CustodianFiles = Annotated[
    list[Path], typer.Option("--custodian", help="A custodian's public.json, or a folder of them; repeat.")
]

app.command()(orders.expiry)


@app.command("add-key")
def add_key(
    folder: Annotated[Path, typer.Argument(help="Where this custodian's keys are kept; stays on this machine.")],
    custodian: Annotated[str, typer.Option(help="Name: a-z, 0-9, hyphens.")],
    duty: Annotated[str, typer.Option(help="release, compliance or recovery.")] = "release",
    demo: Annotated[bool, typer.Option("--demo", help="Mark the keys as demo: production boxes refuse them.")] = False,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Make one custodian's keys, one per family, encrypted; only public.json leaves this machine."""
    from bundles.trust.custody import make_keys
    from bundles.trust.keys import DUTIES
    from hybrid.errors import InputError

    if duty not in DUTIES:
        raise InputError(f"--duty {duty}: no such duty", advice=f"one of {', '.join(DUTIES)}")
    if dry_run:
        out().print(f"would make an Ed25519 and an ML-DSA-65 key for {custodian} in {folder}", markup=False)
        return
    made = make_keys(folder, custodian, duty, passphrase_from(passphrase_file, new=True), demo=demo)
    ids = {key.unrecognized_fields["family"]: key.keyid for key in made.tuf_keys()}
    data = {
        "custodian": custodian,
        "duty": duty,
        "environment": made.environment,
        "keys": ids,
        "public": str(folder / "public.json"),
    }
    emit(output, data, lambda: table(f"{custodian} ({duty}, {made.environment})", ("family", "key id"), ids.items()))
    next_step(f"bring {folder / 'public.json'} to headquarters: hybrid trust init TRUST --custodian FILE ...")


@app.command()
def init(
    trust: TrustArgument,
    custodian: CustodianFiles,
    demo: Annotated[bool, typer.Option("--demo", help="A repository for demo keys only.")] = False,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Make a trust repository; its first root waits for every custodian's signature."""
    from bundles.trust.repository import Repository

    people = _custodians(custodian)
    if dry_run:
        out().print(f"would make {trust} for {', '.join(p.custodian for p in people)}", markup=False)
        return
    repository = Repository.create(trust, people, issued=_now(), demo=demo)
    _sign_here(repository, keys, passphrase_file)
    _report(repository, output)


@app.command()
def rotate(
    trust: TrustArgument,
    custodian: CustodianFiles,
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Admit custodians, or replace the keys of those already there; the old root's quorum must sign too."""
    from bundles.trust.repository import Repository

    repository = Repository(trust)
    people = {p.custodian: p for p in [*repository.custodians(), *_custodians(custodian)]}
    _replace(repository, list(people.values()), dry_run, keys, passphrase_file, output)


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
    _replace(repository, [p for p in people if p.custodian != name], dry_run, keys, passphrase_file, output)


@app.command()
def sign(
    what: Annotated[Path, typer.Argument(help="The repository's folder, or a request that travelled here.")],
    keys: KeysOption = None,
    request: Annotated[Path | None, typer.Option(help="Write the request that travels to the custodians.")] = None,
    add: Annotated[list[Path] | None, typer.Option(help="Signatures that came back; repeat.")] = None,
    to: Annotated[Path | None, typer.Option("-o", "--to", help="Where the signatures on a request go.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing a request.")] = False,
    passphrase_file: PassphraseOption = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Sign what waits, here or on a machine of one's own: a request travels, signatures come back."""
    if what.is_file():
        _sign_request(what, keys, to, yes, passphrase_file, dry_run, output)
        return
    from bundles.trust.repository import Repository

    repository = Repository(what)
    if request:
        _write_request(repository, request, dry_run, output)
        return
    if not dry_run:
        _add_signatures(repository, add or [])
        _sign_here(repository, keys, passphrase_file)
    _report(repository, output)


@app.command()
def status(trust: TrustArgument, output: OutputOption = Output.text) -> None:
    """Show roles, versions and expiry, and what waits for whose signature."""
    from bundles.trust.repository import Repository

    _report(Repository(trust), output)


@app.command()
def card(
    trust: TrustArgument,
    seed: Annotated[Path, typer.Option("-o", "--seed", help="Where the seed medium is written.")],
    site: Annotated[str, typer.Option(help="The site the box is to serve.")],
    jurisdiction: Annotated[str, typer.Option(help="ISO 3166 code of the site, e.g. FR-69; as in its manifest.")],
    box: Annotated[str, typer.Option(help="The box's own name; default SITE-1.")] = "",
    wheelhouse: Annotated[Path | None, typer.Option(help="Wheels of the verifier, to set the box up offline.")] = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Write a site's seed medium and print the card that travels separately from it."""
    from bundles.document import stamp
    from bundles.nouns import SiteRecord
    from bundles.seed import write_seed
    from bundles.trust.repository import Repository
    from hybrid.errors import InputError

    repository = Repository(trust)
    if not repository.roots():
        raise InputError("the first root is not signed by every custodian yet", advice="hybrid trust sign TRUST")
    record = SiteRecord(
        site=site, jurisdiction=jurisdiction, box_id=box or f"{site}-1", issued=stamp(_now()),
        environment=repository.record.environment,
    )  # fmt: skip
    if dry_run:
        out().print(f"would write a seed for {record.box_id} to {seed}", markup=False)
        return
    wheels = sorted(wheelhouse.glob("*.whl")) if wheelhouse else []
    digest = write_seed(seed, repository.roots()[-1].read_bytes(), record, wheels)
    data = {"site": site, "boxId": record.box_id, "environment": record.environment, "seed": str(seed), "card": digest}
    emit(output, data, lambda: _print_card(record.box_id, digest))
    demo = " --demo" if record.environment == "demo" else ""
    next_step(f"at the box, from the seed's folder: hybrid site enrol {seed} --card {digest}{demo}")


def _print_card(box: str, digest: str) -> None:
    from bundles.enrolment import grouped

    lines = ["CARD: carry it separately from the seed medium", f"box    {box}",
             f"digest {grouped(digest.removeprefix('sha256:'))}", "Before anything on the medium runs, at the box:",
             "  sha256sum -c --strict SHA256SUMS && sha256sum SHA256SUMS"]  # fmt: skip
    for line in lines:
        out().print(line, markup=False)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _custodians(paths: list[Path]) -> list[Custodian]:
    from bundles.trust.custody import key_folders, load_custodian

    return [load_custodian(p) for path in paths for p in ([path] if path.is_file() else key_folders(path))]


def _replace(
    repository: Repository,
    people: list[Custodian],
    dry_run: bool,
    keys: Path | None,
    passphrase: Path | None,
    output: Output,
) -> None:
    if dry_run:
        out().print(f"would draft every role again for {', '.join(p.custodian for p in people)}", markup=False)
        return
    repository.replace_custodians(people, _now())
    _sign_here(repository, keys, passphrase)
    _report(repository, output)


def _sign_here(repository: Repository, keys: Path | None, passphrase: Path | None) -> None:
    if keys is not None:
        repository.sign(signers_from(keys, passphrase))
    repository.publish()


def _add_signatures(repository: Repository, files: list[Path]) -> None:
    from bundles.document import read
    from bundles.trust.signing import Signatures

    for file in files:
        found = read(Signatures, file.read_bytes(), what=str(file))
        repository.add_signatures((item.role, item.keyid, item.sig) for item in found.signatures)


def _write_request(repository: Repository, file: Path, dry_run: bool, output: Output) -> None:
    from bundles.document import canonical, digest
    from bundles.store import write_durably
    from bundles.trust.signing import request_of

    request = request_of(repository)
    data = canonical(request)
    if not dry_run:
        write_durably(file, data)
    shown = {"request": str(file), "digest": digest(data), "roles": [item.role for item in request.roles]}
    emit(
        output,
        shown,
        lambda: out().print(f"{file}: {', '.join(shown['roles'])}\ndigest {shown['digest']}", markup=False),
    )
    next_step(f"on each custodian's machine: hybrid trust sign {file.name} --keys DIR -o signatures-NAME.json")


def _sign_request(
    file: Path, keys: Path | None, to: Path | None, yes: bool, passphrase: Path | None, dry_run: bool, output: Output
) -> None:
    from bundles.document import canonical, digest, plain, read
    from bundles.store import write_durably
    from bundles.trust.custody import load_custodian, load_signers
    from bundles.trust.signing import SigningRequest, answer, summary
    from hybrid.errors import InputError

    data = file.read_bytes()
    request = read(SigningRequest, data, what=str(file))
    if output is Output.text:
        table(f"to be signed ({digest(data)})", ("role", "version", "issued", "says"), summary(request))
    if dry_run:
        return
    if keys is None or to is None:
        raise InputError(
            "a request is signed with --keys into --to", advice="hybrid trust sign REQUEST --keys DIR -o FILE"
        )
    if not yes:
        typer.confirm("Have you compared the digest with headquarters, and sign?", abort=True, err=True)
    person = load_custodian(keys)
    made = answer(request, load_signers(keys, passphrase_from(passphrase)), person.custodian, person.duty)
    write_durably(to, canonical(made))
    emit(
        output,
        plain(made),
        lambda: out().print(f"{to}: {len(made.signatures)} signatures of {person.custodian}", markup=False),
    )
    next_step(f"bring {to} to headquarters: hybrid trust sign TRUST --add {to.name}")


def _report(repository: Repository, output: Output) -> None:
    roles = _roles(repository)
    people = [{"custodian": p.custodian, "duty": p.duty} for p in repository.custodians()]
    data = {"environment": repository.record.environment, "custodians": people, "roles": roles}
    rows = [(r["role"], r["version"], r["expires"], r["state"]) for r in roles]
    emit(
        output,
        data,
        lambda: table(f"trust ({repository.record.environment})", ("role", "version", "expires", "state"), rows),
    )
    if repository.drafts():
        next_step(f"hybrid trust sign {repository.folder} --keys DIR, or --request FILE")


def _roles(repository: Repository) -> list[dict[str, Any]]:
    drafts = repository.drafts()
    names = {
        "root",
        *drafts,
        *(path.stem for path in (repository.folder / "metadata").glob("*.json") if path.name.count(".") == 1),
    }
    found = []
    for role in sorted(names):
        metadata = repository.draft(role) or repository.published(role)
        if metadata is not None:
            lacks = repository.lacking(role) if role in drafts else []
            state = "published" if role not in drafts else "; ".join(lacks) or "signed, waits for the others"
            expires = metadata.signed.expires.date().isoformat()
            found.append(
                {"role": role, "version": metadata.signed.version, "expires": expires, "state": state, "lacks": lacks}
            )
    return found
