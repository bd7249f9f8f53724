"""From measured to approved: the manifest is what the planner reads, and an approval is of what was measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hybrid.errors import InputError
from hybrid.knowledge.store import digest_of
from hybrid.models.comparison import columns, rows
from hybrid.models.evaluate import Evaluation
from hybrid.models.manifest import Approval, approve, state_of, write_manifest
from hybrid.models.picture import picture
from hybrid.models.workshop import Workshop
from placement.catalogue import Model
from sites.manifest import read_manifests
from tests.support.models import evaluated

BOARD = Approval("Model board (example)", date(2026, 11, 20), True)


def manifest(shop: Workshop) -> Model:
    found, wrong = read_manifests(shop.manifest("minilm").read_bytes(), "minilm.yaml", {"Model": Model})
    assert not wrong
    assert isinstance(found[0].noun, Model)
    return found[0].noun


def test_a_measured_model_is_a_candidate_of_unknown_training(tmp_path: Path) -> None:
    shop = evaluated(tmp_path)
    write_manifest("minilm", shop)
    spec = manifest(shop).spec
    assert (spec.state, spec.approval, spec.trained_on) == ("candidate", None, None)
    assert state_of("minilm", shop) == ("candidate", "")


def test_an_approved_manifest_names_person_day_and_what_was_measured(tmp_path: Path) -> None:
    shop = evaluated(tmp_path)
    assert approve("minilm", shop, BOARD) == []
    spec, w8 = manifest(shop).spec, manifest(shop).spec.variants[1]
    assert (spec.state, spec.trained_on) == ("approved", ())
    assert spec.approval is not None
    assert spec.approval.by == BOARD.by
    assert w8.files["model.onnx"] == digest_of(shop.files("minilm", "w8")["model.onnx"])
    assert (w8.needs.memory, w8.needs.disk) == (110 << 20, 25_000_000)
    assert w8.quality["cosine"] == 0.9994
    assert state_of("minilm", shop) == ("approved", "Model board (example), 2026-11-20")


def test_a_variant_that_strays_from_fp32_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    shop = evaluated(tmp_path, cosine=0.973)
    assert approve("minilm", shop, BOARD) == ["minilm/w8: cosine 0.9730, at least 0.99 is needed"]
    assert not shop.manifest("minilm").exists()
    assert state_of("minilm", shop) == ("candidate", "")


def test_an_approval_of_one_variant_leaves_the_others_out_and_unjudged(tmp_path: Path) -> None:
    shop = evaluated(tmp_path, cosine=0.973)
    assert approve("minilm", shop, replace(BOARD, variants=("fp32",))) == []
    assert [variant.name for variant in manifest(shop).spec.variants] == ["fp32"]


def test_a_variant_that_was_not_measured_is_not_approved(tmp_path: Path) -> None:
    shop = evaluated(tmp_path)
    with pytest.raises(InputError, match="no variant 'int4'"):
        approve("minilm", shop, replace(BOARD, variants=("int4",)))
    assert not shop.manifest("minilm").exists()


def test_a_file_changed_after_evaluation_is_not_approved(tmp_path: Path) -> None:
    shop = evaluated(tmp_path)
    (shop.variant("minilm", "w8") / "model.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match="changed after it was evaluated"):
        approve("minilm", shop, BOARD)
    assert not shop.manifest("minilm").exists()


def test_a_new_evaluation_ends_the_approval(tmp_path: Path) -> None:
    shop = evaluated(tmp_path)
    approve("minilm", shop, BOARD)
    found = shop.evaluation("minilm") | {"count": 321}
    (shop.folder("minilm") / "evaluation.json").write_text(json.dumps(found), "utf-8")
    assert state_of("minilm", shop) == ("candidate", "")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden"])
def test_a_name_may_not_leave_the_workshop(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no name for a model"):
        Workshop(tmp_path).folder(name)


def test_table_and_picture_show_every_variant(tmp_path: Path) -> None:
    found: dict[str, Any] = evaluated(tmp_path).evaluation("minilm")
    assert columns(found) == ("", "fp32", "w8")
    assert ("cosine", "1.0000", "0.9994") in rows(found)
    drawn = picture(found)
    assert drawn.count("<svg") == 8
    assert "http" not in drawn
    assert "<script" not in drawn


def test_an_evaluation_survives_json(tmp_path: Path) -> None:
    found = evaluated(tmp_path).evaluation("minilm")
    assert json.loads(json.dumps(found)) == found
    assert set(found) == set(asdict(Evaluation("", "", "", "", 0, "", "", (), {})))
