"""Collects what one site's bundle carries: exactly what the plan placed there, and nothing that it did not name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundles.assembly import Cargo
from bundles.provenance.card import ModelCard
from bundles.provenance.statements import subjects_of
from hybrid.errors import InputError
from hybrid.models.openssf import signature_of, signed_files

if TYPE_CHECKING:
    from bundles.nouns import PlanKey
    from placement.catalogue import Model
    from placement.knowledge import Knowledge
    from placement.pipeline import Pipeline
    from sites.fleet import Fleet

CHUNK = 1024 * 1024
Compile = Callable[[Mapping[str, Any], Any, str], dict[str, Any]]


@dataclass(frozen=True)
class Placed:
    """What a plan runs at one site: (model, variant) pairs and the names of the knowledge it reads there."""

    models: tuple[tuple[str, str], ...]
    knowledge: tuple[str, ...]


def read_plan(path: Path) -> tuple[dict[str, Any], str]:
    """Return the plan in `path` and its digest.

    Raises:
        InputError: no plan.
    """
    data = path.read_bytes()
    try:
        plan = json.loads(data)
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}", advice="write it again: hybrid plan FLEET -o plan.json") from None
    if not isinstance(plan, dict) or plan.get("kind") != "Plan":
        raise InputError(f"{path} is no plan", advice="write one: hybrid plan FLEET -o plan.json")
    return plan, "sha256:" + hashlib.sha256(data).hexdigest()


def require_fresh(plan: Mapping[str, Any], digests: Mapping[str, str]) -> None:
    """Refuse a plan that was made from other inputs; the checker that it binds may be another.

    Raises:
        InputError: with the name of the first input that changed.
    """
    for name, digest in sorted(plan.get("inputs", {}).items()):
        if name != "checker" and digests.get(name) != digest:
            raise InputError(f"the plan is stale: {name} has changed since", advice="plan again, then build")


def placed_at(plan: Mapping[str, Any], pipelines: Mapping[str, Pipeline], site: str) -> Placed:
    """Return what `plan` runs at `site`, its fallbacks included."""
    models: set[tuple[str, str]] = set()
    knowledge: set[str] = set()
    for workload in plan["workloads"]:
        stages = {stage.name: stage for stage in _stages(pipelines[workload["pipeline"]])}
        for entry in _entries(workload):
            if entry.get("site") != site:
                continue
            if entry.get("model"):
                models.add((entry["model"], entry["variant"]))
            stage = stages.get(entry.get("stage", ""))
            if stage is not None and stage.knowledge:
                knowledge.add(stage.knowledge)
    return Placed(tuple(sorted(models)), tuple(sorted(knowledge)))


def model_files(model: Model, variant: str, workshop: Path) -> dict[str, Path]:
    """Return logical path -> file of one variant, each held against the digest in the Model manifest.

    Raises:
        InputError: the manifest names no file, or a file is missing or other than it says.
    """
    declared = next((v.files for v in model.spec.variants if v.name == variant), {})
    if not declared:
        raise InputError(
            f"Model {model.name}: variant {variant} names no files", advice="hybrid model evaluate, then add them"
        )
    found = {}
    for name, digest in declared.items():
        file = workshop / model.name / variant / name
        if not file.is_file():
            raise InputError(f"{file} is missing", advice=f"hybrid model quantize {model.name} --variant {variant}")
        if _sha256(file) != digest:
            raise InputError(
                f"{file} is not the file that Model {model.name} names", advice="evaluate and approve it again"
            )
        found[f"models/{model.name}/{variant}/{name}"] = file
    return found


def statements(model: Model, variant: str, workshop: Path) -> dict[str, Path]:
    """Return logical path -> what the workshop states about one variant: built how, evaluated how, signed for others.

    Raises:
        InputError: a statement speaks of other files than the Model manifest names.
    """
    declared = next((v.files for v in model.spec.variants if v.name == variant), {})
    found = {}
    for file in sorted((workshop / model.name / "provenance").glob(f"{variant}.*.json")):
        if not subjects_of(file).items() <= declared.items():
            raise InputError(f"{file} speaks of other files than Model {model.name} names",
                             advice="make and evaluate the variant again, or remove the statement")  # fmt: skip
        found[f"provenance/{model.name}.{file.name}"] = file
    signature = signature_of(workshop, model.name, variant)
    if signature.is_file():
        if signed_files(signature) != declared:
            raise InputError(f"{signature} is of other files than Model {model.name} names",
                             advice=f"hybrid model sign {model.name} --variant {variant}, or remove it")  # fmt: skip
        found[f"provenance/{model.name}.{signature.name}"] = signature
    return found


def card_of(model: Model, variant: str) -> ModelCard:
    """Return what the Model manifest states about one variant, for the bill of materials."""
    spec = model.spec
    quality = next((v.quality for v in spec.variants if v.name == variant), {})
    atoms = None if spec.trained_on is None else tuple(str(atom.data) for atom in spec.trained_on)
    return ModelCard(
        task=str(spec.task), licence=spec.licence, source=spec.source.package or spec.source.path or "",
        source_digest=spec.source.digest, measured_on=str(quality.get("measuredOn", "")),
        quality={name: str(value) for name, value in quality.items() if name != "measuredOn"},
        approved=f"{spec.approval.by}, {spec.approval.on}" if spec.approval else "", trained_on=atoms,
    )  # fmt: skip


def documents(store: Knowledge, folder: Path) -> dict[str, Path]:
    """Return logical path -> document of one Knowledge, held against the digest of its listing.

    The listing is what `sha256sum *` prints in the folder; `sha256sum *.md | sha256sum` is the digest to write down.

    Raises:
        InputError: no document, or others than the manifest says.
    """
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    listing = "".join(f"{_sha256(path).removeprefix('sha256:')}  {name}\n" for name, path in found.items())
    digest = "sha256:" + hashlib.sha256(listing.encode()).hexdigest()
    if not found or digest != store.spec.source.digest:
        raise InputError(
            f"{folder}: the documents' listing is {digest}, Knowledge {store.name} says {store.spec.source.digest}",
            advice="if these are the documents to carry, write their digest into the manifest and plan again",
        )
    return {f"knowledge/{store.name}/{name}": path for name, path in found.items()}


def policy_files(fleet: Fleet) -> dict[str, Path]:
    """Return logical path -> the fleet's own policies and packs, for people at the site to read."""
    from sites.policy import Policy

    names = {m.file for m in fleet.manifests if isinstance(m.noun, Policy)}
    names |= {name for name in fleet.digests if name.startswith("packs/")}
    return {f"policy/{name}": fleet.root / name for name in sorted(names)}


def policy_digest(fleet: Fleet) -> str:
    """Return the digest of everything that decides: policies and packs, shipped packs included."""
    own = {path.removeprefix("policy/") for path in policy_files(fleet)}
    lines = [
        f"{name} {digest}\n"
        for name, digest in sorted(fleet.digests.items())
        if name in own or name.startswith("pack:")
    ]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def collect(
    fleet: Fleet, plan: Mapping[str, Any], plan_digest: str, site_name: str, *, workshop: Path, compile_table: Compile,
    keys: Iterable[PlanKey] = (), wheels: Iterable[Path] = (), **knobs: Any,
) -> Cargo:  # fmt: skip
    """Return the cargo of `site_name`.

    Args:
        workshop: folder `<model>/<variant>/<file>`.
        compile_table: the gateway's compiler; its result is carried without being read.
        knobs: security versions and revocations, as `Cargo` has them.

    Raises:
        InputError: the plan is stale, the site unknown, or a file missing or other than its manifest says.
    """
    from placement.catalogue import Model
    from placement.knowledge import Knowledge
    from placement.pipeline import Pipeline
    from sites.site import Site

    require_fresh(plan, fleet.digests)
    site = next((s for s in fleet.of(Site) if s.name == site_name), None)
    if site is None or site.spec.location is None or not site.spec.hardware:
        raise InputError(f"{site_name}: no such site with location and hardware", advice="hybrid validate FLEET")
    wheels = tuple(wheels)
    _require_arch(wheels, site.spec.hardware[0].arch)
    placed = placed_at(plan, {p.name: p for p in fleet.of(Pipeline)}, site_name)
    models, stores = {m.name: m for m in fleet.of(Model)}, {k.name: k for k in fleet.of(Knowledge)}
    files: dict[str, Path] = {}
    for model, variant in placed.models:
        files |= model_files(models[model], variant, workshop) | statements(models[model], variant, workshop)
    for name in placed.knowledge:
        files |= documents(stores[name], fleet.root / (stores[name].spec.source.path or name))
    return Cargo(
        site=site_name, jurisdiction=str(site.spec.location), arch=site.spec.hardware[0].arch, plan_digest=plan_digest,
        policy_digest=policy_digest(fleet), table=compile_table(plan, fleet, site_name),
        files=files | policy_files(fleet), wheels=wheels, keys=tuple(keys),
        cards={f"{name}/{variant}": card_of(models[name], variant) for name, variant in placed.models}, **knobs,
    )  # fmt: skip


def _require_arch(wheels: tuple[Path, ...], arch: str) -> None:
    """Refuse wheels for another machine than the site's, before they travel to where nothing else is."""
    from bundles.wheels import arch_of

    found = arch_of(list(wheels))
    if found not in (None, arch):
        raise InputError(
            f"the wheels are for {found}, the site's hardware is {arch}",
            advice=f"make build/wheelhouse-{arch}/ready, then --wheelhouse build/wheelhouse-{arch}",
        )


def _entries(workload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every place where a workload's stages run or may fall back to."""
    for assignment in workload.get("assignments", ()):
        yield from assignment["stages"]
    for fallback in workload.get("fallbacks", ()):
        for entry in fallback["order"]:
            yield {"stage": fallback["stage"], **entry}


def _stages(pipeline: Pipeline) -> list[Any]:
    return [*pipeline.spec.stages, *pipeline.spec.fallbacks]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
