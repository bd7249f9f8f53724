"""What quantisation keeps: close to fp32, the same in any company (w8), and the same bytes on a second run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hybrid.errors import InputError
from hybrid.gateway.engines.session import run, saturates
from hybrid.gateway.engines.text import TextModel
from hybrid.knowledge.store import digest_of
from hybrid.models.quantize import quantize
from hybrid.models.workshop import Workshop
from tests.support.models import built_workshop

TEXTS = (
    "The tablets make me dizzy.",
    "I need a new appointment, next Tuesday if at all possible, with the same doctor as last time please.",
    "Crushing chest pain!",
    "When will my results be back from the laboratory?",
)


def opened(variant: str) -> TextModel:
    files = built_workshop().files("minilm", variant)
    return TextModel.open(files["model.onnx"], files["tokenizer.json"])


def together(model: TextModel) -> np.ndarray:
    ids = [model.tokenizer.encode(text).ids for text in TEXTS]
    width = max(map(len, ids))
    tokens = np.array([line + [0] * (width - len(line)) for line in ids], dtype=np.int64)
    mask = np.array([[1] * len(line) + [0] * (width - len(line)) for line in ids], dtype=np.int64)
    (found,) = run(model.session, [model.output_name], {"input_ids": tokens, "attention_mask": mask})
    return np.asarray(found)


@pytest.mark.parametrize(("variant", "floor"), [("w8", 0.998), ("int8", 0.98)])
def test_a_variant_stays_close_to_fp32(variant: str, floor: float) -> None:
    reference, light = opened("fp32"), opened(variant)
    assert min(float(reference.output(text) @ light.output(text)) for text in TEXTS) >= floor


def test_w8_gives_the_same_vector_alone_and_in_a_batch() -> None:
    model = opened("w8")
    alone = np.stack([model.output(text) for text in TEXTS])
    assert (alone * together(model)).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_dynamic_int8_depends_on_its_batch() -> None:
    """Why an index is built with w8: int8's activation scale is that of the whole batch."""
    model = opened("int8")
    alone = np.stack([model.output(text) for text in TEXTS])
    assert float((alone * together(model)).sum(axis=1).min()) < 0.9999


def test_quantising_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = built_workshop()
    again = Workshop(tmp_path)
    again.write_source(first.source("minilm"))
    shutil.copytree(first.variant("minilm", "fp32"), again.variant("minilm", "fp32"))
    quantize("minilm", "w8", again)
    assert digest_of(again.files("minilm", "w8")["model.onnx"]) == digest_of(first.files("minilm", "w8")["model.onnx"])
    assert sorted(path.name for path in again.folder("minilm").iterdir()) == ["fp32", "provenance", "source.json", "w8"]


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'w3' is no variant"):
        quantize("minilm", "w3", Workshop(tmp_path))


def test_a_model_that_was_never_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such variant"):
        quantize("minilm", "w8", Workshop(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"avx2"}, True),
        ("x86_64", {"avx2", "avx512_vnni"}, False),
        ("x86_64", {"avx2", "avx_vnni"}, False),
        ("aarch64", set(), False),
    ],
)
def test_int8_products_saturate_on_x86_without_vnni(machine: str, flags: set[str], expected: bool) -> None:
    assert saturates(machine, frozenset(flags)) is expected
