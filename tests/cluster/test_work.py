"""A replica opens only the files whose digests the catalogue names, and generates with any transformers folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid.cluster.schema import StageArgs
from hybrid.cluster.work import open_engine
from hybrid.errors import EvidenceError, InputError
from tests.support.cluster import Made, a_classifier, a_generator, a_plan, a_problem, a_region

INPUTS = {"input": {"text": "chest pain"}}


def args(folder: Path, made: Made) -> StageArgs:
    region = a_region(folder, plan=a_plan(made=made), problem=a_problem(folder / "fleet", made))
    return region.config.applications[0].args


def test_a_generator_writes_the_same_text_each_time(tmp_path: Path) -> None:
    engine = open_engine(args(tmp_path, a_generator(tmp_path / "models/assistant/fp32")))
    answer = engine.run(INPUTS)
    assert engine.task == "generate"
    assert answer["tokens"] > 0
    assert answer == engine.run(INPUTS)


def test_a_flipped_bit_or_a_missing_file_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    given = args(tmp_path, a_classifier(tmp_path / "models"))
    assert open_engine(given).run(INPUTS)["label"]
    weights = Path(given.directory) / "model.onnx"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(EvidenceError, match=r"model\.onnx: sha256:.* is not the sha256:"):
        open_engine(given)
    weights.unlink()
    with pytest.raises(InputError, match="no such file"):
        open_engine(given)
