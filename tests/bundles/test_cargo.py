"""What a bundle carries is what the plan placed at its site, each file the one that its manifest names."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from bundles.assembly import Cargo
from hybrid.carry.cargo import collect, placed_at
from hybrid.errors import InputError
from placement.pipeline import Pipeline
from placement.problem import KINDS
from sites.fleet import Fleet, read_fleet

CLINICS = Path(__file__).parents[2] / "sites" / "examples" / "clinics"
SITE = "clinic-jura"


def a_plan(fleet: Fleet) -> dict[str, Any]:
    """Return a plan that places one classifier here, recalls here, drafts in Paris, and may fall back to quote."""
    stages = [
        {"stage": "triage", "site": SITE, "model": "message-triage", "variant": "w8"},
        {"stage": "recall", "site": SITE, "model": "minilm", "variant": "w8"},
        {"stage": "draft", "site": "dc-paris", "model": "assistant", "variant": "w8"},
    ]
    order = [{"site": "dc-frankfurt", "model": "assistant", "variant": "fp16"}, {"stage": "quote", "site": SITE}]
    workload = {
        "id": f"patient-message@{SITE}", "pipeline": "patient-message", "origin": SITE,
        "assignments": [{"stages": stages}], "fallbacks": [{"stage": "draft", "order": order}],
    }  # fmt: skip
    return {"kind": "Plan", "inputs": dict(fleet.digests), "workloads": [workload]}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return the clinics with a workshop whose files are the ones that the Model manifests name."""
    folder = shutil.copytree(CLINICS, tmp_path / "fleet")
    for model in ("message-triage", "minilm"):
        files = {}
        for name in ("model.onnx", "tokenizer.json"):
            path = tmp_path / "models" / model / "w8" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{model} {name}")
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        rewrite(folder / "models" / f"{model}.yaml", files)
    return read_fleet(folder, KINDS)


def rewrite(manifest: Path, files: dict[str, str]) -> None:
    """Give every variant of a Model manifest these files."""
    import yaml

    document = yaml.safe_load(manifest.read_text())
    for variant in document["spec"]["variants"]:
        variant["files"] = {name: f"sha256:{digest}" for name, digest in files.items()}
    document["spec"].pop("approval", None)
    manifest.write_text(yaml.safe_dump(document))


def cargo(fleet: Fleet, plan: dict[str, Any], **knobs: Any) -> Cargo:
    return collect(
        fleet, plan, "sha256:" + "1" * 64, SITE, workshop=fleet.root.parent / "models",
        compile_table=lambda plan, fleet, site: {"site": site}, **knobs,
    )  # fmt: skip


def test_only_what_the_plan_placed_here_travels(fleet: Fleet) -> None:
    found = cargo(fleet, a_plan(fleet))
    kinds = {"/".join(path.split("/")[:3]) for path in found.files if not path.startswith("policy/")}
    assert {k for k in kinds if k.startswith("models")} == {"models/message-triage/w8", "models/minilm/w8"}
    assert all(path.startswith(("models/", "knowledge/care-protocols/", "policy/")) for path in found.files)
    assert "policy/policy.yaml" in found.files
    assert (found.jurisdiction, found.arch, found.table) == ("FR-39", "x86_64", {"site": SITE})


def test_a_fallback_target_travels_to_its_own_site(fleet: Fleet) -> None:
    pipelines = {p.name: p for p in fleet.of(Pipeline)}
    plan = a_plan(fleet)
    assert placed_at(plan, pipelines, "dc-frankfurt").models == (("assistant", "fp16"),)
    assert placed_at(plan, pipelines, "dc-virginia").models == ()
    assert placed_at(plan, pipelines, SITE).knowledge == ("care-protocols",)


def test_a_stale_plan_is_refused_by_the_input_that_changed(fleet: Fleet) -> None:
    plan = a_plan(fleet)
    plan["inputs"]["policy.yaml"] = "sha256:" + "0" * 64
    with pytest.raises(InputError, match=r"policy\.yaml has changed"):
        cargo(fleet, plan)


def test_a_file_other_than_its_manifest_names(fleet: Fleet) -> None:
    """Somebody retrained a model after it was approved: it does not travel."""
    (fleet.root.parent / "models" / "minilm" / "w8" / "model.onnx").write_text("retrained")
    with pytest.raises(InputError, match="is not the file that Model minilm names"):
        cargo(fleet, a_plan(fleet))


def test_a_document_that_was_slipped_in(fleet: Fleet) -> None:
    (fleet.root / "knowledge" / "care-protocols" / "zz.md").write_text("# Take twice the dose\n")
    with pytest.raises(InputError, match="listing"):
        cargo(fleet, a_plan(fleet))


def test_a_site_that_is_not_there(fleet: Fleet) -> None:
    with pytest.raises(InputError, match="no such site"):
        collect(fleet, a_plan(fleet), "", "clinic-nowhere", workshop=Path(), compile_table=lambda *_: {})


def test_wheels_for_another_machine_than_the_sites(fleet: Fleet, tmp_path: Path) -> None:
    """Headquarters builds on x86_64 for a site on aarch64: its own wheelhouse would not run there."""
    built = tmp_path / "numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl"
    with pytest.raises(InputError, match="for aarch64, the site's hardware is x86_64") as caught:
        collect(fleet, a_plan(fleet), "", SITE, workshop=tmp_path / "models", compile_table=lambda *_: {},
                wheels=[built])  # fmt: skip
    assert "build/wheelhouse-x86_64" in caught.value.advice
