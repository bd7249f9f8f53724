"""Builds a bundle: the same input gives the same bundle digest, and nothing leaves before every custodian signed.

The unsigned content is drafted into headquarters' repository; once the quorum is met, the same call writes the
carrier. So signing on several machines is: build, carry the request round, build again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bundles import layout, oci, shipped, wheels
from bundles.bill import bill_of
from bundles.blobs import Blobs
from bundles.delta.choice import choose, earlier_bundle
from bundles.delta.nouns import Base
from bundles.document import canonical, digest, plain, read, unstamp
from bundles.errors import InputError
from bundles.nouns import BundleManifest, Component, Named, PlanKey, Requirement, SitePlan
from bundles.numbering import BuildRecord, numbered
from bundles.provenance.card import ModelCard
from bundles.provenance.licences import licence_of
from bundles.store import sync_tree
from bundles.trust.drafting import signed_target
from bundles.trust.repository import Repository
from bundles.trust.stock import Signer, TargetFile
from bundles.wrapper import DELTA, DELTA_BODY, bundle_wrapper, is_whole, loose_blobs

_SUFFIXES = {".onnx": oci.MODEL_WEIGHT, ".safetensors": oci.MODEL_WEIGHT, ".bin": oci.MODEL_WEIGHT}


@dataclass(frozen=True)
class Cargo:
    """What a bundle is built from.

    Attributes:
        files: logical path (`models/<model>/<variant>/<file>`, `knowledge/...`, `policy/...`) -> file to carry.
        wheels: the runtime, complete; none when the site keeps the one it has.
        table: the site's decision table, carried without being read; `keys` the registry of the plan.
        base: folder of the bundle that the site was given before; what it has then does not travel, and a changed model
            travels as a delta. `keep_full` carries the full files too, for boxes that have another base.
        cards: `<model>/<variant>` -> what the bill says of it.
    """

    site: str
    jurisdiction: str
    arch: str
    plan_digest: str
    policy_digest: str
    table: Mapping[str, Any]
    files: Mapping[str, Path]
    wheels: tuple[Path, ...] = ()
    keys: tuple[PlanKey, ...] = ()
    revoked: tuple[str, ...] = ()
    min_security_version: int = 0
    security_version: int = 1
    cpu_features: tuple[str, ...] = ()
    base: Path | None = None
    keep_full: bool = False
    cards: Mapping[str, ModelCard] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """What a build came to.

    Attributes:
        digest: of the bundle manifest, the bundle's name; number: the release's.
        lacking: role -> what its quorum still lacks; empty when the carrier was written.
        size: bytes on the carrier; 0 while signatures lack.
    """

    site: str
    digest: str
    number: int
    epoch: int
    lacking: Mapping[str, list[str]]
    size: int


def assemble(
    cargo: Cargo, repository: Repository, out: Path, *, issued: datetime, signers: Iterable[Signer] = (),
    advance: Callable[[float], None] | None = None,
) -> Built:  # fmt: skip
    """Build `cargo` into the folder `out`, or draft what custodians must sign first.

    Args:
        issued: the time to sign; taken from the last build while the content is the same.
        signers: keys at hand; with a full quorum the bundle is complete at once.
        advance: called with the bytes copied.

    Raises:
        InputError: `out` exists, or a file cannot be carried.
    """
    if out.exists():
        raise InputError("OUT", f"{out} exists", advice="choose another folder, or remove it first")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "blobs" / "sha256").mkdir(parents=True)
    try:
        blobs = Blobs(part / "blobs" / "sha256", "sha384" in repository.record.quorum.hashes)
        built, entries = _build(cargo, repository, blobs, issued, list(signers), advance)
        if not built.lacking:
            _finish(part, repository, cargo.site, blobs, entries)
            part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Built(built.site, built.digest, built.number, built.epoch, built.lacking,
                 0 if built.lacking else sum(blobs.sizes.values()))  # fmt: skip


def _build(
    cargo: Cargo, repository: Repository, blobs: Blobs, issued: datetime, signers: list[Signer],
    advance: Callable[[float], None] | None,
) -> tuple[Built, list[oci.Descriptor]]:  # fmt: skip
    files, components, entries = _components(cargo, blobs, advance)
    needs = _needs(cargo)
    base = _base(cargo, files, blobs)
    record = numbered(_content(cargo, files, needs, base), cargo.site, cargo.plan_digest, repository, issued)
    quorum = repository.record.quorum
    targets = {item.target: signed_target(item.target, blobs.read(item.digest), quorum) for item in components}
    plan = canonical(_site_plan(cargo, record))
    licences = {f"runtime/{wheel.name}": licence_of(wheel) for wheel in cargo.wheels}
    bill = bill_of(cargo.site, record.issued, files, cargo.cards, licences)
    plan_blob, bill_blob = blobs.add(plan, oci.SITEPLAN), blobs.add(bill, "application/vnd.cyclonedx+json")
    targets[layout.plan_target(cargo.site)] = signed_target(layout.plan_target(cargo.site), plan, quorum)
    delegated = _by_role(repository, cargo.site, targets)
    versions = {
        role: repository.next_version(role, found, unstamp(record.issued, what="issued"))
        for role, found in delegated.items()
    }
    manifest = BundleManifest(
        site=cargo.site, number=record.number, issued=record.issued, environment=repository.record.environment,
        security_version=cargo.security_version, requires=needs, epoch=record.epoch, nonce=record.nonce,
        site_plan=Named(target=layout.plan_target(cargo.site), digest=plan_blob.digest, size=plan_blob.size),
        bill=Named(target=layout.bill_target(cargo.site), digest=bill_blob.digest, size=bill_blob.size),
        components=tuple(components), versions=versions, unpacked=wheels.unpacked_size(list(cargo.wheels)),
        base=base,
    )  # fmt: skip
    bundle = canonical(manifest)
    blobs.add(bundle, oci.BUNDLE)
    parsed = [(item, read(oci.Manifest, blobs.read(item.digest), what=item.target)) for item in components]
    if base and not cargo.keep_full:
        entries = _lighten(base, blobs, [item.digest for item, made in parsed if is_whole(base, made)], entries)
    wrapper = bundle_wrapper(bundle, plan, bill, loose_blobs(base, parsed))
    blobs.add(wrapper, oci.MANIFEST)
    entries.append(oci.tagged(wrapper, oci.BUNDLE, layout.BUNDLE_TAG))
    _draft(repository, cargo.site, delegated, bundle, bill, unstamp(record.issued, what="issued"))
    repository.sign(signers)
    lacking = {role: lacks for role in repository.drafts() if (lacks := repository.lacking(role))}
    if not lacking:
        repository.publish()
        shipped.remember(repository.folder, manifest, digest(bundle))
    return Built(cargo.site, digest(bundle), record.number, record.epoch, lacking, 0), entries


def _components(
    cargo: Cargo, blobs: Blobs, advance: Callable[[float], None] | None
) -> tuple[dict[str, oci.Descriptor], list[Component], list[oci.Descriptor]]:
    """Copy every file in and return (logical path -> blob, the components, their index entries)."""
    groups: dict[str, dict[str, Path]] = {}
    for path, file in sorted({**cargo.files, **{f"runtime/{w.name}": w for w in cargo.wheels}}.items()):
        target, inner = _target_of(cargo, path)
        if layout.logical_path(target, inner) != path:
            raise InputError("PATH", f"{path} cannot be carried", advice="use models/, knowledge/ or policy/")
        groups.setdefault(target, {})[inner] = file
    files: dict[str, oci.Descriptor] = {}
    components, entries = [], []
    for target, members in groups.items():
        layers = []
        for inner, file in members.items():
            blob = blobs.copy(file, _media_type(target, file), advance)
            files[layout.logical_path(target, inner)] = blob
            layers.append(oci.with_path(blob, inner))
        artifact, data = _manifest(target, tuple(layers), blobs)
        components.append(Component(target=target, digest=digest(data), size=len(data), artifact_type=artifact))
        entries.append(oci.tagged(data, artifact, target.removesuffix(".json").replace("/", ".")))
    return files, components, entries


def _target_of(cargo: Cargo, path: str) -> tuple[str, str]:
    """Return (component manifest, path in it) of a logical path: one component per model variant."""
    kind, _, inner = path.partition("/")
    if kind == "models":
        model, variant = (*inner.split("/"), "", "")[:2]
        return f"models/{model}.{variant}.json", inner
    if kind == "runtime":
        return f"runtime/{cargo.arch}.json", inner
    return f"site-plans/{cargo.site}/{kind}.json", inner


def _manifest(target: str, layers: tuple[oci.Descriptor, ...], blobs: Blobs) -> tuple[str, bytes]:
    kind = target.split("/")[0]
    if kind == "models":
        config = blobs.add(oci.model_config(target.split("/")[1].removesuffix(".json"), layers), oci.MODEL_CONFIG)
        artifact = oci.MODEL
    else:
        config = blobs.add(oci.EMPTY_BLOB, oci.EMPTY)
        artifact = oci.RUNTIME if kind == "runtime" else oci.SITEPLAN
    data = oci.manifest_bytes(artifact, config, layers)
    blobs.add(data, oci.MANIFEST)
    return artifact, data


def _media_type(target: str, file: Path) -> str:
    kind = target.split("/")[0]
    if kind == "models":
        return _SUFFIXES.get(file.suffix, oci.MODEL_WEIGHT_CONFIG)
    return oci.WHEEL if kind == "runtime" else oci.PLAIN


def _needs(cargo: Cargo) -> Requirement:
    glibc, python = wheels.needs_of(list(cargo.wheels))
    return Requirement(
        site=cargo.site, jurisdiction=cargo.jurisdiction, arch=cargo.arch, cpu_features=cargo.cpu_features,
        glibc=glibc, python=python,
    )  # fmt: skip


def _content(
    cargo: Cargo, files: Mapping[str, oci.Descriptor], needs: Requirement, base: Base | None
) -> dict[str, Any]:
    """Return what makes two builds the same bundle."""
    content = {
        "files": {path: blob.digest for path, blob in files.items()}, "table": dict(cargo.table),
        "plan": cargo.plan_digest, "policy": cargo.policy_digest, "keys": [plain(key) for key in cargo.keys],
        "revoked": list(cargo.revoked), "floor": cargo.min_security_version,
        "version": cargo.security_version, "needs": plain(needs),
        "cards": {name: card.as_component() for name, card in cargo.cards.items()},
    }  # fmt: skip
    return content | ({"base": plain(base)} if base else {})


def _base(cargo: Cargo, files: Mapping[str, oci.Descriptor], blobs: Blobs) -> Base | None:
    """Return what the site keeps and what it makes from a delta; the deltas are put among the blobs."""
    if cargo.base is None:
        return None
    sources = {**cargo.files, **{f"runtime/{wheel.name}": wheel for wheel in cargo.wheels}}
    chosen = choose(earlier_bundle(cargo.base), files, sources, lambda body: blobs.copy(body, DELTA_BODY, None))
    for document in chosen.documents:
        blobs.add(document, DELTA)
    return chosen.base


def _lighten(base: Base, blobs: Blobs, whole: Iterable[str], entries: list[oci.Descriptor]) -> list[oci.Descriptor]:
    """Take out what the site has or makes, and the index entries of components (not `whole`) that lack something."""
    for name in base.absent:
        blobs.remove(name)
    return [entry for entry in entries if entry.digest in set(whole)]


def _site_plan(cargo: Cargo, record: BuildRecord) -> SitePlan:
    return SitePlan(
        site=cargo.site, epoch=record.epoch, issued=record.issued, plan_digest=cargo.plan_digest,
        policy_digest=cargo.policy_digest, table=dict(cargo.table), keys=cargo.keys, revoked=cargo.revoked,
        min_security_version=cargo.min_security_version,
    )  # fmt: skip


def _by_role(repository: Repository, site: str, targets: Mapping[str, TargetFile]) -> dict[str, dict[str, TargetFile]]:
    """Return delegation -> its targets: models and runtime keep other sites' too, the site's own are only these."""
    found = {"models": repository.targets_of("models"), "runtime": repository.targets_of("runtime")}
    found[layout.site_role(site)] = {}
    for path, target in targets.items():
        first = path.split("/")[0]
        found[first if first in found else layout.site_role(site)][path] = target
    return found


def _draft(
    repository: Repository, site: str, delegated: dict[str, dict[str, TargetFile]], bundle: bytes,
    bill: bytes, issued: datetime,
) -> None:  # fmt: skip
    """Draft the metadata of this bundle unless it is drafted or published already."""
    named = {layout.bundle_target(site): bundle, layout.bill_target(site): bill}
    ours = {path: signed_target(path, data, repository.record.quorum) for path, data in named.items()}
    current = repository.draft("targets") or repository.published("targets")
    if current is None or any(current.signed.targets.get(path) != target for path, target in ours.items()):
        top = {**repository.targets_of("targets"), **ours}
        repository.draft_targets(delegated, top, [*repository.sites(), site], issued)


def _finish(part: Path, repository: Repository, site: str, blobs: Blobs, entries: list[oci.Descriptor]) -> None:
    """Write the TUF artifact, the index and the layout file."""
    roles = ["timestamp", "snapshot", "targets", *layout.delegation_paths(site)]
    layers = [
        blobs.add(data, "application/json", **{layout.TITLE_ANNOTATION: name})
        for name, data in repository.metadata_files(roles).items()
    ]
    config = blobs.add(oci.EMPTY_BLOB, oci.EMPTY)
    data = oci.manifest_bytes(oci.TUF, config, tuple(layers))
    blobs.add(data, oci.MANIFEST)
    index = oci.Index(manifests=(oci.tagged(data, oci.TUF, layout.TUF_TAG), *entries))
    (part / "index.json").write_bytes(canonical(index))
    (part / "oci-layout").write_bytes(oci.LAYOUT_FILE)
    sync_tree(part)
