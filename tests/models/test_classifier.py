"""A head upon an embedder: trained on declared texts only, merged exactly, and as good as it is said to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hybrid.errors import InputError
from hybrid.gateway.engines.text import TextModel
from hybrid.models.classifier import Labelled, fit, head_of, read_labelled
from hybrid.models.metrics import accuracy, recall
from tests.support.models import TRAINING, built_workshop

LINES = [
    {"text": "a", "label": "x", "split": "train"},
    {"text": "b", "label": "y", "split": "train"},
    {"text": "c", "label": "x", "split": "test"},
    {"text": "d", "label": "y", "split": "test"},
]


def written(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def opened(model: str, variant: str) -> TextModel:
    files = built_workshop().files(model, variant)
    return TextModel.open(files["model.onnx"], files["tokenizer.json"])


def test_labelled_texts_are_read(tmp_path: Path) -> None:
    assert read_labelled(written(tmp_path / "t.jsonl", LINES))[2] == Labelled("c", "x", "test")


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        (1, {"split": "dev"}, r"t\.jsonl:2: split is train or test"),
        (0, {"text": " "}, r"t\.jsonl:1: split is train or test, and text is not empty"),
        (3, {"language": "en"}, r"t\.jsonl:4: not a labelled text"),
        (2, {"text": "a"}, "stands in both splits"),
        (3, {"label": "x"}, "every label needs texts in both splits"),
    ],
)
def test_a_wrong_line_is_refused(tmp_path: Path, at: int, change: dict[str, str], message: str) -> None:
    lines = [line | change if number == at else line for number, line in enumerate(LINES)]
    with pytest.raises(InputError, match=message):
        read_labelled(written(tmp_path / "t.jsonl", lines))


@pytest.mark.parametrize("name", ["messages", "logs"])
def test_the_shipped_texts_keep_a_quarter_for_the_test(name: str) -> None:
    texts = read_labelled(TRAINING / f"{name}.jsonl")
    assert len({one.text for one in texts}) == len(texts) > 200
    for label in {one.label for one in texts}:
        splits = [one.split for one in texts if one.label == label]
        assert 0.2 <= splits.count("test") / len(splits) <= 0.3


def test_the_merged_graph_is_the_head_upon_the_embedding() -> None:
    head = head_of(built_workshop().files("message-triage", "fp32")["model.onnx"])
    text = "Could you renew my prescription?"
    logits = opened("minilm", "fp32").output(text) @ head.weights + head.bias
    expected = np.exp(logits - logits.max())
    assert opened("message-triage", "fp32").output(text) == pytest.approx(expected / expected.sum(), abs=1e-5)


def test_a_head_for_two_labels_gives_both_their_scores() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], dtype=np.float32)
    weights, bias = fit(vectors, [0, 0, 1, 1])
    assert weights.shape == (2, 2)
    assert (vectors @ weights + bias).argmax(axis=1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("variant", ["fp32", "w8", "int8"])
def test_message_triage_is_right_on_texts_it_never_saw(variant: str) -> None:
    model = opened("message-triage", variant)
    tested = [one for one in read_labelled(TRAINING / "messages.jsonl") if one.split == "test"]
    truth, given = [one.label for one in tested], [model.labels[model.output(one.text).argmax()] for one in tested]
    assert accuracy(truth, given) >= 0.85
    assert recall("urgent", truth, given) >= 0.9
