"""`hybrid bundle build` from a fleet and its plan: a folder, one tar, parts, an update; the same bundle in each."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundles.parts import PARTS_FILE
from tests.bundles.test_commands import hybrid
from tests.support.bundles import BundleForge, blobs

CLINICS = Path(__file__).parents[2] / "sites" / "examples" / "clinics"


@pytest.fixture(scope="module")
def headquarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the clinics, a workshop of files that their manifests name, a plan and custodians."""
    place = tmp_path_factory.mktemp("headquarters")
    fleet = shutil.copytree(CLINICS, place / "fleet")
    for manifest in (fleet / "models").glob("*.yaml"):
        document = yaml.safe_load(manifest.read_text())
        for variant in document["spec"]["variants"]:
            folder = place / "models" / document["metadata"]["name"] / variant["name"]
            variant["files"] = {name: a_file(folder / name) for name in ("model.onnx", "tokenizer.json")}
        manifest.write_text(yaml.safe_dump(document))
    BundleForge(place / "hq")
    hybrid("plan", fleet, "--from", "2026-12-01", "--until", "2027-02-28", "-o", place / "plan.json")
    return place


def a_file(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{path.parent.parent.name} {path.parent.name} {path.name} " * 3000)
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def build(place: Path, *arguments: object, code: int = 0) -> Any:
    trust = ("--trust", place / "hq" / "trust", "--keys", place / "hq" / "keys")
    cargo = ("--site", "clinic-jura", "--models", place / "models", "--no-runtime")
    return hybrid("bundle", "build", place / "fleet", place / "plan.json", *cargo, *trust, *arguments, code=code)


@pytest.mark.slow
def test_one_bundle_in_every_form(headquarters: Path) -> None:
    place, trust = headquarters, headquarters / "hq" / "trust"
    folder = build(place, "-o", place / "folder")
    tar = build(place, "-o", place / "folder.tar")
    parts = build(place, "-o", place / "parts", "--split", "3MB")
    assert folder["complete"]
    assert {folder["bundleDigest"]} == {tar["bundleDigest"], parts["bundleDigest"]}
    for medium in (place / "folder", place / "folder.tar", *(place / "parts").iterdir()):
        assert hybrid("bundle", "verify", medium, "--trust", trust)["bundleDigest"] == folder["bundleDigest"]
    assert (place / "parts" / "part-1-of-1" / PARTS_FILE).is_file()
    assert "no size of a medium" in build(place, "-o", place / "x", "--split", "large", code=2)
    assert "--split" in build(place, "-o", place / "x", "--split", "10kB", code=2)
    assert "exists" in build(place, "-o", place / "folder.tar", code=2)
    assert not list(place.glob("*x*part*"))
    update = build(place, "-o", place / "update", "--delta-from", place / "folder")
    shown = hybrid("bundle", "inspect", place / "update", "--trust", trust, "--against", place / "folder")
    assert shown["update"]["of"] == folder["bundleDigest"]
    assert shown["difference"]["changed"] == shown["difference"]["new"] == []
    assert sum(file.stat().st_size for file in blobs(place / "update")) == update["bytes"] < 0.7 * folder["bytes"]
    assert shown["bill"]["licences"] == ["Apache-2.0"]
