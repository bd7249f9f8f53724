"""`hybrid bundle inspect` and `hybrid bundle verify`: what a bundle holds, who signed it, what it would change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out, progress, table

if TYPE_CHECKING:
    from bundles.difference import Difference
    from bundles.inspection import Bill
    from bundles.signers import RoleSeen
    from bundles.verification import Trust, VerifiedBundle

Bundle = Annotated[Path, typer.Argument(help="The bundle: its folder, its .tar, or one part of it.")]
TrustOption = Annotated[Path | None, typer.Option(help="The trust repository, whose first root is believed.")]
RootJson = Annotated[Path | None, typer.Option(help="Or the root.json to believe.")]
Demo = Annotated[bool, typer.Option("--demo", help="With --root-json: believe a demo root.")]


def inspect(
    bundle: Bundle,
    trust: TrustOption = None,
    root_json: RootJson = None,
    demo: Demo = False,
    against: Annotated[
        Path | None, typer.Option(help="What the site has: a box's folder, a release.json, or its last bundle.")
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Show contents, signatures, expiry, bill, and what it would change at a site, without installing.

    With --trust or --root-json the metadata is verified first; without, everything shown is the medium's own word.
    """
    from bundles.difference import difference, known_at
    from bundles.inspection import look

    now = datetime.now(UTC)
    known = known_at(against) if against is not None else None
    if trust is None and root_json is None:
        seen = look(bundle)
        changes = difference(seen.files, known, {}) if known else None
        data = {"verified": False, "tags": seen.tags, "part": seen.part.part if seen.part else None,
                "parts": seen.part.count if seen.part else None, "bytes": seen.size}  # fmt: skip
        files, roles, bill = seen.files, seen.roles(now), None
    else:
        data, files, roles, bill, changes = _verified_view(bundle, trust_of(trust, root_json, demo), known, now)
    data |= {
        "files": {path: {"digest": digest, "bytes": size} for path, (digest, size) in sorted(files.items())},
        "roles": [_role(role) for role in roles], "bill": _bill(bill), "difference": _difference(changes),
    }  # fmt: skip
    emit(output, data, lambda: _print(bundle, data))
    next_step(
        f"hybrid bundle verify {bundle} --trust TRUST" if not data["verified"] else f"hybrid site install {bundle}"
    )


def verify(
    bundle: Bundle,
    trust: TrustOption = None,
    root_json: RootJson = None,
    demo: Demo = False,
    site_plan: Annotated[
        Path | None, typer.Option(help="Write the verified site plan here; its registry of keys pins logs in reports.")
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Climb the whole ladder, every blob hashed; what a box checks besides is its own state and gate."""
    from bundles.document import canonical
    from bundles.medium import Medium
    from bundles.store import write_durably
    from bundles.verification import verify as climb

    with Medium(bundle) as medium:
        found = climb(medium, trust_of(trust, root_json, demo))
        here = [size for name, size in found.blobs.items() if medium.here(name)]
        with progress("hashing every blob", total=sum(here)) as advance:
            found.check_blobs(advance)
    if site_plan is not None:
        write_durably(site_plan, canonical(found.plan))
    data = _verified(found) | {"hashed": len(here)}
    emit(output, data, lambda: _print_verified(data))


def trust_of(trust: Path | None, root_json: Path | None, demo: bool) -> Trust:
    """Return whom to believe at headquarters: a repository's first root, or a root.json.

    Raises:
        InputError: neither is named, or the repository has no root yet.
    """
    from bundles.trust.repository import Repository
    from bundles.verification import Trust
    from hybrid.errors import InputError

    now = datetime.now(UTC)
    if root_json is not None:
        return Trust(root_json.read_bytes(), "demo" if demo else "production", now)
    if trust is None:
        raise InputError("nothing says whom to believe", advice="--trust TRUST, or --root-json FILE")
    repository = Repository(trust)
    if not repository.roots():
        raise InputError("the first root is not signed yet", advice=f"hybrid trust sign {trust} --keys DIR")
    return Trust(repository.roots()[0].read_bytes(), repository.record.environment, now)


def _verified_view(bundle: Path, trust: Trust, known: Any, now: datetime) -> tuple[dict[str, Any], Any, Any, Any, Any]:
    """Return what the ladder accepted; blobs are not hashed here, which `hybrid bundle verify` does."""
    from bundles.difference import difference
    from bundles.inspection import bill_in, verified_files, verified_roles
    from bundles.medium import Medium
    from bundles.verification import verify as climb

    with Medium(bundle) as medium:
        found = climb(medium, trust)
        files = verified_files(found)
        documents = {name: size for name, size in found.blobs.items() if name not in dict(files.values())}
        changes = difference(files, known, documents) if known else None
        part = medium.part
        data = _verified(found) | {"part": part.part if part else None, "parts": part.count if part else None}
        data["update"] = _update(found)
        return data, files, verified_roles(found, now), bill_in(found), changes


def _verified(found: VerifiedBundle) -> dict[str, Any]:
    manifest = found.manifest
    return {
        "verified": True, "site": manifest.site, "number": manifest.number, "bundleDigest": found.digest,
        "epoch": manifest.epoch, "issued": manifest.issued, "environment": manifest.environment,
        "securityVersion": manifest.security_version, "planDigest": found.plan.plan_digest,
        "requires": manifest.requires.model_dump(by_alias=True), "versions": dict(found.versions),
        "files": {path: blob.digest for path, blob in sorted(found.files.items())}, "bytes": sum(found.blobs.values()),
    }  # fmt: skip


def _update(found: VerifiedBundle) -> dict[str, Any] | None:
    """Return what an update takes the site to have; None for a bundle that carries everything."""
    base = found.manifest.base
    if base is None:
        return None
    absent = sum(found.blobs[name] for name in base.absent if not found.medium.has(name))
    return {
        "of": base.bundle, "kept": len(base.kept), "bytesNotCarried": absent,
        "deltas": [
            {"makes": delta.result.digest, "from": delta.base.digest, "bytes": delta.body.size, "of": delta.result.size}
            for delta in base.deltas
        ],
    }  # fmt: skip


def _role(role: RoleSeen) -> dict[str, Any]:
    return {
        "role": role.role, "version": role.version, "issued": role.issued, "expires": role.expires,
        "daysLeft": role.days_left,
        "signatures": [
            {"custodian": one.custodian, "duty": one.duty, "family": one.family, "keyid": one.keyid, "holds": one.valid}
            for one in role.signatures
        ],
    }  # fmt: skip


def _bill(bill: Bill | None) -> dict[str, Any] | None:
    if bill is None:
        return None
    return {"digest": bill.digest, "models": list(bill.models), "libraries": list(bill.libraries),
            "others": bill.others, "licences": list(bill.licences)}  # fmt: skip


def _difference(changes: Difference | None) -> dict[str, Any] | None:
    if changes is None:
        return None
    return {
        "against": changes.against, "new": list(changes.new), "changed": list(changes.changed),
        "unchanged": list(changes.unchanged), "removed": list(changes.removed),
        "blobsToCopy": changes.blobs_to_copy, "bytesToCopy": changes.bytes_to_copy,
    }  # fmt: skip


def _print(bundle: Path, data: dict[str, Any]) -> None:
    said = "verified" if data["verified"] else "the medium's own word, NOT VERIFIED"
    wanted = ("site", "number", "bundleDigest", "epoch", "issued", "environment")
    part = [("part", f"{data['part']} of {data['parts']}")] if data["part"] else []
    head = [(key, data[key]) for key in wanted if key in data]
    table(f"{bundle}: {said}", ("", ""), [*head, *part, ("bytes", f"{data['bytes']:,}")])
    if update := data.get("update"):
        made = sum(delta["bytes"] for delta in update["deltas"])
        out().print(f"an update of bundle {update['of']}:", markup=False)
        out().print(f"{update['kept']} blobs stay, {len(update['deltas'])} are made from deltas of {made:,} bytes; "
                    f"{update['bytesNotCarried']:,} bytes need not travel", markup=False)  # fmt: skip
    table("files", ("file", "bytes"), [(path, f"{one['bytes']:,}") for path, one in data["files"].items()])
    rows = [(role["role"], role["version"], role["expires"], role["daysLeft"], _people(role)) for role in data["roles"]]
    table(f"signatures ({said})", ("role", "version", "expires", "days left", "signed by"), rows)
    if data["bill"]:
        _print_bill(data["bill"])
    if data["difference"]:
        _print_difference(data["difference"])


def _print_bill(bill: dict[str, Any]) -> None:
    kinds = ("models", "libraries", "licences")
    rows = [(kind, len(bill[kind]), ", ".join(bill[kind])) for kind in kinds]
    table("bill of materials (verified)", ("", "count", ""), [*rows, ("other files", bill["others"], "")])


def _print_difference(changes: dict[str, Any]) -> None:
    rows = [(kind, path) for kind in ("new", "changed", "removed") for path in changes[kind]]
    table(f"against {changes['against']}", ("", "file"), [*rows, ("unchanged", len(changes["unchanged"]))])
    out().print(f"to copy: {changes['blobsToCopy']} blobs, {changes['bytesToCopy']:,} bytes", markup=False)


def _people(role: dict[str, Any]) -> str:
    found: dict[str, list[str]] = {}
    for one in role["signatures"]:
        mark = one["family"] + ("" if one["holds"] else " DOES NOT HOLD")
        found.setdefault(f"{one['custodian']} ({one['duty']})", []).append(mark)
    return "; ".join(f"{person}: {', '.join(marks)}" for person, marks in found.items())


def _print_verified(data: dict[str, Any]) -> None:
    files, hashed = data["files"], data["hashed"]
    rows = [(name, value) for name, value in data.items() if name not in ("verified", "files", "hashed")]
    table("verified", ("", ""), rows)
    out().print(f"{len(files)} files; {hashed} blobs on this medium, each hashed")
